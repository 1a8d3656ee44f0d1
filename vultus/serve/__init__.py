"""The HTTP server: `/v1`, keys with roles, limits, jobs, metrics, and the page that is served beside it.

    from vultus.serve import create_app
    app = create_app("people.db", pipe=vultus.Pipeline(), keys=Keys.open())

Everything a request may ask for is bounded in `vultus.serve.limits`; what a key may do is in `vultus.serve.auth`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vultus.errors import MissingExtra

if TYPE_CHECKING:
    from vultus.serve.app import Options as Options
    from vultus.serve.app import create_app as create_app
    from vultus.serve.auth import Keys as Keys
    from vultus.serve.limits import Limits as Limits

__all__ = ["Keys", "Limits", "Options", "create_app"]

_WHERE = {"create_app": "app", "Options": "app", "Keys": "auth", "Limits": "limits"}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'vultus.serve' has no attribute {name!r}")
    from importlib import import_module

    try:
        return getattr(import_module(f"vultus.serve.{_WHERE[name]}"), name)
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] == "vultus":
            raise
        raise MissingExtra("the server", "server") from error

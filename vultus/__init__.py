"""vultus: find faces, say who they are, and at which error rate.

Importing this package imports nothing heavy; the names below load what they need on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vultus.catalogue import load
    from vultus.gallery import open_gallery
    from vultus.pipeline import Pipeline

__all__ = ["Pipeline", "__version__", "load", "open_gallery"]

__version__ = "0.1.0"

_WHERE = {"load": "vultus.catalogue", "open_gallery": "vultus.gallery", "Pipeline": "vultus.pipeline"}


def __getattr__(name: str) -> Any:
    """Import the three public names on first use."""
    if name not in _WHERE:
        raise AttributeError(f"module 'vultus' has no attribute {name!r}; it has {', '.join(__all__)}")
    from importlib import import_module

    return getattr(import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)

"""Corrections: what the gallery refuses once all ids are known is a contradiction; what it did can be taken back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import Request

from vultus.errors import InputError
from vultus.gallery import Gallery
from vultus.serve.errors import Problem
from vultus.serve.services import caller_of, services_of

__all__ = ["corrected"]


async def corrected(request: Request, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Run a correction; the header X-History-Seq of its answer says by which number it can be taken back.

    Raises:
        Problem: 409 where the gallery refuses: a link, the same-photo constraint, a person's last face.
    """
    services, actor = services_of(request), caller_of(request).actor

    def checked() -> tuple[dict[str, Any], int | None]:
        before = _latest(services.gallery, actor)
        try:
            done = work()
        except InputError as error:
            raise Problem(409, "Conflict", str(error)) from error
        after = _latest(services.gallery, actor)
        return done, None if after == before else after

    done, seq = await services.call(checked)
    if seq is not None:
        request.scope["state"]["history_seq"] = seq
    return done


def _latest(gallery: Gallery, actor: str) -> int | None:
    """The number of the newest correction, when it is this actor's."""
    entries = gallery.history(1)
    return entries[0].seq if entries and entries[0].actor == actor else None

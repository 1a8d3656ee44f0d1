"""Lists in pages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import Query, Request

from vultus.serve.errors import Problem
from vultus.serve.limits import Limits
from vultus.serve.services import services_of

__all__ = ["Cursor", "Limit", "after", "next_cursor", "page_of"]

Limit = Annotated[int, Query(ge=1, le=Limits().page_items, description="items in this page, at most")]
Cursor = Annotated[
    str | None,
    Query(max_length=2000, json_schema_extra={"format": "cursor"}, description="`next_cursor` of the page before"),
]


def after(request: Request, where: str, cursor: str | None) -> Any:
    """Where the page starts: what `next_cursor` was given, or None at the beginning."""
    return services_of(request).cursors.read(where, cursor)


def next_cursor(request: Request, where: str, last: Any) -> str:
    """The cursor of the page that starts after `last`."""
    return services_of(request).cursors.sign(where, last)


def page_of(
    request: Request,
    where: str,
    items: list[dict[str, Any]],
    limit: int,
    cursor: str | None,
    key: Callable[[dict[str, Any]], Any] = lambda item: item["id"],
) -> dict[str, Any]:
    """One page of a list that is short enough to be at hand; the cursor names its last item.

    Raises:
        Problem: 409 if that item has gone meanwhile.
    """
    last, start = after(request, where, cursor), 0
    if last is not None:
        places = [i for i, item in enumerate(items) if key(item) == last]
        if not places:
            raise Problem(409, "Conflict", "cursor: the item it names has gone: start without it")
        start = places[0] + 1
    part = items[start : start + limit]
    more = start + limit < len(items)
    return {"items": part, "next_cursor": next_cursor(request, where, key(part[-1])) if more else None}

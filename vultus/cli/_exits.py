"""Exit codes by error class."""

from __future__ import annotations

from vultus.errors import VultusError

EXIT_CODES = {
    "VultusError": 1,
    "InputError": 3,
    "NoFace": 4,
    "SpaceMismatch": 5,
    "UnknownMethod": 6,
    "MissingExtra": 7,
    "WeightsError": 8,
    "MissingWeights": 8,
    "HashMismatch": 9,
    "Refused": 10,
    "StoreError": 11,
}


def exit_code(error: VultusError) -> int:
    """The code of the nearest class that has one."""
    return next(EXIT_CODES[c.__name__] for c in type(error).__mro__ if c.__name__ in EXIT_CODES)

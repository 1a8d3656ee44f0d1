"""The false match rate that is used where a request names none."""

from __future__ import annotations

from vultus.serve.services import Services

__all__ = ["DEFAULT_FMR", "LEVELS", "keep_rate", "rate_in_use"]

DEFAULT_FMR = 1e-3
LEVELS = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
_FACT = "fmr"


def rate_in_use(services: Services) -> float:
    """The rate that the operator has set for this gallery, else the house's; at least what the data support."""
    kept = services.gallery.fact(_FACT)
    return max(DEFAULT_FMR if kept is None else float(kept), services.pipe.calibration.smallest_fmr)


def keep_rate(services: Services, fmr: float, actor: str) -> None:
    """Set it.

    Raises:
        InputError: if the calibration cannot support that rate.
    """
    services.pipe.calibration.threshold(fmr)
    services.gallery.set_fact(_FACT, repr(fmr), actor=actor)

"""The learning rate of every step, as a share of the highest."""

from __future__ import annotations

import math

from vultus.train.settings import Settings

__all__ = ["rate_at"]


def rate_at(settings: Settings, step: int) -> float:
    """Factor on the learning rate.

    Args:
        settings: with the schedule, the warm-up and the milestones.
        step: from 0.

    Returns:
        Above 0 in the warm-up, which ends at 1; then falling from 1, to 0 after the last step for cosine and poly.
    """
    warm = round(settings.warmup * settings.steps)
    if step < warm:
        return (step + 1) / (warm + 1)
    share = (step - warm) / max(1, settings.steps - warm)
    if settings.schedule == "cosine":
        return 0.5 + 0.5 * math.cos(math.pi * share)
    if settings.schedule == "poly":
        return (1 - share) ** 2
    passed = sum(step >= round(one * settings.steps) for one in settings.milestones)
    return float(0.1**passed)

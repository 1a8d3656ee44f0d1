"""Worlds of made-up vectors in which the difference between groups of people is known."""

from __future__ import annotations

import numpy as np

from vultus.types import ComparisonTable

DIM = 12


def world(
    rng: np.random.Generator,
    *,
    people: int = 16,
    pictures: int = 3,
    groups: int = 4,
    alike: tuple[float, ...] = (),
    noisy: tuple[float, ...] = (),
    kin: float = 0.0,
    split: str = "dev",
) -> tuple[ComparisonTable, list[str]]:
    """Comparisons of all pictures, and the group of each person.

    Args:
        rng: source of everything.
        people: in each group.
        pictures: of each person.
        groups: how many.
        alike: per group, how much its people share, 0 for nothing; raises false matches inside the group.
        noisy: per group, factor on the spread within a person; raises false non-matches.
        kin: what the people of every group share, equally: comparisons between groups become easier than within.
        split: tag of the table.
    """
    of = np.repeat(np.arange(groups), people)
    shared = rng.normal(size=(groups, DIM))
    shared *= DIM**0.5 / np.linalg.norm(shared, axis=1, keepdims=True)  # every group shares as much
    pull = np.sqrt(np.array(alike or (0.0,) * groups)[of][:, None] + kin)
    centers = rng.normal(size=(len(of), DIM)) * np.exp(rng.normal(size=(len(of), 1)) * 0.2) + pull * shared[of]
    who = np.repeat(np.arange(len(of)), pictures)
    spread = 0.45 * np.array(noisy or (1.0,) * groups)[of] * np.exp(rng.normal(size=len(of)) * 0.4)
    vec = centers[who] + rng.normal(size=(len(who), DIM)) * spread[who][:, None]
    vec /= np.linalg.norm(vec, axis=1, keepdims=True)
    i, j = np.triu_indices(len(who), 1)
    return ComparisonTable((vec[i] * vec[j]).sum(1), who[i] == who[j], who[i], who[j], split), [f"g{g}" for g in of]

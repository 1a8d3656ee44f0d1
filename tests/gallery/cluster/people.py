"""Simulated vectors of people, and what every clustering must keep."""

from __future__ import annotations

import numpy as np


def people(seed, n, k, *, dim=64, spread=1.2):
    """(n, dim) unit rows around k random centers, and whose each is; mates reach about 1 / (1 + spread^2)."""
    rng = np.random.default_rng(seed)
    who = rng.integers(k, size=n)
    rows = rng.standard_normal((k, dim))[who] + spread * rng.standard_normal((n, dim))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), who


def constraints(seed, n, truth, must, cannot):
    """Pairs that contradict nothing: must-links agree with `truth`, cannot-links with another labeling."""
    rng = np.random.default_rng(seed)
    pairs = rng.integers(n, size=(4 * (must + cannot) + 8, 2))
    same = truth[pairs[:, 0]] == truth[pairs[:, 1]]
    other = pairs[:, 0] != pairs[:, 1]
    return pairs[same & other][:must], pairs[~same][:cannot]


def holds(labels, must, cannot):
    """Whether no constraint is broken."""
    together = (labels[must[:, 0]] == labels[must[:, 1]]) & (labels[must[:, 0]] >= 0)
    broken = (labels[cannot[:, 0]] == labels[cannot[:, 1]]) & (labels[cannot[:, 0]] >= 0)
    return bool(together.all()) and not broken.any()


def same_parts(a, b):
    """Whether two labelings are one partition with the same noise."""
    if not np.array_equal(a < 0, b < 0):
        return False
    pairs = np.unique(np.stack([a, b], axis=1), axis=0)
    return len(pairs) == len(np.unique(a)) == len(np.unique(b))

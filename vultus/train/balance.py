"""Which identities to train on, so that groups of people weigh the same: by their label, or on the simplex of labels.

Neto et al., "Balancing Beyond Discrete Categories: Continuous Demographic Labels for Fair Face Recognition". Every
identity has a share in each of K groups. Equal numbers of people per strongest group are not equal mass: a member with
a share of 0.6 lends the other 0.4 to others. The continuous selection S of n people makes small

    sum_k (m_k - n/K)^2 + mu sum_kb (c_kb - n/B)^2

where m_k is the mass of group k, the sum of its shares over S, and c_kb how many of S have a share in k that falls into
bin b of B.

Differs: the rule of selection is this project's reading of "histogram binning and sampling"; greedy, then swaps. Flat
histograms mean a mass of about n/2 in every group, and only n/K can be had, so `mu` is small.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vultus.errors import InputError
from vultus.types import checked

__all__ = ["Selection", "measure", "select"]

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

_GAIN = 1e-9  # a swap must make the sum smaller by more


@dataclass(frozen=True, slots=True, eq=False)
class Selection:
    """Chosen identities and how balanced they are.

    Attributes:
        rows: (n,) in rising order.
        mass: (K,) sum of the shares of those chosen.
        counts: (K, B) how many of them have a share in each bin.
        value: what the continuous selection makes small.
    """

    rows: I64
    mass: F64
    counts: I64
    value: float


def select(
    shares: ArrayLike,
    n: int,
    rng: np.random.Generator,
    *,
    mode: str = "continuous",
    bins: int = 10,
    mu: float = 0.01,
    passes: int = 10,
) -> Selection:
    """Choose n identities.

    Args:
        shares: (I, K) share of each identity in each group, from 0, rows that sum to 1.
        n: how many to choose.
        rng: "discrete" draws the people of each group; "continuous" draws the order in which swaps are tried.
        mode: "discrete" takes the same number of people of each strongest group (where n does not divide, some groups
            have one more); "continuous" makes the sum above small.
        bins: B.
        mu: weight of the histograms.
        passes: over all chosen, at most, in which each may be exchanged for the best of the others; each costs
            n I K operations, as the greedy choice does.

    Returns:
        The selection.

    Raises:
        InputError: if the shares are no such rows, there is one group only, n is out of range, or a group has too few
            people for the discrete mode.
    """
    y = _simplex(shares)
    count, groups = y.shape
    if not 1 <= n <= count or bins < 1 or mu < 0 or passes < 0:
        raise InputError(
            f"n, bins, mu, passes: expected n from 1 to {count}, bins from 1, mu and passes from 0, "
            f"got {n}, {bins}, {mu} and {passes}"
        )
    if mode == "discrete":
        return measure(y, _discrete(y, n, rng), bins=bins, mu=mu)
    if mode != "continuous":
        raise InputError(f'mode: expected "discrete" or "continuous", got {mode!r}')
    state = _State(y, _bins(y, bins), n / groups, n / bins, mu)
    for _ in range(n):
        state.add(state.best())
    for _ in range(passes):
        if not state.exchanged(rng):
            break
    return measure(y, np.flatnonzero(state.chosen), bins=bins, mu=mu)


def measure(shares: ArrayLike, rows: ArrayLike, *, bins: int = 10, mu: float = 0.01) -> Selection:
    """How balanced a given choice is.

    Args:
        shares: (I, K) as `select`.
        rows: indices of those chosen, each once.
        bins: B.
        mu: weight of the histograms.

    Raises:
        InputError: if the shares are no such rows, or an index is out of range or comes twice.
    """
    y = _simplex(shares)
    chosen = checked("rows", rows, (None,), np.int64)
    if len(np.unique(chosen)) < len(chosen) or not len(chosen) or chosen.min() < 0 or chosen.max() >= len(y):
        raise InputError(f"rows: expected indices from 0 below {len(y)}, each once, got {chosen[:5].tolist()}")
    n, groups = len(chosen), y.shape[1]
    mass = y[chosen].sum(0)
    place = _bins(y[chosen], bins)
    counts = np.stack([np.bincount(place[:, k], minlength=bins) for k in range(groups)]).astype(np.int64)
    value = float(((mass - n / groups) ** 2).sum() + mu * ((counts - n / bins) ** 2).sum())
    return Selection(np.sort(chosen), mass, counts, value)


class _State:
    """Masses and histograms of those chosen so far, and what one more or less would change."""

    def __init__(self, y: F64, place: I64, mass_goal: float, count_goal: float, mu: float) -> None:
        self.y, self.mass_goal, self.count_goal, self.mu = y, mass_goal, count_goal, mu
        groups = y.shape[1]
        self.flat = place + np.arange(groups) * (int(place.max()) + 1)  # the bins of all groups in one row
        self.counts = np.zeros(int(self.flat.max()) + 1)
        self.mass = np.zeros(groups)
        self.chosen = np.zeros(len(y), bool)
        self.square = (y**2).sum(1)

    def costs(self) -> F64:
        """(I,) what adding each would change; infinite for those that are chosen."""
        change = 2 * self.y @ (self.mass - self.mass_goal) + self.square
        if self.mu:
            step = self.mu * (2 * (self.counts - self.count_goal) + 1)
            change = change + step[self.flat].sum(1)
        found: F64 = np.where(self.chosen, np.inf, change)
        return found

    def best(self) -> int:
        return int(np.argmin(self.costs()))

    def add(self, i: int, sign: int = 1) -> None:
        self.mass += sign * self.y[i]
        self.counts[self.flat[i]] += sign
        self.chosen[i] = sign > 0

    def exchanged(self, rng: np.random.Generator) -> bool:
        """Whether any of the chosen was better exchanged, and was."""
        better = False
        for old in rng.permutation(np.flatnonzero(self.chosen)).tolist():
            self.add(old, -1)
            costs = self.costs()
            new = int(np.argmin(costs))
            if costs[new] >= costs[old] - _GAIN:
                new = old
            self.add(new)
            better |= new != old
        return better


def _discrete(y: F64, n: int, rng: np.random.Generator) -> I64:
    groups = y.shape[1]
    strongest = y.argmax(1)
    wanted = np.full(groups, n // groups)
    wanted[rng.permutation(groups)[: n % groups]] += 1
    have = np.bincount(strongest, minlength=groups)
    if (have < wanted).any():
        k = int(np.argmax(wanted - have))
        raise InputError(f"shares: expected at least {wanted[k]} people of group {k}, got {have[k]}: lower n")
    picked = [rng.choice(np.flatnonzero(strongest == k), wanted[k], replace=False) for k in range(groups)]
    return np.concatenate(picked).astype(np.int64)


def _bins(y: F64, bins: int) -> I64:
    return np.minimum((y * bins).astype(np.int64), bins - 1)


def _simplex(shares: ArrayLike) -> F64:
    y = checked("shares", shares, (None, None), np.float64)
    if not len(y) or y.shape[1] < 2:
        raise InputError(f"shares: expected (identities, groups) with two groups or more, got {y.shape}")
    wrong = np.flatnonzero((y < 0).any(1) | (np.abs(y.sum(1) - 1) > 1e-3))
    if len(wrong):
        raise InputError(f"shares: expected rows from 0 that sum to 1, got {y[wrong[0]].tolist()} in row {wrong[0]}")
    return y

"""One system, one number of scores: called by `benchmarks.roc` in a process of its own.

Scores come as comparisons do, in blocks. A system that needs all of them at once is given whole arrays, which are made
before the clock starts and count as its memory.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.memory import peak_mb
from vultus.ops import roc

__all__ = ["FARS", "blocks", "main"]

FARS = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
BLOCK = 1 << 22
MATED = 0.01  # share of all scores

F32 = NDArray[np.float32]


def blocks(scores: int, seed: int) -> Iterator[tuple[F32, F32]]:
    """Mated and non-mated scores in blocks: cosines around .45 and 0, clipped to -1 ... 1."""
    for number, start in enumerate(range(0, scores, BLOCK)):
        rng = np.random.default_rng((seed, number))
        count = min(BLOCK, scores - start)
        mated = max(1, int(count * MATED))
        values = rng.standard_normal(count, np.float32)
        values *= np.float32(0.1)
        values[:mated] += np.float32(0.45)
        np.clip(values, -1, 1, out=values)
        yield values[:mated], values[mated:]


def _histograms(scores: int, seed: int) -> tuple[list[float], float, float]:
    """Counted as they come; making the scores is not timed."""
    mated, nonmated = roc.ScoreHistogram(), roc.ScoreHistogram()
    spent = 0.0
    for same, other in blocks(scores, seed):
        began = time.perf_counter()
        mated.add(same)
        nonmated.add(other)
        spent += time.perf_counter() - began
    began = time.perf_counter()
    tars = [mated.fmr_at(nonmated.threshold_at_fmr(far)) for far in _asked(nonmated.n)]
    m, n = mated.counts.astype(np.float64), nonmated.counts.astype(np.float64)
    area = float((m * (np.cumsum(n) - n / 2)).sum() / (m.sum() * n.sum()))
    return tars, area, spent + time.perf_counter() - began


def _exact(scores: int, seed: int) -> tuple[list[float], float, float]:
    sides = list(zip(*blocks(scores, seed), strict=True))
    mated, nonmated = (np.concatenate(side) for side in sides)
    del sides
    began = time.perf_counter()
    tars = [roc.tar_at_far(mated, nonmated, far) for far in _asked(len(nonmated))]
    return tars, roc.auc(mated, nonmated), time.perf_counter() - began


def _sklearn(scores: int, seed: int) -> tuple[list[float], float, float]:
    """`roc_curve`, and both figures read from its points."""
    from sklearn.metrics import auc, roc_curve

    values, truth = np.empty(scores, np.float32), np.empty(scores, np.bool_)
    place = 0
    for same, other in blocks(scores, seed):
        for part, kind in ((same, True), (other, False)):
            values[place : place + len(part)], truth[place : place + len(part)] = part, kind
            place += len(part)
    began = time.perf_counter()
    false, true, _ = roc_curve(truth, values)
    tars = [float(true[np.searchsorted(false, far, "right") - 1]) for far in _asked(int((~truth).sum()))]
    return tars, float(auc(false, true)), time.perf_counter() - began


def _asked(nonmated: int) -> list[float]:
    """The rates at which 30 errors or more are expected."""
    return [far for far in FARS if nonmated >= 30 / far]


SYSTEMS: dict[str, Callable[[int, int], tuple[list[float], float, float]]] = {
    "vultus histogram": _histograms,
    "vultus exact": _exact,
    "scikit-learn": _sklearn,
}


def main(order: dict[str, Any]) -> dict[str, Any]:
    """Measure; the first run is of few scores and not timed."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, order["cpus"])
    system = SYSTEMS[order["system"]]
    system(order["warm_up"], order["seed"])
    before = peak_mb()
    times: list[float] = []
    for _ in range(order["repeat"]):
        tars, area, spent = system(order["scores"], order["seed"])
        times.append(spent)
    found = dict(zip(map(str, FARS), tars, strict=False))
    return {"s": times, "tars": found, "auc": area, "peak_mb": peak_mb(), "before_mb": before}


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(json.dumps(main(json.loads(Path(sys.argv[1]).read_text()))))

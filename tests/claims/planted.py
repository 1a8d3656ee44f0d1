"""Claims with a known answer; a file such as a user would write. Each takes its knobs from the environment."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from vultus.claims import ClaimResult, Context, claim


def noisy(ctx: Context, gain: float, people: int = 40) -> dict[str, np.ndarray]:
    """Two arms over people who differ much from each other; the method is better by `gain` for each."""
    arms: dict[str, list[np.ndarray]] = {"baseline": [], "method": [], "shuffled": []}
    for seed in ctx.seeds:
        rng = ctx.rng("planted", seed)
        person = rng.standard_normal(people)
        arms["baseline"].append(person + 0.1 * rng.standard_normal(people))
        arms["method"].append(person + gain + 0.1 * rng.standard_normal(people))
        arms["shuffled"].append(person + 0.1 * rng.standard_normal(people))
    return {name: np.array(rows) for name, rows in arms.items()}


def result(arms: dict[str, np.ndarray], **options: object) -> ClaimResult:
    rows = next(iter(arms.values()))
    given = {
        "method": "method",
        "baseline": "baseline",
        "controls": ("shuffled",),
        "units": range(rows.shape[1]),
        "unit": "person",
        "metric": "planted score",
        "higher_is_better": True,
        "data": "sim",
    }
    return ClaimResult(arms, **{**given, **options})  # type: ignore[arg-type]


@claim(paper=0, minutes=1)
def better(ctx: Context) -> ClaimResult:
    """The method is better by half a point for everybody."""
    return result(noisy(ctx, 0.5), notes="planted")


@claim(paper=0, minutes=1)
def equal(ctx: Context) -> ClaimResult:
    """The method is no better than its baseline."""
    return result(noisy(ctx, 0.0))


@claim(paper=0, minutes=1)
def slow(ctx: Context) -> ClaimResult:
    """Three steps; says in a file which ran, and waits in the second one for as long as a file is there."""
    folder = Path(os.environ["PLANTED"])

    def work(name: str) -> np.ndarray:
        with (folder / "ran").open("a") as file:
            file.write(name + "\n")
        while name == "two" and (folder / "hold").exists():
            ctx.progress(1, 3, "waiting")
        return np.full(8, len(name), float)

    rows = [ctx.step(name, work, name) for name in ("one", "two", "three")]
    base = np.tile(np.arange(8.0), (len(ctx.seeds), 1))
    return result({"baseline": base, "method": base + rows[2], "shuffled": base})

"""Paper 27, "Understanding Flaky Tests: The Developer's Perspective": interventions against plain reruns.

A suite with 33 planted flaky tests (eleven causes of the study, three each) and 20 stable ones is looked at twice, for
the same wall time on the same two cores: by `vultus.testing.flaky.investigate`, and by running it again and again. A
planted test is found by reruns when it both passes and fails. The metric is the share of planted tests found.

Written before the first run of either arm at nano. The machinery was developed on the corpora of seeds 1, 2 and 3,
which the claim does not use (it plants 1000 + seed), and found 31 of 33 tests there; the rerun arm had never been run.

Expected: interventions find about 0.9 of the plants and reruns 0.3 to 0.5: reruns find what fails by chance in one run
of fifty (randomness, ranges, sums in drawn order) and nothing that depends on the date, the zone, the platform, the
order or a slow machine. Repeating every test in one process, tried on the first seed, finds leaks on top. A gain of at
least 0.1 is declared.
Not expected to be found by either: rare races between two lines, and waits that are much longer than what is awaited.
Refuted: the interval of the gain reaches below 0, or the gain is under 0.1. One stable test that is called flaky by the
interventions refutes the second half of the promise and is reported as `false positives`, in any number.

The plants and the interventions have the same authors: this shows that the machinery finds what it was built for, on
tests that it has not seen; it says nothing about the share of the world's flaky tests.
"""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vultus.claims import ClaimResult, Context, claim
from vultus.testing.flaky import _corpus
from vultus.testing.flaky._shims import now
from vultus.testing.flaky.classify import CATEGORIES, UNKNOWN, macro_f1
from vultus.testing.flaky.interventions import SCREEN, Condition
from vultus.testing.flaky.investigate import Diagnosis, investigate
from vultus.testing.flaky.runner import Project, Wanted

JOBS = 2
FREE = Condition("free", "", "as anybody runs it: nothing is set, nothing is changed")
AGAIN = Condition("again", "", "every test many times in one process", {"repeat": 1000, "repeat_seconds": 0.2})
MAJORITY = CATEGORIES[0]  # the most frequent cause of the study, for everything
TINY = ("far future", "ASCII locale")


@claim(paper=27, minutes=25, scale="nano", seeds=3)
def flaky_tests(ctx: Context) -> ClaimResult:
    """Changing the circumstances finds flaky tests that the same time of reruns does not, and names their cause."""
    found = []
    for done, seed in enumerate(ctx.seeds):
        ctx.progress(done, len(ctx.seeds), "suite")
        tried = ctx.step(f"interventions-{seed}", interventions, seed, ctx.scale)
        seconds = float(tried["seconds"]) if ctx.scale != "tiny" else 0.5
        again = ctx.step(f"reruns-{seed}", reruns, seed, ctx.scale, seconds, "free")
        found.append((tried, again))
    inside = ctx.step("inside", reruns, ctx.seeds[0], ctx.scale, float(found[0][1]["seconds"]), "again")
    units = list(found[0][0]["category"])
    planted = [unit for unit in units if found[0][0]["category"][unit]]
    arms = {
        "interventions": _arm([tried["found"] for tried, _ in found], planted),
        "reruns": _arm([again["found"] for _, again in found], planted),
        "unchanged runs of the screen": _arm([tried["natural"] for tried, _ in found], planted),
    }
    return ClaimResult(
        arms=arms,
        method="interventions",
        baseline="reruns",
        controls=("unchanged runs of the screen",),
        units=planted,
        unit="test",
        metric="share of planted flaky tests found",
        higher_is_better=True,
        min_effect=0.1,
        data="sim",
        extra={**_extra(found, planted, ctx.rng("bootstrap")), **_inside(inside, planted)},
        notes="planted and found by the same authors; the time of all arms of a seed is the same",
    )


def _arm(found: Sequence[dict[str, bool]], units: Sequence[str]) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.array([[float(one[unit]) for unit in units] for one in found])


def _planted(folder: Path, seed: int, scale: str) -> _corpus.Corpus:
    if scale == "tiny":
        return _corpus.plant(folder, 1000 + seed, per_category=1, stable=6)
    return _corpus.plant(folder, 1000 + seed)


def _project(corpus: _corpus.Corpus, temporary: Path | None = None) -> Project:
    env = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    return Project(corpus.folder, env=env, limit=120, keep_temporary=temporary)


def interventions(seed: int, scale: str) -> dict[str, Any]:
    """The method on the suite of one seed."""
    with tempfile.TemporaryDirectory(prefix="flaky-claim-") as folder:
        corpus = _planted(Path(folder) / "suite", seed, scale)
        screen = [one for one in SCREEN if scale != "tiny" or one.name in TINY]
        inquiry = investigate(_project(corpus), repeats=6 if scale == "tiny" else 8, jobs=JOBS, screen=screen)
        by_test = {one.test: one for one in inquiry.diagnoses}
        named = {unit: by_test[test] for unit, test in corpus.test.items()}
        return {
            "seconds": inquiry.seconds,
            "processes": inquiry.processes,
            "category": dict(corpus.category),
            "found": {unit: one.status == "flaky" for unit, one in named.items()},
            "cause": {unit: one.category or UNKNOWN for unit, one in named.items()},
            "natural": {unit: _natural(one) for unit, one in named.items()},
            "lost": list(inquiry.lost),
            "suspects": sum(one.status == "suspect" for unit, one in named.items() if not corpus.category[unit]),
        }


def _natural(one: Diagnosis) -> bool:
    """Whether the unchanged runs of the screen both passed and failed."""
    counts = [one.screen[name] for name in ("baseline", "hash seeds") if name in one.screen]
    failed, runs = (sum(column) for column in zip(*counts, strict=True))
    return bool(0 < failed < runs)


def _inside(inside: dict[str, Any], planted: Sequence[str]) -> dict[str, float | str]:
    """Many repetitions of each test in one process, for the time of an arm, on the suite of the first seed."""
    hits = sum(inside["found"][unit] for unit in planted)
    return {"found by repeating in one process, first seed": f"{hits} of {len(planted)}"}


def reruns(seed: int, scale: str, seconds: float, how: str) -> dict[str, Any]:
    """The same suite again and again for as many seconds; files for temporary things stay from run to run."""
    condition = {"free": FREE, "again": AGAIN}[how]
    with tempfile.TemporaryDirectory(prefix="flaky-claim-") as folder:
        corpus = _planted(Path(folder) / "suite", seed, scale)
        project = _project(corpus, Path(folder) / "tmp")
        passed: dict[str, int] = defaultdict(int)
        failed: dict[str, int] = defaultdict(int)
        started, processes = now(), 0
        while now() - started < seconds:
            wanted = [Wanted(condition, hash_seed=1 + processes + k) for k in range(JOBS)]
            for run in project.run_all(wanted, jobs=JOBS):
                processes += 1
                for attempt in run.attempts:
                    (failed if attempt.failed else passed)[attempt.test] += 1
        return {
            "seconds": now() - started,
            "processes": processes,
            "found": {unit: bool(passed[test] and failed[test]) for unit, test in corpus.test.items()},
        }


def _extra(found: Sequence[Any], planted: Sequence[str], rng: np.random.Generator) -> dict[str, float | str]:
    """Causes, false positives and times."""
    truth = [tried["category"][unit] for tried, _ in found for unit in planted]
    cause = [tried["cause"][unit] for tried, _ in found for unit in planted]
    stable = [unit for unit, category in found[0][0]["category"].items() if not category]
    drawn = []
    for _ in range(1000):
        picked = rng.integers(len(planted), size=len(planted))
        rows = [block * len(planted) + i for block in range(len(found)) for i in picked]
        drawn.append(macro_f1([truth[i] for i in rows], [cause[i] for i in rows]))
    extra: dict[str, float | str] = {
        "macro-F1 of causes": macro_f1(truth, cause),
        "macro-F1, low": float(np.percentile(drawn, 2.5)),
        "macro-F1, high": float(np.percentile(drawn, 97.5)),
        "macro-F1 of the majority": macro_f1(truth, [MAJORITY] * len(truth)),
        "false positives": sum(tried["found"][unit] for tried, _ in found for unit in stable),
        "false positives of reruns": sum(again["found"][unit] for _, again in found for unit in stable),
        "stable tests, all seeds": len(stable) * len(found),
        "stable suspects": sum(tried["suspects"] for tried, _ in found),
        "seconds of an arm": float(np.mean([tried["seconds"] for tried, _ in found])),
        "processes of interventions": float(np.mean([tried["processes"] for tried, _ in found])),
        "reruns": float(np.mean([again["processes"] for _, again in found])),
    }
    for category in CATEGORIES:
        mine = [c for t, c in zip(truth, cause, strict=True) if t == category]
        extra[f"named: {category}"] = f"{sum(c == category for c in mine)} of {len(mine)}"
    return extra

"""Run a claim: keep its steps, hold it to its budget, judge what comes out and write it down."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from vultus.claims._claim import MIN_SEEDS, SCALES, Claim, ClaimResult
from vultus.claims._context import Context, OverBudget
from vultus.claims._picture import svg
from vultus.claims._verdict import Verdict, verdict
from vultus.errors import InputError, Refused, StoreError
from vultus.io.files import write_atomic, write_bytes
from vultus.types import Metric
from vultus.zoo.store import home

__all__ = ["Outcome", "run"]

TINY_SEEDS = 2
_ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What a run of a claim gave.

    Attributes:
        status: shown, not-shown, wired (at tiny scale), budget, refused or invalid.
        document: the JSON document that was written.
        effect: gain of the method over the baseline, positive is better; None where there is none.
        result: what the claim handed back, or None when it was stopped or refused.
        folder: where its files lie: NAME.SCALE.json, the picture, the arms as arrays.
    """

    status: str
    document: dict[str, Any]
    effect: Metric | None
    result: ClaimResult | None
    folder: Path


def run(
    claim: Claim,
    *,
    scale: str = "tiny",
    seeds: int | Sequence[int] | None = None,
    minutes: float | None = None,
    folder: str | Path | None = None,
    fresh: bool = False,
    tell: Callable[[int, int, str], None] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Outcome:
    """Run a claim, or go on with one that was interrupted, and write down what came out.

    Args:
        claim: which one; `vultus.claims.find` finds it by name.
        scale: "tiny", "nano" or "mini".
        seeds: how many, or which ones; None means as many as it declares (two at tiny).
        minutes: its budget; None means the declared one. Finished steps of an interrupted run count.
        folder: where runs are kept; None means `$VULTUS_HOME/claims`. Files go to NAME.SCALE inside.
        fresh: forget the steps of earlier runs.
        tell: called with (done, total, what) when the claim reports progress.
        clock: seconds, for the budget.

    Returns:
        What came out; a claim that is not shown, over its budget or refused is an answer and raises nothing.

    Raises:
        InputError: an unknown scale, too few seeds, or a claim that hands back what it must not.
        StoreError: the folder cannot be written.
    """
    chosen = _seeds(claim, scale, seeds)
    limit = claim.limit(scale) if minutes is None else minutes
    if not limit > 0:
        raise InputError(f"minutes: expected more than 0, got {limit}")
    target = _made((Path(folder) if folder else home() / "claims") / f"{claim.name}.{scale}")
    steps = target / "steps" / _key(claim, scale, chosen)
    if fresh:
        shutil.rmtree(target / "steps", ignore_errors=True)
    ctx = Context(scale, chosen, limit, steps, tell=tell, clock=clock)
    result, answer = _answer(claim, ctx)
    document = _document(claim, ctx, result, answer)
    _write(target, claim, scale, document, result)
    if answer.status != "budget":
        _forget_other_code(steps)
    return Outcome(answer.status, document, answer.effect, result, target)


def _answer(claim: Claim, ctx: Context) -> tuple[ClaimResult | None, Verdict]:
    try:
        result = claim(ctx)
        ctx.check()
    except OverBudget as over:
        return None, Verdict("budget", str(over), None, {}, {})
    except Refused as refused:
        return None, Verdict("refused", str(refused), None, {}, {})
    if not isinstance(result, ClaimResult):
        raise InputError(f"claim {claim.name!r}: expected a ClaimResult, got {type(result).__name__}")
    if result.n_seeds != len(ctx.seeds):
        raise InputError(f"claim {claim.name!r}: expected {len(ctx.seeds)} rows, one per seed; got {result.n_seeds}")
    return result, verdict(result, ctx.scale)


def _seeds(claim: Claim, scale: str, seeds: int | Sequence[int] | None) -> tuple[int, ...]:
    if scale not in SCALES:
        raise InputError(f"scale: expected one of {', '.join(SCALES)}, got {scale!r}")
    if seeds is None:
        seeds = TINY_SEEDS if scale == "tiny" else claim.seeds
    chosen = tuple(range(seeds)) if isinstance(seeds, int) else tuple(int(seed) for seed in seeds)
    needed = 1 if scale == "tiny" else MIN_SEEDS
    if len(chosen) < needed or len(set(chosen)) < len(chosen):
        raise InputError(f"seeds: expected at least {needed} different ones at {scale}, got {list(chosen)}")
    return chosen


def _document(claim: Claim, ctx: Context, result: ClaimResult | None, answer: Verdict) -> dict[str, Any]:
    from vultus.evaluate.provenance import provenance  # reads cards and package metadata: only when a run is over

    document: dict[str, Any] = {
        "claim": claim.name,
        "paper": claim.paper,
        "says": claim.summary,
        "status": answer.status,
        "why": answer.why,
        "scale": ctx.scale,
        "seeds": list(ctx.seeds),
        "minutes": round(ctx.seconds / 60, 3),
        "budget_minutes": ctx.minutes,
        "kept_steps": len(ctx.reused),
        "effect": None if answer.effect is None else asdict(answer.effect),
    }
    if result is not None:
        document |= {
            "data": result.data,
            "metric": result.metric,
            "higher_is_better": result.higher_is_better,
            "min_effect": result.min_effect,
            "unit": result.unit,
            "n_units": len(set(result.units)) if result.unit != "seed" else result.n_seeds,
            "method": result.method,
            "baseline": result.baseline,
            "controls": {name: asdict(metric) for name, metric in answer.controls.items()},
            "arms": {name: asdict(metric) for name, metric in answer.arms.items()},
            "per_seed": {name: values.mean(1).tolist() for name, values in result.arms.items()},
            "extra": {name: _plain(value) for name, value in result.extra.items()},
            "notes": result.notes,
            "judges": list(result.judges),
            "made": [made.to_dict() for made in result.provenance],
        }
    about = provenance(seed=" ".join(map(str, ctx.seeds)))
    del about["seed"]
    return document | about | {"code": _code(claim)}


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _write(target: Path, claim: Claim, scale: str, document: dict[str, Any], result: ClaimResult | None) -> None:
    name = f"{claim.name}.{scale}"
    try:
        text = json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False)
    except ValueError as error:
        raise InputError(f"claim {claim.name!r}: expected finite numbers in `extra` ({error})") from error
    for old in ("arms.npz", f"{name}.png", f"{name}.svg"):
        (target / old).unlink(missing_ok=True)  # of an earlier run that may have said something else
    if result is not None:
        arrays = {f"arm_{arm}": values for arm, values in result.arms.items()}
        units = np.array([str(unit) for unit in result.units])
        write_atomic(target / "arms.npz", lambda file: np.savez_compressed(file, units=units, **arrays))  # type: ignore[arg-type]
        if result.picture is not None:
            from vultus.io import images  # loads the picture libraries, which a claim without a picture can do without

            images.write(target / f"{name}.png", result.picture)
    drawn = svg(document)
    if drawn:
        write_bytes(target / f"{name}.svg", drawn.encode())
    write_bytes(target / f"{name}.json", text.encode() + b"\n")


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{folder}: cannot be made ({error.strerror}); choose another folder with --out") from error
    return folder


def _key(claim: Claim, scale: str, seeds: tuple[int, ...]) -> str:
    """Steps are kept for these seeds and this code alone: a step of other code would be a number of nobody."""
    words = "-".join(map(str, seeds))
    named = words if len(words) <= 40 else hashlib.sha256(words.encode()).hexdigest()[:12]
    return f"{scale}.{named}.{_code(claim)}"


def _forget_other_code(steps: Path) -> None:
    """Remove what older code left for the same scale and seeds."""
    prefix = steps.name.rpartition(".")[0] + "."
    for folder in steps.parent.glob("*") if steps.parent.is_dir() else ():
        if folder.name.startswith(prefix) and folder != steps:
            shutil.rmtree(folder, ignore_errors=True)


def _code(claim: Claim) -> str:
    """12 hex over the source of vultus and of the claim's own file."""
    digest = hashlib.sha256(_package_code().encode())
    digest.update(Path(claim.source).read_bytes())
    return digest.hexdigest()[:12]


@lru_cache(maxsize=1)
def _package_code() -> str:
    digest = hashlib.sha256()
    for path in sorted(_ROOT.rglob("*.py")):
        digest.update(path.relative_to(_ROOT).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()

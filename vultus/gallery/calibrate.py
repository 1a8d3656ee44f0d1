"""What a score means: thresholds for a wanted false match rate, with the data behind them.

A calibration belongs to one embedding space. It is a curve of (threshold, FMR, interval) measured on non-mated
comparisons of known people; between its points the logarithm of the FMR is linear in the score. A rate that the data
cannot support (fewer than 30 expected errors) is refused, not extrapolated.
"""

from __future__ import annotations

import json
import math
import os
import uuid
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vultus import __version__
from vultus.errors import InputError, SpaceMismatch, StoreError
from vultus.gallery._pairs import AllPairs
from vultus.gallery.compat import compared
from vultus.ops import roc, stats
from vultus.types import F32, ComparisonTable, Decision, Metric, Template, is_number
from vultus.zoo import store

__all__ = [
    "MIN_QUALITY",
    "Calibration",
    "Origin",
    "Rate",
    "fit",
    "fit_all_pairs",
    "load",
    "poor_quality",
    "read",
    "save",
    "write",
]

MIN_QUALITY = 0.3  # of vultus.quality.measures: 18 px between the eyes
FORMAT = "vultus-calibration-1"
_PACKAGED = Path(__file__).with_name("calibration")


class Rate(NamedTuple):
    """One point of the curve.

    Attributes:
        fmr: measured share of non-mated scores >= threshold.
        threshold: score.
        low: lower end of the 95 % interval of `fmr`, over people.
        high: upper end.
        fnmr: measured share of mated scores < threshold, or None when there were none.
    """

    fmr: float
    threshold: float
    low: float
    high: float
    fnmr: float | None


@dataclass(frozen=True, slots=True)
class Origin:
    """What was measured.

    Attributes:
        space: embedding space of the vectors.
        alignment: how the crops were made: detector and refiner rows, such as "centerface+facemesh".
        dataset: name of the data.
        tier: "sim", "real" or "user".
        note: what a reader must know, or "".
    """

    space: str
    alignment: str
    dataset: str
    tier: str
    note: str = ""

    def __post_init__(self) -> None:
        if self.tier not in ("sim", "real", "user"):
            raise InputError(f"tier: expected sim, real or user, got {self.tier!r}")


@dataclass(frozen=True, slots=True)
class Calibration:
    """The curve of one space, and where it comes from.

    Attributes:
        origin: what was measured.
        rates: at least two points with falling FMR and rising threshold.
        n_images: pictures.
        n_subjects: people.
        n_nonmated: comparisons of different people.
        n_mated: comparisons of the same person.
        created: UTC date.
        version: of vultus.
    """

    origin: Origin
    rates: tuple[Rate, ...] = field(repr=False)
    n_images: int
    n_subjects: int
    n_nonmated: int
    n_mated: int
    created: str
    version: str

    def __post_init__(self) -> None:
        steps = list(zip(self.rates, self.rates[1:], strict=False))
        if not steps or any(a.fmr <= b.fmr or a.threshold >= b.threshold for a, b in steps):
            raise InputError("rates: expected at least two points with falling FMR and rising threshold")
        if any(not (0 <= r.low <= r.fmr <= r.high <= 1) or not math.isfinite(r.threshold) for r in self.rates):
            raise InputError("rates: expected finite thresholds and 0 <= low <= FMR <= high <= 1")

    @property
    def space(self) -> str:
        """Embedding space it is for."""
        return self.origin.space

    @property
    def smallest_fmr(self) -> float:
        """The smallest false match rate that the data support: 30 expected errors."""
        return 30 / self.n_nonmated

    def threshold(self, fmr: float) -> tuple[float, Metric]:
        """The score to accept from, for a false match rate.

        Args:
            fmr: wanted rate in (0, 1).

        Returns:
            The threshold, and the rate with its interval; `n` is the number of people.

        Raises:
            InputError: if the data cannot support so small a rate; the message names the smallest they can.
        """
        if not is_number(fmr) or not 0.0 < fmr < 1.0:
            raise InputError(f"fmr: expected a rate between 0 and 1, got {fmr!r}")
        if fmr < self.smallest_fmr * (1 - 1e-9):
            raise InputError(
                f"fmr: expected at least {self.smallest_fmr:.2g}, the smallest rate that {self.n_nonmated} non-mated "
                f"comparisons support (30 expected errors), got {fmr:.2g}; ask for a larger rate, or calibrate on more "
                "people with `vultus calibrate`"
            )
        after = bisect_left(self.rates, -fmr, key=lambda rate: -rate.fmr)  # first point with FMR <= fmr
        if after == len(self.rates) or after == 0:
            edge = self.rates[min(after, len(self.rates) - 1)]
            return edge.threshold, self._metric(edge.fmr, edge.low, edge.high)
        left, right = self.rates[after - 1], self.rates[after]
        share = math.log(left.fmr / fmr) / math.log(left.fmr / right.fmr) if right.fmr > 0 else 1.0
        low, high = _between(left.low, right.low, share), _between(left.high, right.high, share)
        return left.threshold + share * (right.threshold - left.threshold), self._metric(fmr, low, high)

    def fmr_of(self, score: float) -> Metric:
        """How often two different people reach a score.

        Above the last point of the curve it is known only that the rate is smaller: value and low are then 0 and the
        rate of that point is the upper end.
        """
        if not is_number(score) or not math.isfinite(score):
            raise InputError(f"score: expected a finite number, got {score!r}")
        first, last = self.rates[0], self.rates[-1]
        if score <= first.threshold:
            return self._metric(1.0 if score < first.threshold else first.fmr, first.low, 1.0)
        if score > last.threshold:
            return self._metric(0.0, 0.0, last.high, note=f"below {last.fmr:.2g}: the data cannot tell how far")
        after = next(i for i, rate in enumerate(self.rates) if rate.threshold >= score)
        left, right = self.rates[after - 1], self.rates[after]
        share = (score - left.threshold) / (right.threshold - left.threshold)
        low, high = _between(left.low, right.low, share), _between(left.high, right.high, share)
        return self._metric(_between(left.fmr, right.fmr, share), low, high)

    def margin(self, fmr: float) -> float:
        """How far the best must be ahead of the second best: half of what separates `fmr` from ten times that rate."""
        strict = self.threshold(fmr)[0]
        loose = self.threshold(min(10 * fmr, 0.5))[0]
        return max(0.0, 0.5 * (strict - loose))

    def decide(self, a: Template, b: Template, *, fmr: float = 1e-3, min_quality: float | None = None) -> Decision:
        """Are two templates of one person? Abstains when one comes from too poor a picture.

        Templates of two spaces are compared where the pair is registered (`vultus.gallery.compat`): then `a` is the new
        one, `b` the old one, and this calibration is of their pair.

        Raises:
            SpaceMismatch: if the comparison is of another space than this calibration.
            InputError: if the data cannot support that rate.
        """
        for template in (a, b):
            if not isinstance(template, Template):
                raise InputError(f"expected two templates, got {type(template).__name__}")
        space = compared(a.space, b.space)
        if space != self.space:
            raise SpaceMismatch(space, self.space)
        if a.vector.shape != b.vector.shape:
            raise InputError(f"expected vectors of one length, got {len(a.vector)} and {len(b.vector)}")
        bar, rate = self.threshold(fmr)
        score = min(1.0, max(-1.0, float(a.vector @ b.vector)))
        poor = [poor_quality(t.quality, min_quality) for t in (a, b) if t.quality is not None]
        reason = next((text for text in poor if text), "")
        if reason:
            return Decision("abstain", score, bar, rate, self.describe(), reason=reason)
        if score >= bar:
            return Decision("accept", score, bar, rate, self.describe())
        return Decision("reject", score, bar, rate, self.describe(), reason=f"{score:.3f} is below {bar:.3f}")

    def describe(self) -> str:
        """Data tier, data set and counts in one line."""
        origin = self.origin
        return (
            f"{origin.tier}: {origin.dataset}, {self.n_images:,} pictures of {self.n_subjects:,} people, "
            f"{self.n_nonmated:,} non-mated comparisons, faces aligned by {origin.alignment}, {self.created}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"format": FORMAT, **asdict(self), "rates": [list(rate) for rate in self.rates]}

    def _metric(self, value: float, low: float, high: float, note: str = "") -> Metric:
        return Metric(value, min(low, value), max(high, value), "share", self.n_subjects, note)


def poor_quality(quality: float, min_quality: float | None = None) -> str:
    """Why a picture is too poor to decide on, or "".

    Args:
        quality: in [0, 1].
        min_quality: what is needed; None means `MIN_QUALITY`.
    """
    need = MIN_QUALITY if min_quality is None else min_quality
    return "" if quality >= need else f"the picture is too poor: quality {quality:.2f}, {need:.2f} is needed"


def load(space: str, *, home: Path | None = None) -> Calibration:
    """The calibration of a space: the user's own where there is one, else the packaged one.

    Args:
        space: embedding space.
        home: VULTUS_HOME; None means the environment's.

    Raises:
        StoreError: if there is none for exactly this space, or a file is damaged.
    """
    own = _own(space, home)
    if own.is_file():
        return _for(space, read(own), own)
    if "^" in space:
        raise StoreError(
            f"no calibration for {space}: nobody has measured what scores of this pair of networks mean; fit one on "
            "vultus.gallery.compat.comparisons, with this as its space, and save it"
        )
    packaged = _PACKAGED / f"{space.partition('@')[0]}.json"
    if packaged.is_file():
        return _for(space, read(packaged), packaged)
    raise StoreError(
        f"no calibration for {space}: nobody has measured what its scores mean; run `vultus calibrate FOLDER` with "
        "the same model options on photos of people you know (one folder per person)"
    )


def read(path: Path) -> Calibration:
    """A calibration from its file; StoreError when it cannot be read or is not one."""
    try:
        text = json.loads(path.read_text(encoding="utf-8"))
        known = {f.name for f in fields(Calibration)}
        if text.get("format") != FORMAT or set(text) != known | {"format"}:
            raise InputError(f"expected the format {FORMAT}, got {text.get('format')!r} with {sorted(text)}")
        rates = tuple(
            Rate(float(a), float(b), float(c), float(d), None if e is None else float(e))
            for a, b, c, d, e in text["rates"]
        )
        rest = {key: text[key] for key in known - {"origin", "rates"}}
        return Calibration(origin=Origin(**text["origin"]), rates=rates, **rest)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
        raise StoreError(
            f"{path}: expected a calibration, could not read it: {error}; calibrate again or delete it"
        ) from error


def save(calibration: Calibration, *, home: Path | None = None) -> Path:
    """Keep a calibration as the user's own for its space; `load` prefers it from now on.

    Raises:
        StoreError: if the file cannot be written; the old one is then untouched.
    """
    if not isinstance(calibration, Calibration):
        raise InputError(f"calibration: expected what fit or load returns, got {type(calibration).__name__}")
    path = _own(calibration.space, home)
    write(calibration, path)
    return path


def write(calibration: Calibration, path: Path) -> None:
    """Write a calibration to a file, whole or not at all."""
    head = {**calibration.to_dict()}
    rates = ",\n".join("    " + json.dumps(row) for row in head.pop("rates"))
    text = json.dumps(head, indent=2).rstrip("}\n ") + f',\n  "rates": [\n{rates}\n  ]\n}}\n'
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
        try:
            with beside.open("x", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise StoreError(
            f"{path}: the calibration could not be written ({error}); check space and permissions"
        ) from error


def _own(space: str, home: Path | None) -> Path:
    if not isinstance(space, str) or not space or any(c in space for c in "/\\\0") or space.startswith("."):
        raise InputError(f"space: expected name@hash, got {space!r}")
    return (home or store.home()) / "calibration" / f"{space}.json"


def _for(space: str, found: Calibration, path: Path) -> Calibration:
    if found.space != space:
        raise StoreError(
            f"{path.name}: expected a calibration of {space}, found one of {found.space}: the weights differ, and so "
            "do scores; run `vultus calibrate FOLDER`"
        )
    return found


def _between(a: float, b: float, share: float) -> float:
    """Logarithmic between positive numbers, linear where one is 0."""
    if a > 0 and b > 0:
        return math.exp(math.log(a) + share * (math.log(b) - math.log(a)))
    return a + share * (b - a)


# ---------------------------------------------------------------- fitting
def fit(
    table: ComparisonTable,
    origin: Origin,
    *,
    rng: np.random.Generator,
    targets: Sequence[float] = (),
    n_images: int = 0,
    n_boot: int = 2000,
) -> Calibration:
    """Measure the curve on given comparisons, with subject-bootstrap intervals.

    Args:
        table: mated and non-mated comparisons of a "train" or "dev" split.
        origin: what was measured.
        rng: source of the bootstrap's draws.
        targets: rates that the data must support.
        n_images: how many pictures were compared, for the record.
        n_boot: number of draws.

    Raises:
        InputError: if the split is "test", a class is missing, or there are fewer than 30 / target non-mated
            comparisons.
    """
    if table.split == "test":
        raise InputError("split: expected train or dev, got test: a threshold fitted on the test data proves nothing")
    nonmated = table.score[~table.mated]
    wanted = _targets(len(nonmated), targets)
    taus = np.unique([roc.threshold_at_fmr(nonmated, target) for target in wanted])
    false, missed = stats.subject_bootstrap(table, taus, rng=rng, n_boot=n_boot, min_errors=0)
    rates = [_rate(float(t), f, m.value) for t, f, m in zip(taus, false, missed, strict=True)]
    return _made(origin, rates, n_images, false[0].n, len(nonmated), int(table.mated.sum()))


def fit_all_pairs(
    vectors: F32,
    subjects: NDArray[np.int64],
    origin: Origin,
    *,
    rng: np.random.Generator,
    targets: Sequence[float] = (),
    n_boot: int = 2000,
) -> Calibration:
    """Measure the curve by comparing every picture with every other one, in bounded memory.

    The intervals are subject bootstraps where the rate is at most 1 in 30 and jackknives over subjects above, where
    listing every false match would take too much memory and every interval is narrow.

    Args:
        vectors: (N, D) unit rows of pictures that no test uses.
        subjects: (N,) who is on each.
        origin: what was measured.
        rng: source of the bootstrap's draws.
        targets: rates that the data must support.
        n_boot: number of draws.

    Raises:
        InputError: as `fit`.
    """
    pairs = AllPairs(vectors, subjects)
    unlike, like = roc.ScoreHistogram(), roc.ScoreHistogram()
    for scores, same, _, _ in pairs.blocks():
        like.add(scores[same])
        unlike.add(scores[~same])
    taus = np.unique([unlike.threshold_at_fmr(target) for target in _targets(unlike.n, targets)])
    share = np.array([unlike.fmr_at(float(tau)) for tau in taus])
    rare = share <= 1 / 30
    intervals = pairs.jackknife(taus[~rare]) + pairs.bootstrap(taus[rare], rng, n_boot)
    missed = [1 - like.fmr_at(float(tau)) if like.n else None for tau in taus]
    rates = [_rate(float(t), m, f) for t, m, f in zip(taus, intervals, missed, strict=True)]
    return _made(origin, rates, len(pairs.vectors), len(pairs.sizes), unlike.n, like.n)


def _targets(n: int, wanted: Sequence[float]) -> list[float]:
    """Ten rates per decade down to the smallest that n comparisons support, and those asked for."""
    if n < 100:
        raise InputError(f"expected at least 100 non-mated comparisons, got {n}: bring photos of more people")
    for target in wanted:
        stats.allowed_errors(n, target)  # refuses a rate that the data cannot support
    smallest = stats.smallest_supported_fmr(n)
    steps = (10 ** (-k / 10) for k in range(200))
    return [*wanted, *(step for step in steps if step > smallest), smallest]


def _rate(threshold: float, fmr: Metric, fnmr: float | None) -> Rate:
    value, low, high = fmr.value or 0.0, fmr.low or 0.0, fmr.high or 0.0
    return Rate(value, threshold, min(low, value), max(high, value), fnmr)


def _made(
    origin: Origin, rates: Sequence[Rate], n_images: int, n_subjects: int, n_nonmated: int, n_mated: int
) -> Calibration:
    """Keep, of several thresholds with one rate, the smallest."""
    kept: list[Rate] = []
    for rate in rates:
        if not kept or rate.fmr < kept[-1].fmr:
            kept.append(rate)
    today = datetime.now(timezone.utc).date().isoformat()
    return Calibration(origin, tuple(kept), n_images, n_subjects, n_nonmated, n_mated, today, __version__)

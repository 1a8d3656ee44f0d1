"""How well a recognizer tells people apart while it learns: pairs of people that it is not trained on.

    hook = Verification([PairSet.of_miniature(sim_fr()), PairSet.of_bin("lfw.bin")])
    fit(recognizer, feed, replace(settings, eval_every=500), hooks=[hook])

Accuracy by folds (LFW View 2) where a set has folds, the equal error rate, and the true accept rate at those false
accept rates that the non-mated pairs support (30 expected errors). While training these are numbers in summary.csv; at
the end `measured` gives them with intervals over people, where it is known who is on the pictures.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from vultus.errors import InputError, WeightsError
from vultus.evaluate.metrics.folds import fold_accuracy
from vultus.evaluate.metrics.verification import from_table, separation, trade_off
from vultus.io.datasets.insight_bin import AlignedPairs, insight_bin
from vultus.io.datasets.webdataset import Fault
from vultus.ops import roc
from vultus.ops.stats import rule_of_30
from vultus.train._pairs import Mated
from vultus.train._ranks import ranks_of
from vultus.train.data import Pictures
from vultus.train.miniature import Miniature, compared
from vultus.types import F32, U8, ComparisonTable, Metric, checked

__all__ = ["FARS", "Embeds", "PairSet", "Scores", "Verification", "compare", "figures", "measured"]

I64 = NDArray[np.int64]
Bool = NDArray[np.bool_]

FARS = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
_CHUNK = 512  # pictures that are decoded together
_N_BOOT = 500


class Embeds(Protocol):
    """What gives vectors: `Recognizer`."""

    def embed(self, images: U8) -> F32:
        """(N, H, W, 3) uint8 RGB -> (N, D) unit rows."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class PairSet:
    """Aligned pictures, and which of them are compared.

    Attributes:
        name: of the set; figures are called NAME.eer and so on.
        pictures: (N, H, W, 3) uint8 RGB, or the encoded pictures of a .bin file.
        left, right: (P,) indices of pictures.
        same: (P,) True where both show one person.
        folds: (P,) fold of each pair, or None.
        people: (N,) who is on each picture, or None where that is not known.
        tier: "real" or "sim".
        names: one per person of `people`; empty where nothing is known.

    Raises:
        InputError: if lengths or indices do not agree, or all pairs are of one kind.
    """

    name: str
    pictures: U8 | AlignedPairs
    left: I64
    right: I64
    same: Bool
    folds: I64 | None = None
    people: I64 | None = None
    tier: str = "real"
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        n, pairs = len(self), len(self.same)
        for name in ("left", "right"):
            places = checked(name, getattr(self, name), (pairs,), np.int64)
            if pairs and not (places.min() >= 0 and places.max() < n):
                raise InputError(f"{self.name}: expected indices of {n} pictures, got {places.min()} to {places.max()}")
        if self.same.all() or not self.same.any():
            raise InputError(f"{self.name}: expected mated and non-mated pairs, got {int(self.same.sum())} of {pairs}")

    def __len__(self) -> int:
        """Pictures."""
        return len(self.pictures.encoded) if isinstance(self.pictures, AlignedPairs) else len(self.pictures)

    def __repr__(self) -> str:
        return f"PairSet({self.name}: {len(self)} pictures, {int(self.same.sum())} of {len(self.same)} pairs mated)"

    @classmethod
    def of_miniature(cls, small: Miniature, name: str = "") -> PairSet:
        """The test part of a miniature set."""
        test = small.test
        pairs = (small.left, small.right, small.same, small.folds)
        return cls(name or test.name, test.images, *pairs, test.labels, test.tier, test.names)

    @classmethod
    def of_pictures(cls, pictures: Pictures, *, most: int = 50_000, seed: int = 0) -> PairSet:
        """All mated pairs of pictures (at most `most`, drawn), and ten times as many non-mated ones.

        Where `apart` says in which video or album a picture is, mated pairs are of two.

        Raises:
            InputError: if no two pictures show one person, or all show the same.
        """
        mated = Mated(pictures.labels, pictures.apart)
        ranks = np.arange(min(mated.total, most))
        if mated.total > most:
            ranks = np.sort(np.random.default_rng((seed, 57)).choice(mated.total, most, replace=False))
        if not mated.total:
            raise InputError(f"{pictures!r}: expected people with two pictures or more to compare, got none")
        left, right, same = compared(pictures.labels, *mated.at(ranks), seed=seed)
        sure = (pictures.labels[left] >= 0) & (pictures.labels[right] >= 0)
        return cls(
            pictures.name,
            pictures.images,
            left[sure],
            right[sure],
            same[sure],
            None,
            pictures.labels,
            pictures.tier,
            pictures.names,
        )

    @classmethod
    def of_bin(cls, path: str | os.PathLike[str]) -> PairSet:
        """A verification set of InsightFace; see `vultus.io.datasets.insight_bin`.

        Raises:
            InputError: if it is none.
            StoreError: if it cannot be read.
        """
        pairs = insight_bin(path)
        return cls(pairs.name, pairs, pairs.left, pairs.right, pairs.same, pairs.folds, None, pairs.tier)

    def chunks(self) -> Iterator[tuple[slice, U8, list[int]]]:
        """Some hundred pictures after the other: where they stand, the pictures, and which could not be decoded.

        A picture that cannot be decoded is black. Pictures of a file keep their size, which must be one.
        """
        for start in range(0, len(self), _CHUNK):
            place = slice(start, min(start + _CHUNK, len(self)))
            if not isinstance(self.pictures, AlignedPairs):
                yield place, self.pictures[place], []
                continue
            bad: list[int] = []
            good: dict[int, U8] = {}
            for item in self.pictures.pictures(range(place.start, place.stop)):
                if isinstance(item, Fault):
                    bad.append(item.index)
                else:
                    good[item[0]] = item[1].pixels
            shapes = {one.shape for one in good.values()} or {(112, 112, 3)}
            if len(shapes) > 1:
                raise InputError(f"{self.pictures.path}: expected pictures of one size, got {sorted(shapes)[:3]}")
            black = np.zeros(shapes.pop(), np.uint8)
            yield place, np.stack([good.get(i, black) for i in range(place.start, place.stop)]), bad


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """What the pairs of a set score.

    Attributes:
        of: the set.
        score: (P,) cosine of each pair that could be compared.
        kept: (P,) which pairs of the set these are.
        lost: how many pairs could not be compared, for want of a picture.
    """

    of: PairSet
    score: NDArray[np.float64]
    kept: I64
    lost: int

    @property
    def same(self) -> Bool:
        """(P,) True where both pictures show one person."""
        found: Bool = self.of.same[self.kept]
        return found

    @property
    def fars(self) -> list[float]:
        """Those of `FARS` that the non-mated pairs support."""
        return [far for far in FARS if rule_of_30(int((~self.same).sum()), far)]


def compare(recognizer: Embeds, pairs: PairSet) -> Scores:
    """Embed the pictures and compare the pairs.

    Raises:
        WeightsError: if a vector is not finite.
        InputError: if no mated or no non-mated pair can be compared.
    """
    vectors: F32 | None = None
    usable = np.ones(len(pairs), bool)
    for place, images, bad in pairs.chunks():
        rows = np.asarray(recognizer.embed(images), np.float32)
        if not np.isfinite(rows).all():
            worst = place.start + int(np.argmax(~np.isfinite(rows).all(1)))
            raise WeightsError(f"{pairs.name}: expected finite vectors, got NaN or infinity for picture {worst}")
        vectors = np.zeros((len(pairs), rows.shape[1]), np.float32) if vectors is None else vectors
        vectors[place] = rows
        usable[bad] = False
    if vectors is None:
        raise InputError(f"{pairs.name}: expected pictures, got none")
    kept = np.flatnonzero(usable[pairs.left] & usable[pairs.right])
    left, right = pairs.left[kept], pairs.right[kept]
    score = np.concatenate(
        [np.zeros(0)]
        + [
            np.einsum("nd,nd->n", vectors[left[i : i + 65536]], vectors[right[i : i + 65536]], dtype=np.float64)
            for i in range(0, len(kept), 65536)
        ]
    )
    made = Scores(pairs, score, kept, len(pairs.same) - len(kept))
    if made.same.all() or not made.same.any():
        raise InputError(f"{pairs.name}: expected mated and non-mated pairs, but too many pictures cannot be decoded")
    return made


def figures(scores: Scores) -> dict[str, float]:
    """Accuracy by folds, equal error rate and true accept rates as numbers, without intervals."""
    mated, other = scores.score[scores.same], scores.score[~scores.same]
    found: dict[str, float] = {}
    if scores.of.folds is not None:
        found["accuracy"] = float(roc.kfold_accuracy(scores.score, scores.same, scores.of.folds[scores.kept])[0].mean())
    found["eer"] = roc.eer(mated, other)
    return found | {f"tar@{far:g}": roc.tar_at_far(mated, other, far) for far in scores.fars}


def measured(scores: Scores, *, rng: np.random.Generator, n_boot: int = _N_BOOT) -> dict[str, Metric]:
    """The same with 95 % intervals of a bootstrap over people, where the set says who is on its pictures.

    Args:
        scores: see `compare`.
        rng: source of the draws.
        n_boot: number of draws.
    """
    mated, plain = int(scores.same.sum()), figures(scores)
    about = f"{mated:,} mated and {len(scores.score) - mated:,} non-mated pairs"
    about += f"; {scores.lost} pairs left out, whose pictures cannot be decoded" if scores.lost else ""
    people = scores.of.people
    if people is None:
        note = f"{about}; no interval: the set does not say who is on the pictures"
        return {name: Metric(value, None, None, "share", len(scores.score), note) for name, value in plain.items()}
    left, right = (people[places[scores.kept]] for places in (scores.of.left, scores.of.right))
    table = ComparisonTable(scores.score, scores.same, left, right, "test")
    found: dict[str, Metric] = {}
    if scores.of.folds is not None:
        found["accuracy"] = fold_accuracy(table, scores.of.folds[scores.kept], rng=rng, n_boot=n_boot).mean
    found["eer"] = separation(table, rng=rng, n_boot=n_boot)["eer"]
    if scores.fars:
        tars = trade_off(from_table(table), scores.fars, rng=rng, n_boot=n_boot).tars
        found |= {f"tar@{far:g}": tar for far, tar in zip(scores.fars, tars, strict=True)}
    return {
        name: Metric(m.value, m.low, m.high, m.unit, m.n, "; ".join(filter(None, (about, m.note))))
        for name, m in found.items()
    }


class Verification:
    """A hook: every `eval_every` steps, and at the end, the figures of some sets, for summary.csv.

    With several ranks the first one measures and the others wait.

    Args:
        sets: what is compared.

    Attributes:
        scores: of every set at the last evaluation, and
        step: after how many steps that was; 0 before the first.

    Raises:
        InputError: if two sets have one name.
    """

    def __init__(self, sets: Sequence[PairSet]) -> None:
        names = [one.name for one in sets]
        if len(set(names)) < len(names):
            raise InputError(f"sets: expected sets of different names, got {', '.join(names)}")
        self.sets = tuple(sets)
        self.scores: tuple[Scores, ...] = ()
        self.step = 0

    def on_eval(self, step: int, run: Any) -> dict[str, float]:
        """NAME.accuracy, NAME.eer, NAME.tar@1e-3 and so on.

        Raises:
            InputError: if what is trained gives no vectors.
        """
        recognizer = run.trainable
        if not hasattr(recognizer, "embed"):
            raise InputError(f"Verification: expected a trainable with `embed`, got {type(recognizer).__name__}")
        if ranks_of(None).rank:
            return {}
        self.scores, self.step = tuple(compare(recognizer, pairs) for pairs in self.sets), step
        return {f"{scores.of.name}.{name}": value for scores in self.scores for name, value in figures(scores).items()}

"""What a fairness report is asked with, and how a gap that grows is answered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vultus.errors import InputError, UnknownMethod
from vultus.types import Metric, checked

__all__ = ["SOURCES", "About", "Disparity", "Groups"]

I64 = NDArray[np.int64]

SOURCES = ("self_reported", "annotator", "model", "inferred", "simulated")


@dataclass(frozen=True, slots=True, eq=False)
class Groups:
    """Which group each subject belongs to, and who says so.

    Attributes:
        key: what divides them: "age", "skin tone", ...
        names: one per group.
        labels: (S,) group of each subject as an index into `names`, -1 where it is not known; subject s of a
            comparison table is row s.
        source: where the labels come from, one of `SOURCES`; several words joined by " + " where they were mixed
            knowingly.
        tried: (S,) pictures of each subject, or None when failures were not counted.
        failed: (S,) those of them without an enrolled face.
    """

    key: str
    names: tuple[str, ...]
    labels: I64
    source: str
    tried: I64 | None = None
    failed: I64 | None = None

    def __post_init__(self) -> None:
        labels = checked("labels", self.labels, (None,), np.int64)
        if len(labels) and not -1 <= int(labels.min()) <= int(labels.max()) < len(self.names):
            raise InputError(f"labels: expected -1 or an index below {len(self.names)}, got {labels.max()}")
        if len(set(self.names)) != len(self.names):
            raise InputError(f"names: expected each group once, got {', '.join(self.names)}")
        if "pooled" in self.names:
            raise InputError("names: expected groups, got one called pooled, which stands for everybody in a report")
        for word in self.source.split(" + "):
            if word not in SOURCES:
                raise UnknownMethod(word, SOURCES, what="source of labels")
        if (self.tried is None) != (self.failed is None):
            raise InputError("tried, failed: expected both or neither")
        object.__setattr__(self, "labels", labels)
        if self.tried is not None and self.failed is not None:
            tried = checked("tried", self.tried, labels.shape, np.int64)
            failed = checked("failed", self.failed, labels.shape, np.int64)
            if ((failed < 0) | (failed > tried)).any():
                raise InputError("failed: expected from 0 to as many as were tried")
            object.__setattr__(self, "tried", tried)
            object.__setattr__(self, "failed", failed)

    @staticmethod
    def of(
        values: Sequence[str | None],
        source: str | Sequence[str],
        *,
        key: str = "group",
        mix_sources: bool = False,
        pictures: tuple[ArrayLike, ArrayLike] | None = None,
    ) -> Groups:
        """Groups from one word per subject.

        Args:
            values: (S,) name of each subject's group; None or "" where it is not known.
            source: where the labels come from: one word for all, or one per subject.
            key: what divides them.
            mix_sources: accept labels of several sources in one report.
            pictures: (N,) subject of each picture that was tried and (N,) True where a face was enrolled.

        Raises:
            InputError: if sources are mixed without saying so, or shapes disagree.
            UnknownMethod: if a source is none of `SOURCES`.
        """
        words = tuple(dict.fromkeys([source] if isinstance(source, str) else source))
        if len(words) > 1 and not mix_sources:
            raise InputError(
                f"source: expected labels of one source, got {', '.join(words)}: an error of the labels would look "
                "like one of the recognizer; report on each alone or pass mix_sources=True"
            )
        names = tuple(sorted({v for v in values if v}))
        number = {name: i for i, name in enumerate(names)}
        labels = np.array([number[v] if v else -1 for v in values], np.int64)
        tried = failed = None
        if pictures is not None:
            whose = checked("pictures[0]", pictures[0], (None,), np.int64)
            found = checked("pictures[1]", pictures[1], whose.shape, np.bool_)
            if len(whose) and not 0 <= int(whose.min()) <= int(whose.max()) < len(labels):
                raise InputError(f"pictures: expected subjects from 0 below {len(labels)}, got {whose.max()}")
            tried = np.bincount(whose, minlength=len(labels))
            failed = np.bincount(whose[~found], minlength=len(labels))
        return Groups(key, names, labels, " + ".join(words), tried, failed)


@dataclass(frozen=True, slots=True)
class About:
    """What a report states about its data.

    Attributes:
        dataset: which data, in words.
        tier: "sim" or "real".
        spaces: embedding space of the scores.
        title: heading of the page.
        trust_model_labels: take labels that a model guessed for the truth; refused unless it is said here.
    """

    dataset: str
    tier: str
    spaces: tuple[str, ...] = ()
    title: str = "Fairness"
    trust_model_labels: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Disparity:
    """How the gap between groups grows with security.

    Attributes:
        levels: (L,) wanted FMRs, falling.
        absolute: largest minus smallest FNMR at each level.
        relative: the same divided by the mean FNMR of the groups.
        growth: the last absolute one minus the first.
        relative_growth: the last relative one minus the first.
    """

    levels: tuple[float, ...]
    absolute: tuple[Metric, ...]
    relative: tuple[Metric, ...]
    growth: Metric
    relative_growth: Metric

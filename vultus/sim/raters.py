"""Simulated people who judge faces: how often each is right is known, and so is every bias.

A pair is seen at a perceived distance D: the distance between the two heads and, weighed, that between the factors of
the two pictures. The log-odds of calling two mated pictures the same are (threshold - D) / width, those of calling two
non-mated pictures different their negative; to both come the effects of the task, of the groups on the question, of
worker and question meeting in one group, of the worker and of the question. A lapse is an answer that has nothing to do
with the question. The same evidence, cut at four places, gives ratings from 1 (different) to 5 (same).

Simulated data: shows the mechanism, not how people are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vultus.errors import InputError
from vultus.sim._people import Factors, Person

__all__ = [
    "Answers",
    "Questions",
    "RaterWorld",
    "Workers",
    "answer",
    "draw_workers",
    "factor_distance",
    "noisy_labels",
    "person_distance",
    "rate",
]

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

_UNITS = {"pose": 30.0, "light": 0.6, "expression": 0.6, "age": 25.0, "look": 1.0}  # what counts as one, per factor
_LOOKS = ("hair_style", "hair_color", "glasses", "hat", "beard", "occluder", "style")


@dataclass(frozen=True)
class RaterWorld:
    """Knobs; every effect is in log-odds of being right.

    Attributes:
        threshold: perceived distance at which same and different are called equally often.
        width: perceived distance that is worth one unit of log-odds.
        nuisance: weight of the factors' distance beside the persons'.
        lapse: share of answers that are thrown instead of given.
        guess: share of answers that would be right without looking; 0 keeps the log-odds linear, as analyses assume.
        task: effect of each task, by name.
        groups: effect of the question's group, by "name=value", such as {"skin=dark": -0.4}.
        own_group: effect where the worker's group is one of the question's.
        worker_sd: deviation of workers.
        question_sd: deviation of questions.
        criterion_sd: deviation of a worker's leaning towards "same", for ratings.
        cuts: four evidences, rising, between the ratings 1 to 5.
    """

    threshold: float = 4.0
    width: float = 1.5
    nuisance: float = 0.8
    lapse: float = 0.02
    guess: float = 0.0
    task: Mapping[str, float] = field(default_factory=lambda: {"verify": 0.0, "identify": -0.8})
    groups: Mapping[str, float] = field(default_factory=dict)
    own_group: float = 0.0
    worker_sd: float = 0.4
    question_sd: float = 0.3
    criterion_sd: float = 0.3
    cuts: tuple[float, float, float, float] = (-1.5, -0.5, 0.5, 1.5)

    def __post_init__(self) -> None:
        for name in ("lapse", "guess"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(f"{name}: expected a share from 0 to below 1, got {getattr(self, name)}")
        for name in ("worker_sd", "question_sd", "criterion_sd", "nuisance"):
            if getattr(self, name) < 0:
                raise InputError(f"{name}: expected 0 or more, got {getattr(self, name)}")
        if self.width <= 0:
            raise InputError(f"width: expected more than 0, got {self.width}")
        if len(self.cuts) != 4 or list(self.cuts) != sorted(self.cuts):
            raise InputError(f"cuts: expected four rising numbers, got {self.cuts}")


@dataclass(frozen=True)
class Questions:
    """Q questions as columns.

    Attributes:
        person: (Q,) distance between the two persons' codes; 0 is the same person.
        factors: (Q,) distance between the two pictures' factors.
        mated: (Q,) whether it is the same person.
        task: a key of `RaterWorld.task`.
        strata: name -> (Q,) group of each question, as {"skin": [...], "gender": [...]}.
        options: among how many the right one is picked; 2 for same or different.
    """

    person: F64
    factors: F64
    mated: NDArray[np.bool_]
    task: str = "verify"
    strata: Mapping[str, NDArray[np.str_]] = field(default_factory=dict)
    options: int = 2

    def __post_init__(self) -> None:
        for name, dtype in (("person", np.float64), ("factors", np.float64), ("mated", np.bool_)):
            object.__setattr__(self, name, np.array(getattr(self, name), dtype))
        strata = {name: np.array(values, np.str_) for name, values in self.strata.items()}
        object.__setattr__(self, "strata", strata)
        columns = {"person": self.person, "factors": self.factors, "mated": self.mated, **strata}
        wrong = [name for name, column in columns.items() if column.shape != (len(self.person),)]
        if wrong or not len(self.person):
            raise InputError(
                f"questions: expected columns of one length, at least 1; not so: {', '.join(wrong) or 'all'}"
            )
        distances = np.concatenate([self.person, self.factors])
        if not np.isfinite(distances).all() or (distances < 0).any():
            raise InputError("questions: expected distances of 0 or more, got negative or infinite ones")
        if (self.mated & (self.person > 0)).any():
            raise InputError("questions: expected a distance of 0 between the persons of mated pairs")
        if self.options < 2:
            raise InputError(f"options: expected at least 2, got {self.options}")

    def __len__(self) -> int:
        return len(self.person)


@dataclass(frozen=True)
class Workers:
    """W workers: skill and leaning (log-odds), and the group of each, or ""."""

    skill: F64
    leaning: F64
    group: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.skill)


@dataclass(frozen=True)
class Answers:
    """What came back, as columns over answers, and what is true.

    Attributes:
        worker, question: (A,) indices.
        value: (A,) 1 same and 0 different; the option picked, 0 being the right one; or a rating from 1 to 5.
        correct: (A,) whether it was right; of a rating, whether it lies on the right side (3 does not).
        rt_s: (A,) seconds.
        lapsed: (A,) truth: thrown.
        log_odds: (A,) truth: of being right, without lapse and guess.
        bias: truth: the planted effects by name.
    """

    worker: I64
    question: I64
    value: I64
    correct: NDArray[np.bool_]
    rt_s: F64
    lapsed: NDArray[np.bool_]
    log_odds: F64
    bias: Mapping[str, float]


def person_distance(a: Person, b: Person) -> float:
    """Three times the root mean square difference of two heads' codes: strangers lie around 4, one person at 0."""
    codes = [np.concatenate([p.z_shape, p.z_albedo]) for p in (a, b)]
    return 3.0 * float(np.sqrt(np.square(codes[0] - codes[1]).mean()))


def factor_distance(a: Factors, b: Factors) -> float:
    """How differently two pictures were taken: 0 for the same, about 1 for 30 degrees or 25 years alone."""
    parts = {
        "pose": float(np.linalg.norm(a.pose_deg - b.pose_deg)),
        "light": float(np.linalg.norm(a.light_sh * a.light_gain - b.light_sh * b.light_gain) / math.sqrt(3)),
        "expression": float(np.linalg.norm(a.expression - b.expression)),
        "age": abs(a.age - b.age),
        "look": 0.5 * sum(getattr(a, name) != getattr(b, name) for name in _LOOKS),
    }
    return math.sqrt(sum((value / _UNITS[name]) ** 2 for name, value in parts.items()))


def draw_workers(
    rng: np.random.Generator, count: int, world: RaterWorld | None = None, groups: Sequence[str] = ("",)
) -> Workers:
    """Draw workers; their groups come in turn, so that all are as large as they can be.

    Raises:
        InputError: no worker, or no group.
    """
    world = world or RaterWorld()
    if count < 1 or not groups:
        raise InputError(f"count, groups: expected at least one worker and one group, got {count} and {list(groups)}")
    group = np.array([groups[k % len(groups)] for k in range(count)], np.str_)
    return Workers(rng.normal(0, world.worker_sd, count), rng.normal(0, world.criterion_sd, count), group)


def answer(
    questions: Questions,
    workers: Workers,
    rng: np.random.Generator,
    world: RaterWorld | None = None,
    *,
    per_question: int | None = None,
) -> Answers:
    """Let workers answer.

    Args:
        questions: of one task.
        workers: who.
        rng: of everything that is drawn here.
        world: knobs.
        per_question: how many different workers see each question; None: all.

    Raises:
        InputError: an unknown task, or more workers per question than there are.
    """
    world = world or RaterWorld()
    worker, question, log_odds, lapsed, bias = _asked(questions, workers, rng, world, per_question)
    right = rng.random(len(worker)) < world.guess + (1 - world.guess) / (1 + np.exp(-log_odds))
    thrown = rng.integers(0, questions.options, len(worker))
    others = 1 + rng.integers(0, questions.options - 1, len(worker))
    if questions.task == "identify":
        value = np.where(lapsed, thrown, np.where(right, 0, others))
        correct = value == 0
    else:
        mated = questions.mated[question].astype(np.int64)
        value = np.where(lapsed, thrown % 2, np.where(right, mated, 1 - mated))
        correct = value == mated
    return Answers(worker, question, value, correct, _seconds(rng, log_odds, lapsed), lapsed, log_odds, bias)


def rate(
    questions: Questions,
    workers: Workers,
    rng: np.random.Generator,
    world: RaterWorld | None = None,
    *,
    per_question: int | None = None,
) -> Answers:
    """Let workers say on five points how sure they are that two pictures show one person: 1 different, 5 the same.

    Args:
        questions: of one task.
        workers: who.
        rng: of everything that is drawn here.
        world: knobs.
        per_question: how many different workers see each question; None: all.

    Raises:
        InputError: as `answer`.
    """
    world = world or RaterWorld()
    worker, question, log_odds, lapsed, bias = _asked(questions, workers, rng, world, per_question)
    mated = questions.mated[question]
    evidence = np.where(mated, log_odds, -log_odds) + workers.leaning[worker] + rng.logistic(size=len(worker))
    value = 1 + np.searchsorted(np.array(world.cuts), evidence)
    value = np.where(lapsed, rng.integers(1, 6, len(worker)), value).astype(np.int64)
    correct = np.where(mated, value > 3, value < 3)
    return Answers(worker, question, value, correct, _seconds(rng, log_odds, lapsed), lapsed, log_odds, bias)


def noisy_labels(labels: ArrayLike, classes: int, error: float, rng: np.random.Generator) -> I64:
    """What an annotator says who is wrong with a given probability, evenly among the other classes.

    Args:
        labels: (N,) true classes, 0 to `classes` - 1.
        classes: how many there are, at least 2.
        error: probability of a wrong one.
        rng: of the draws.

    Raises:
        InputError: labels or numbers out of range.
    """
    true = np.asarray(labels, np.int64)
    if classes < 2 or not 0 <= error <= 1 or (len(true) and not 0 <= true.min() <= true.max() < classes):
        raise InputError(
            f"expected labels of 0 to classes - 1, 2 classes and an error of 0 to 1, got {classes}, {error}"
        )
    wrong = rng.random(true.shape) < error
    return np.where(wrong, (true + rng.integers(1, classes, true.shape)) % classes, true)


_Asked = tuple[I64, I64, F64, NDArray[np.bool_], dict[str, float]]


def _asked(
    questions: Questions, workers: Workers, rng: np.random.Generator, world: RaterWorld, per_question: int | None
) -> _Asked:
    """Who is asked what, the log-odds of being right, which answers are thrown, and the planted effects."""
    if questions.task not in world.task:
        raise InputError(f"task: expected one of {', '.join(world.task)}; got {questions.task!r}")
    seen = len(workers) if per_question is None else per_question
    if not 1 <= seen <= len(workers):
        raise InputError(f"per_question: expected 1 to {len(workers)} workers, got {seen}")
    count = len(questions)
    worker = np.argsort(rng.random((count, len(workers))), axis=1)[:, :seen].ravel().astype(np.int64)
    question = np.repeat(np.arange(count), seen)
    perceived = np.hypot(questions.person, world.nuisance * questions.factors)
    clear = (world.threshold - perceived) / world.width
    ability = np.where(questions.mated, clear, -clear) + world.task[questions.task]
    own = np.zeros(len(worker), np.bool_)
    for name, values in questions.strata.items():
        ability = ability + np.array([world.groups.get(f"{name}={value}", 0.0) for value in values])
        own |= (workers.group[worker] == values[question]) & (workers.group[worker] != "")
    ability = ability + rng.normal(0, world.question_sd, count)
    log_odds = ability[question] + workers.skill[worker] + world.own_group * own
    bias = {**dict(world.groups), "own_group": world.own_group, f"task={questions.task}": world.task[questions.task]}
    return worker, question, log_odds, rng.random(len(worker)) < world.lapse, bias


def _seconds(rng: np.random.Generator, log_odds: F64, lapsed: NDArray[np.bool_]) -> F64:
    """Longer where it is close; a thrown answer takes no thought."""
    return np.asarray(np.exp(np.where(lapsed, 0.0, 1.2 - 0.15 * np.abs(log_odds)) + rng.normal(0, 0.35, len(log_odds))))

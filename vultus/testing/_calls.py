"""How the objects of each contract are called with drawn faces, what must come back and what must be refused."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vultus import contracts
from vultus.testing.pictures import drawn_crops, drawn_scene
from vultus.types import CropSpec, Detections, Embedded

Arrays = tuple[NDArray[Any], ...]
Bad = tuple[str, Callable[[], object]]


@dataclass(frozen=True)
class Contract:
    """How the objects of one contract are called and what comes back.

    Attributes:
        protocol: the class of `vultus.contracts`.
        items: a few inputs, drawn for this object.
        call: the object on a list of items (which all lie on one picture, where there is one): one result per item.
        output: raises where a result is not what the contract says.
        wrong: calls that must raise InputError, with what is wrong in words.
        tolerance: largest allowed difference between batch and one by one, absolute.
    """

    protocol: type
    items: Callable[[Any, np.random.Generator], list[Arrays]]
    call: Callable[[Any, list[Arrays]], list[Arrays]]
    output: Callable[[Any, list[Arrays], list[Arrays]], None]
    wrong: Callable[[Any, list[Arrays]], list[Bad]]
    tolerance: float


def hold(true: bool, otherwise: str) -> None:
    if not true:
        raise AssertionError(otherwise)


def _same_kind(what: str, array: Any, shape: tuple[int, ...], dtype: Any) -> None:
    hold(isinstance(array, np.ndarray), f"{what}: expected an array, got {type(array).__name__}")
    hold(array.shape == shape, f"{what}: expected shape {shape}, got {array.shape}")
    hold(array.dtype == dtype, f"{what}: expected {np.dtype(dtype)}, got {array.dtype}")
    hold(bool(np.isfinite(array).all()), f"{what}: not every number is finite")


def close(left: Sequence[Arrays], right: Sequence[Arrays], tolerance: float, otherwise: str) -> None:
    for item, (one, other) in enumerate(zip(left, right, strict=True)):
        hold(len(one) == len(other), f"{otherwise}: item {item} has {len(one)} and {len(other)} parts")
        for a, b in zip(one, other, strict=True):
            hold(a.shape == b.shape, f"{otherwise}: item {item} has shapes {a.shape} and {b.shape}")
            apart = float(np.abs(a.astype(np.float64) - b.astype(np.float64)).max(initial=0.0))
            hold(apart <= tolerance, f"{otherwise}: item {item} by up to {apart:g}, allowed {tolerance:g}")


def _pictures(subject: Any, rng: np.random.Generator) -> list[Arrays]:
    sizes = [(240, 320), (320, 200), (96, 128), (240, 320)]
    scenes = [drawn_scene(rng, n=n, size_hw=size_hw)[0] for n, size_hw in zip((2, 1, 1, 3), sizes, strict=True)]
    return [(picture,) for picture in scenes]


def _call_detector(subject: Any, items: list[Arrays]) -> list[Arrays]:
    found = subject.detect([picture for (picture,) in items])
    return [(f.boxes, f.scores) if f.points is None else (f.boxes, f.scores, f.points) for f in found]


def _output_of_detector(subject: Any, items: list[Arrays], results: list[Arrays]) -> None:
    found = subject.detect([picture for (picture,) in items])
    hold(isinstance(found, list), f"expected a list, got {type(found).__name__}")
    for (picture,), each in zip(items, found, strict=True):
        hold(isinstance(each, Detections), f"expected Detections, got {type(each).__name__}")
        height, width = picture.shape[:2]
        hold(bool((np.diff(each.scores) <= 0).all()), f"scores do not fall: {each.scores}")
        hold(bool(((each.scores >= 0) & (each.scores <= 1)).all()), f"scores leave [0, 1]: {each.scores}")
        hold(bool((each.boxes[:, 2:] >= each.boxes[:, :2]).all()), f"a box is turned inside out: {each.boxes}")
        inside = (each.boxes >= -1e-3) & (each.boxes <= np.array([width, height] * 2) + 1e-3)
        hold(bool(inside.all()), f"a box leaves the picture of {height} x {width}: {each.boxes}")
        best = subject.detect([picture], max_faces=1)[0]
        close([(best.boxes,)], [(each.boxes[:1],)], 1e-2, "max_faces=1 is not the best face")
        hold(len(subject.detect([picture], min_score=1.0)[0]) == int((each.scores >= 1).sum()), "min_score is not kept")


def _wrong_for_detector(subject: Any, items: list[Arrays]) -> list[Bad]:
    good = items[0][0]
    pictures: list[tuple[str, Any]] = [
        ("a picture of float32", [good.astype(np.float32)]),
        ("a gray picture", [good[..., 0]]),
        ("a picture with alpha", [np.dstack([good, good[..., :1]])]),
        ("a picture without pixels", [good[:0]]),
        ("one picture instead of a list", good),
        ("a good and a bad picture", [good, good[..., :2]]),
        ("a path", ["face.jpg"]),
        ("None", [None]),
    ]
    calls: list[Bad] = [(what, partial(subject.detect, bad)) for what, bad in pictures]
    calls += [(f"min_score {s}", partial(subject.detect, [good], min_score=s)) for s in (float("nan"), -0.1, 1.5)]
    calls += [(f"max_faces {n}", partial(subject.detect, [good], max_faces=n)) for n in (0, -1)]
    return calls


def _crops(subject: Any, rng: np.random.Generator) -> list[Arrays]:
    return [(crop,) for crop in drawn_crops(rng, n=3, size_hw=subject.crop.size_hw)]


def _stack(subject: Any, items: list[Arrays]) -> NDArray[Any]:
    if items:
        return np.stack([crop for (crop,) in items]) if len(items) > 1 else items[0][0][None]
    return np.zeros((0, *subject.crop.size_hw, 3), np.uint8)


def _call_embedder(subject: Any, items: list[Arrays]) -> list[Arrays]:
    made = subject.embed(_stack(subject, items))
    return [(vector,) for vector in made.vec]


def _output_of_embedder(subject: Any, items: list[Arrays], results: list[Arrays]) -> None:
    made = subject.embed(_stack(subject, items))
    hold(isinstance(made, Embedded), f"expected Embedded, got {type(made).__name__}")
    hold(made.vec.shape == (len(items), subject.dim), f"vectors of shape {made.vec.shape}, dim says {subject.dim}")
    hold(bool(re.fullmatch(r"\S+@[0-9a-f]{12}", made.space)), f"space: expected name@12 hex digits, got {made.space!r}")
    hold(made.space == subject.space, f"the vectors are of space {made.space!r}, the object says {subject.space!r}")
    hold(made.norm is None or bool((made.norm > 0).all()), f"norms are not positive: {made.norm}")
    hold(isinstance(subject.crop, CropSpec), f"crop: expected a CropSpec, got {type(subject.crop).__name__}")
    apart = np.abs(made.vec[0] - made.vec[1]).max()
    hold(bool(apart > 1e-4), "two different faces have the same vector")
    empty = subject.embed(_stack(subject, []))
    hold(empty.vec.shape == (0, subject.dim), f"no crops: expected (0, {subject.dim}), got {empty.vec.shape}")


def _wrong_for_embedder(subject: Any, items: list[Arrays]) -> list[Bad]:
    good = _stack(subject, items)
    bad: list[tuple[str, Any]] = [
        ("crops of float32", good.astype(np.float32) / 255),
        ("one crop instead of a batch", good[0]),
        ("gray crops", good[..., 0]),
        ("crops of another size", good[:, 1:]),
        ("crops with alpha", np.concatenate([good, good[..., :1]], axis=3)),
        ("None", None),
    ]
    return [(what, partial(subject.embed, value)) for what, value in bad]


_SPEC = CropSpec("arcface112", (112, 112))


def _faces(subject: Any, rng: np.random.Generator) -> list[Arrays]:
    """Faces of one picture, as (picture, box, points) each."""
    picture, faces = drawn_scene(rng, n=3, size_hw=(240, 480))
    points: Any = faces.points
    return [(picture, box, five) for box, five in zip(faces.boxes, points, strict=True)]


def _picture_of(items: list[Arrays]) -> NDArray[Any]:
    return items[0][0] if items else np.zeros((64, 64, 3), np.uint8)


def _columns(items: list[Arrays], column: int, *shape: int) -> NDArray[Any]:
    if len(items) == 1:
        return items[0][column][None]
    return np.stack([item[column] for item in items]) if items else np.zeros((0, *shape), np.float32)


def _boxes(items: list[Arrays]) -> NDArray[Any]:
    return _columns(items, 1, 4)


def _points(items: list[Arrays]) -> NDArray[Any]:
    return _columns(items, 2, 5, 2)


def _wrong_pictures(good: NDArray[Any], call: Callable[[Any], object]) -> list[Bad]:
    bad: list[tuple[str, Any]] = [
        ("a picture of float32", good.astype(np.float32)),
        ("a gray picture", good[..., 0]),
        ("a picture without pixels", good[:0]),
        ("None as a picture", None),
    ]
    return [(what, partial(call, value)) for what, value in bad]


def _wrong_points(good: NDArray[Any], call: Callable[[Any], object]) -> list[Bad]:
    holed = good.copy()
    holed[0, 0, 0] = np.nan
    bad: list[tuple[str, Any]] = [
        ("points of one face instead of N", good[0]),
        ("four points per face", good[:, :4]),
        ("points with a third coordinate", np.concatenate([good, good[..., :1]], axis=2)),
        ("NaN points", holed),
        ("words as points", "eyes"),
    ]
    return [(what, partial(call, value)) for what, value in bad]


def _call_aligner(subject: Any, items: list[Arrays]) -> list[Arrays]:
    crops, matrices = subject.align(_picture_of(items), _points(items), _SPEC)
    return list(zip(crops, matrices, strict=True))


def _output_of_aligner(subject: Any, items: list[Arrays], results: list[Arrays]) -> None:
    for spec in (_SPEC, CropSpec("dlib150", (150, 150))):
        crops, matrices = subject.align(_picture_of(items), _points(items), spec)
        _same_kind("crops", crops, (len(items), *spec.size_hw, 3), np.uint8)
        _same_kind("matrices", matrices, (len(items), 2, 3), np.float32)
        moved = np.einsum("nij,nkj->nki", matrices[:, :, :2], _points(items)) + matrices[:, None, :, 2]
        inside = (moved >= 0) & (moved < np.array(spec.size_hw[::-1]))
        hold(bool(inside.all()), f"matrices lead from picture to crop, but put points at {moved[~inside.all(axis=2)]}")


def _wrong_for_aligner(subject: Any, items: list[Arrays]) -> list[Bad]:
    picture, points = _picture_of(items), _points(items)
    return [
        *_wrong_pictures(picture, lambda value: subject.align(value, points, _SPEC)),
        *_wrong_points(points, lambda value: subject.align(picture, value, _SPEC)),
        ("five equal points", lambda: subject.align(picture, np.full((1, 5, 2), 7, np.float32), _SPEC)),
        ("an unknown template", lambda: subject.align(picture, points, CropSpec("passport", (112, 112)))),
    ]


def _call_refiner(subject: Any, items: list[Arrays]) -> list[Arrays]:
    return [(five,) for five in subject.refine(_picture_of(items), _points(items))]


def _output_of_refiner(subject: Any, items: list[Arrays], results: list[Arrays]) -> None:
    _same_kind("points", subject.refine(_picture_of(items), _points(items)), (len(items), 5, 2), np.float32)


def _wrong_for_refiner(subject: Any, items: list[Arrays]) -> list[Bad]:
    picture, points = _picture_of(items), _points(items)
    return [
        *_wrong_pictures(picture, lambda value: subject.refine(value, points)),
        *_wrong_points(points, lambda value: subject.refine(picture, value)),
        ("five equal points", lambda: subject.refine(picture, np.full((1, 5, 2), 7, np.float32))),
    ]


def _call_landmarker(subject: Any, items: list[Arrays]) -> list[Arrays]:
    return [(points,) for points in subject.points(_picture_of(items), _boxes(items))]


def _output_of_landmarker(subject: Any, items: list[Arrays], results: list[Arrays]) -> None:
    _same_kind("points", subject.points(_picture_of(items), _boxes(items)), (len(items), 68, 2), np.float32)


def _wrong_for_landmarker(subject: Any, items: list[Arrays]) -> list[Bad]:
    picture, boxes = _picture_of(items), _boxes(items)
    bad = [
        ("one box instead of N", boxes[0]),
        ("NaN boxes", np.full_like(boxes, np.nan)),
        ("boxes without area", np.concatenate([boxes[:, :2], boxes[:, :2]], axis=1)),
    ]
    calls: list[Bad] = [(what, partial(subject.points, picture, value)) for what, value in bad]
    return calls + _wrong_pictures(picture, lambda value: subject.points(value, boxes))


def _detections(items: list[Arrays]) -> Detections:
    return Detections(_boxes(items), np.ones(len(items), np.float32), _points(items))


def _call_quality(subject: Any, items: list[Arrays]) -> list[Arrays]:
    return [(np.asarray(score),) for score in subject.score(_picture_of(items), _detections(items))]


def _output_of_quality(subject: Any, items: list[Arrays], results: list[Arrays]) -> None:
    scores = subject.score(_picture_of(items), _detections(items))
    _same_kind("scores", scores, (len(items),), np.float32)
    hold(bool(((scores >= 0) & (scores <= 1)).all()), f"scores leave [0, 1]: {scores}")


def _wrong_for_quality(subject: Any, items: list[Arrays]) -> list[Bad]:
    return _wrong_pictures(_picture_of(items), lambda value: subject.score(value, _detections(items)))


def _libraries(subject: Any, rng: np.random.Generator) -> list[Arrays]:
    """Vectors of a few people with must-links and cannot-links, as (vectors, must, cannot) each."""
    return [_library(rng, n, people) for n, people in ((40, 5), (17, 3), (2, 1), (1, 1))]


def _library(rng: np.random.Generator, n: int, people: int) -> Arrays:
    who = rng.integers(people, size=n)
    rows = 3 * rng.standard_normal((people, 32))[who] + rng.standard_normal((n, 32))
    rows[n // 2 :: 7] = rows[0]  # duplicates
    pairs = rng.permutation(n)[: n // 4 * 4].reshape(-1, 2)
    half = len(pairs) // 2  # each face in one pair at most: nothing is contradicted
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit.astype(np.float32), pairs[:half], pairs[half:]


def _call_clusterer(subject: Any, items: list[Arrays]) -> list[Arrays]:
    return [(subject.cluster(rows, must_link=must, cannot_link=cannot),) for rows, must, cannot in items]


def _output_of_clusterer(subject: Any, items: list[Arrays], results: list[Arrays]) -> None:
    for (rows, must, cannot), (labels,) in zip(items, results, strict=True):
        for made, linked in ((labels, True), (subject.cluster(rows), False)):
            _same_kind("labels", made, (len(rows),), np.int64)
            names, first = np.unique(made[made >= 0], return_index=True)
            hold(bool((made >= -1).all()), f"labels below -1: {made}")
            hold(np.array_equal(names, np.arange(len(names))), f"labels are not 0 to K - 1: {names}")
            hold(bool((np.diff(first) > 0).all()), f"clusters are not numbered by their first face: {made}")
            if linked and len(must):
                together = (made[must[:, 0]] == made[must[:, 1]]) & (made[must[:, 0]] >= 0)
                hold(bool(together.all()), f"must_link is not kept: {must[~together]}")
                broken = (made[cannot[:, 0]] == made[cannot[:, 1]]) & (made[cannot[:, 0]] >= 0)
                hold(not broken.any(), f"cannot_link is not kept: {cannot[broken]}")
    rows = items[0][0]
    _same_kind("labels of nothing", subject.cluster(rows[:0]), (0,), np.int64)
    _same_kind("labels of one face", subject.cluster(rows[:1]), (1,), np.int64)
    tied = subject.cluster(rows[:2], must_link=[[0, 1]])
    hold(tied.tolist() == [0, 0], f"two must-linked faces are no cluster: {tied}")


def _wrong_for_clusterer(subject: Any, items: list[Arrays]) -> list[Bad]:
    rows = items[0][0]
    holed = rows.copy()
    holed[0, 0] = np.nan
    bad: list[tuple[str, Any]] = [
        ("NaN in a vector", holed),
        ("one vector instead of N", rows[0]),
        ("vectors of another length than 1", 2 * rows),
        ("words", "faces"),
        ("None", None),
    ]
    calls: list[Bad] = [(what, partial(subject.cluster, value)) for what, value in bad]
    links: list[tuple[str, Any]] = [
        ("a face that is not there", [[0, len(rows)]]),
        ("a negative index", [[-1, 0]]),
        ("triples", [[0, 1, 2]]),
        ("indices with a fraction", [[0.5, 1.0]]),
        ("names", [["Ann", "Bob"]]),
    ]
    for what, value in links:
        calls += [
            (f"must_link: {what}", partial(subject.cluster, rows, must_link=value)),
            (f"cannot_link: {what}", partial(subject.cluster, rows, cannot_link=value)),
        ]
    return [
        *calls,
        ("a face that is not itself", partial(subject.cluster, rows, cannot_link=[[3, 3]])),
        ("a contradiction", partial(subject.cluster, rows, must_link=[[0, 1], [1, 2]], cannot_link=[[2, 0]])),
    ]


def _vectors(subject: Any, rng: np.random.Generator) -> list[Arrays]:
    return [(row,) for row in _labeled(rng)[0][:4]]


def _labeled(rng: np.random.Generator) -> Arrays:
    """Vectors of 30 people, four each, and who they are."""
    who = np.repeat(np.arange(30), 4)
    return 2 * rng.standard_normal((30, 6))[who] + rng.standard_normal((120, 6)), who


def _taught(subject: Any) -> Arrays:
    known, who = _labeled(np.random.default_rng(0))
    subject.fit(known, who)
    return known, who


def _call_comparator(subject: Any, items: list[Arrays]) -> list[Arrays]:
    known, _ = _taught(subject)
    asked = np.stack([row for (row,) in items]) if items else np.zeros((0, 6))
    return [(row,) for row in subject.scores(asked, known[:8])]


def _output_of_comparator(subject: Any, items: list[Arrays], results: list[Arrays]) -> None:
    known, who = _taught(subject)
    table = subject.scores(known, known)
    _same_kind("scores", table, (len(known), len(known)), np.float64)
    hold(bool(np.allclose(table, table.T, rtol=1e-9, atol=1e-9)), "scores depend on which of the two comes first")
    alike, apart = table[(who[:, None] == who) & ~np.eye(len(who), dtype=bool)], table[who[:, None] != who]
    hold(bool(alike.mean() > apart.mean()), "scores do not rise with likeness")


def _wrong_for_comparator(subject: Any, items: list[Arrays]) -> list[Bad]:
    known, who = _taught(subject)
    holed = known.copy()
    holed[0, 0] = np.nan
    bad: list[tuple[str, Any]] = [("NaN in a vector", holed), ("one vector instead of N", known[0]), ("None", None)]
    calls: list[Bad] = [(f"fit: {what}", partial(subject.fit, value, who)) for what, value in bad]
    calls += [(f"scores: {what}", partial(subject.scores, value, known)) for what, value in bad]
    return [
        *calls,
        ("vectors of another width", partial(subject.scores, known[:, :-1], known)),
        ("too few labels", partial(subject.fit, known, who[:-1])),
        ("one person", partial(subject.fit, known, np.zeros(len(who), int))),
        ("one picture a person", partial(subject.fit, known[::4], who[::4])),
    ]


CONTRACTS = {
    "detector": Contract(
        contracts.Detector, _pictures, _call_detector, _output_of_detector, _wrong_for_detector, tolerance=1e-2
    ),
    "aligner": Contract(
        contracts.Aligner, _faces, _call_aligner, _output_of_aligner, _wrong_for_aligner, tolerance=1e-5
    ),
    "refiner": Contract(
        contracts.Refiner, _faces, _call_refiner, _output_of_refiner, _wrong_for_refiner, tolerance=1e-2
    ),
    "landmarker": Contract(
        contracts.Landmarker, _faces, _call_landmarker, _output_of_landmarker, _wrong_for_landmarker, tolerance=1e-2
    ),
    "embedder": Contract(
        contracts.Embedder, _crops, _call_embedder, _output_of_embedder, _wrong_for_embedder, tolerance=1e-5
    ),
    "quality": Contract(
        contracts.QualityEstimator, _faces, _call_quality, _output_of_quality, _wrong_for_quality, tolerance=1e-5
    ),
    "clusterer": Contract(
        contracts.Clusterer, _libraries, _call_clusterer, _output_of_clusterer, _wrong_for_clusterer, tolerance=0.0
    ),
    "comparator": Contract(
        contracts.Comparator, _vectors, _call_comparator, _output_of_comparator, _wrong_for_comparator, tolerance=1e-9
    ),
}

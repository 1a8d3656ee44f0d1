"""Small sets to train and test recognizers on in minutes: who is in them and which pairs are compared is fixed.

    ytf_fr   real faces of videos: 180 people to train on, 70 others to test on; mated pairs are of two videos
    sim_fr   simulated faces: shows a mechanism, not accuracy in the field
    lfw_fr   a second test for what was trained on ytf_fr: View 2 of LFW without the people of its training part

Crops are aligned by five points to the template `arcface112`.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vultus.contracts import Detector
from vultus.errors import InputError
from vultus.io.datasets import lfw_pairs
from vultus.io.datasets.youtube_faces import VideoFrames, cross_video, youtube_faces
from vultus.ops import warp
from vultus.sim import faces
from vultus.train._pairs import NonMated
from vultus.train.data import Pictures
from vultus.types import F32, U8, checked

__all__ = ["Miniature", "compared", "lfw_fr", "plausible", "sim_fr", "training_people", "ytf_fr"]

I64 = NDArray[np.int64]
Bool = NDArray[np.bool_]

_TRAIN_SHARE = 180 / 250
_MOST_RESIDUAL = 6.0  # pixels of a crop of 112
_TIMES = 10  # non-mated pairs for each mated one
_FUNNELED = ((103.44, 111.25), (146.72, 110.87), (125.89, 137.68), (105.82, 156.60), (145.13, 156.53))
# median of the five points that YuNet finds in 600 deep-funneled pictures of 250 x 250


@dataclass(frozen=True, slots=True, eq=False)
class Miniature:
    """Pictures to train on, pictures of other people to test on, and the pairs to compare.

    Attributes:
        train, test: no person is in both; `train` is empty where a set only tests.
        left, right: (P,) indices into `test`.
        same: (P,) True where both show one person.
        folds: (P,) fold of each pair, or None where the protocol has none.
        left_out: what was left out of the published set and why, in words.
    """

    train: Pictures
    test: Pictures
    left: I64
    right: I64
    same: Bool
    folds: I64 | None = None
    left_out: tuple[str, ...] = ()

    def __repr__(self) -> str:
        mated = int(self.same.sum())
        return f"Miniature({self.train!r}, {self.test!r}, {mated} mated and {len(self.same) - mated} non-mated pairs)"


def ytf_fr(data: str | os.PathLike[str], size: int = 56, *, seed: int = 0) -> Miniature:
    """YouTube Faces in small: pictures of 250 people from three or four videos each.

    Of every 250 people 180 are trained on; who, follows from the names alone. All mated pairs of the test people that
    are of two videos are compared, and ten times as many non-mated ones. Pictures whose points cannot be right are left
    out; see `plausible`.

    Args:
        data: folder of data sets, which holds `ytf_faces`, or that folder itself.
        size: side of the crops in pixels.
        seed: of the drawn pairs.

    Raises:
        InputError: no such set, or one without people to test.
        StoreError: the system refuses to read it.
    """
    frames = youtube_faces(_inside(data, "ytf_faces"), name="ytf_fr")
    rows = np.flatnonzero(plausible(frames))
    crops, five = _aligned((frames.dataset.read(int(i)).pixels for i in rows), frames.points5[rows], size)
    dataset = frames.dataset
    # a video has its number for one person only: apart tells videos of all people apart
    apart = dataset.subjects[rows] * 10 + frames.videos[rows]
    everyone = Pictures(
        crops, dataset.subjects[rows], dataset.names, five, apart, dataset.name, dataset.tier, dataset.license
    )
    trained = set(training_people(dataset.names))
    train = everyone.subset(people=[k for k, name in enumerate(dataset.names) if name in trained])
    test = everyone.subset(people=[k for k, name in enumerate(dataset.names) if name not in trained])
    left, right = cross_video(test.labels, _apart(test))
    if not len(left):
        raise InputError(f"{data}: expected test people with two videos or more, got {test!r}")
    gone = f"{len(frames) - len(rows)} of {len(frames)} pictures, whose points cannot be right"
    return Miniature(train, test, *compared(test.labels, left, right, seed=seed), left_out=(gone,))


def sim_fr(
    people: int = 200,
    per_person: int = 10,
    test_people: int = 100,
    size: int = 56,
    *,
    seed: int = 0,
    world: faces.World | None = None,
    cache: str | os.PathLike[str] | None = None,
) -> Miniature:
    """Simulated people; all mated pairs of the test people are compared, and ten times as many non-mated ones.

    Args:
        people: to train on, of the split "base".
        per_person: pictures of each.
        test_people: to test on, of the split "test".
        size: side of the crops in pixels.
        seed: of the drawn pairs; people and pictures are always the same.
        world: what varies; its `duplicates`, `wrong` and `label_noise` are in the training part only.
        cache: folder in which the rendered pictures are kept for the next time; None renders anew.

    Raises:
        InputError: if there are not that many people or a number is out of range.
        StoreError: if the pictures cannot be kept.
    """
    knobs = world or faces.World()
    clean = replace(knobs, duplicates=0.0, wrong=0.0, label_noise=0.0)
    if cache is None:
        with tempfile.TemporaryDirectory(prefix="vultus-sim-") as folder:
            return sim_fr(people, per_person, test_people, size, seed=seed, world=world, cache=folder)
    train = _simulated(faces.build_shards(knobs, people, per_person, 2 * size, cache, lod=0), size)
    test = _simulated(faces.build_shards(clean, test_people, per_person, 2 * size, cache, split="test", lod=0), size)
    left, right = cross_video(test.labels, np.arange(len(test)))
    if not len(left) or test.classes < 2:
        raise InputError(
            f"test_people, per_person: expected at least 2 and 2, got {test_people} and {per_person}: "
            "no pair is mated, or none is not"
        )
    return Miniature(train, test, *compared(test.labels, left, right, seed=seed))


def lfw_fr(data: str | os.PathLike[str], size: int = 56, *, detector: Detector | None = None) -> Miniature:
    """View 2 of LFW, deep-funneled, without the pairs that name a training person of `ytf_fr`.

    Args:
        data: folder of data sets, which holds `lfw_deepfunneled`, `lfw_meta` and `ytf_faces`.
        size: side of the crops in pixels.
        detector: finds the five points of the face in the middle. None takes one place for all pictures, since deep
            funneling has aligned them: half of the crops are then within 3.5 of 112 pixels of where YuNet would put
            them, and 5 % are 9 or more away.

    Returns:
        An empty `train`, and pairs in the ten folds of the protocol, which are no longer of one size.

    Raises:
        InputError: no such sets, or no pair is left.
        StoreError: the system refuses to read them.
    """
    root = Path(data)
    pairs = lfw_pairs(root / "lfw_meta" / "pairs.txt", root / "lfw_deepfunneled", name="lfw_fr")
    trained = set(training_people(youtube_faces(_inside(data, "ytf_faces")).dataset.names))
    known = np.array([name in trained for name in pairs.dataset.names])[pairs.subjects]
    keep = ~(known[pairs.left] | known[pairs.right])
    if not keep.any():
        raise InputError(f"{data}: expected pairs of people that are not trained on, got none")
    used, place = np.unique(np.concatenate([pairs.left[keep], pairs.right[keep]]), return_inverse=True)
    left, right = place.reshape(2, -1).astype(np.int64)
    pixels = (pairs.dataset.read(int(i)).pixels for i in used)
    crops, five, missed = _middle_faces(pixels, len(used), size, detector)
    test = Pictures(crops, pairs.subjects[used], pairs.dataset.names, five, None, "lfw_fr", pairs.tier, "research")
    gone = [f"{int((~keep).sum())} of {len(keep)} pairs, which name one of the {len(trained)} people trained on"]
    if missed:
        gone.append(f"nothing for want of a face: {missed} of {len(used)} pictures without one have the common place")
    nobody = Pictures(np.zeros((0, size, size, 3), np.uint8), np.zeros(0, np.int64), ())
    return Miniature(nobody, test, left, right, pairs.same[keep], pairs.folds[keep], tuple(gone))


def training_people(names: Iterable[str]) -> tuple[str, ...]:
    """Who of `ytf_fr` is trained on: of N names the 0.72 N whose sha256 is lowest, in rising order of names."""
    ranked = sorted(set(names), key=lambda name: hashlib.sha256(f"ytf_fr/{name}".encode()).digest())
    return tuple(sorted(ranked[: round(len(ranked) * _TRAIN_SHARE)]))


def plausible(frames: VideoFrames) -> Bool:
    """Where the points can be those of the face that they are said to be of.

    The five points must lie in the picture, and after the best similarity within 6 pixels (root mean square) of their
    places in a crop of 112. That rejects what is out of order and, with it, faces turned to a profile; it does not see
    points in good order that lie beside the face.

    Returns:
        (N,) True where they can.
    """
    five = frames.points5
    goal = warp.template("arcface112", (112, 112))
    off = warp.apply(warp.similarities(five, goal), five) - goal
    residual = np.sqrt((off.astype(np.float64) ** 2).sum(2).mean(1))
    inside = ((five >= -0.5) & (five <= frames.hw[:, None, ::-1] - 0.5)).all((1, 2))
    good: Bool = inside & (residual <= _MOST_RESIDUAL)
    return good


def compared(labels: ArrayLike, left: ArrayLike, right: ArrayLike, *, seed: int = 0) -> tuple[I64, I64, Bool]:
    """Mated pairs, and ten times as many non-mated ones, or all where there are fewer, drawn without repeats.

    Args:
        labels: (N,) who is on each picture.
        left: (M,) first pictures of the mated pairs.
        right: (M,) second pictures.
        seed: of the draws.

    Returns:
        left, right and same, each (P,): the mated pairs first.
    """
    who = checked("labels", labels, (None,), np.int64)
    first, second = (checked(name, v, (None,), np.int64) for name, v in (("left", left), ("right", right)))
    differ = NonMated(who)
    rng = np.random.default_rng((seed, 56))
    drawn = np.sort(rng.choice(differ.total, min(differ.total, _TIMES * len(first)), replace=False))
    a, b = differ.at(drawn)
    same = np.arange(len(first) + len(drawn)) < len(first)
    return np.concatenate([first, a]), np.concatenate([second, b]), same


def _aligned(pixels: Iterable[U8], five: F32, size: int) -> tuple[U8, F32]:
    """Crops by five points, and where the points are in them."""
    if size < 8:
        raise InputError(f"size: expected crops of at least 8 pixels, got {size}")
    moves = warp.similarities(five, warp.template("arcface112", (size, size)))
    crops = np.empty((len(five), size, size, 3), np.uint8)
    for k, (image, move) in enumerate(zip(pixels, moves, strict=True)):
        crops[k] = warp.warp(image, move, (size, size))
    return crops, warp.apply(moves, five)


def _middle_faces(pixels: Iterable[U8], n: int, size: int, detector: Detector | None) -> tuple[U8, F32, int]:
    """Crops of the face in the middle of each picture, its points, and in how many pictures none was found."""
    crops, five, missed = np.empty((n, size, size, 3), np.uint8), np.empty((n, 5, 2), np.float32), 0
    for k, image in enumerate(pixels):
        common = (np.array(_FUNNELED) + 0.5) * (np.array(image.shape[1::-1]) / 250) - 0.5
        found = common.astype(np.float32)
        if detector is not None:
            seen = detector.detect([image])[0]
            if len(seen.boxes) and seen.points is not None:
                away = np.abs(seen.points[:, :3].mean(1) - common[:3].mean(0)).max(1)
                found = seen.points[int(np.argmin(away))]
            else:
                missed += 1
        one, place = _aligned([image], found[None], size)
        crops[k], five[k] = one[0], place[0]
    return crops, five, missed


def _simulated(folder: Path, size: int) -> Pictures:
    arrays = faces.read_shards(folder)
    people = np.unique(arrays["label"])
    crops, five = _aligned(arrays["image"], arrays["points5"], size)
    names = tuple(f"sim-{person}" for person in people.tolist())
    labels = np.searchsorted(people, arrays["label"]).astype(np.int64)
    return Pictures(crops, labels, names, five, None, "sim_fr", "sim", "made by vultus")


def _apart(pictures: Pictures) -> I64:
    assert pictures.apart is not None
    return pictures.apart


def _inside(data: str | os.PathLike[str], name: str) -> Path:
    root = Path(data)
    return root / name if (root / name).is_dir() else root

"""Experiments on simulated faces whose numbers the tests hold to bounds and tools/sim_figures.py measures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vultus.ops import warp
from vultus.sim import _chart, _features, _head, _points, faces

NARROW = faces.World(
    yaw_deg=20, pitch_deg=8, roll_deg=8, hats=0, eyewear=0, beards=0, tone_ita_deg=(30, 30), male_share=1
)
_GOAL = np.array([[12, 16], [28, 16], [20, 24], [14, 31], [26, 31]], float)
F = NDArray[np.floating]


def album(
    seeds: Sequence[int],
    per_person: int,
    world: faces.World | None = None,
    *,
    seed: int = 0,
    size: int = 64,
    lod: int = 0,
    shuffled: bool = False,
) -> tuple[list[faces.FaceSample], NDArray[Any]]:
    """Pictures of some people and whose they are; `shuffled` gives every picture somebody else's codes and marks."""
    rng = np.random.default_rng(seed)
    found, labels = [], []
    for number in seeds:
        own = faces.person_of(number, world)
        for _ in range(per_person):
            who = own
            if shuffled:
                other = faces.person_of(int(rng.integers(10**6, 2 * 10**6)), world)
                who = replace(own, z_shape=other.z_shape, z_albedo=other.z_albedo, marks=other.marks, iris=other.iris)
            found.append(faces.render(who, faces.sample_factors(rng, world, own), size, lod))
            labels.append(number)
    return found, np.array(labels)


def probe(x: F, y: NDArray[Any], ridge: float = 3.0) -> float:
    """Share of the last two pictures of each person that a linear classifier names, trained on the others."""
    position = np.concatenate([np.arange((y == p).sum()) for p in np.unique(y)])
    test = position >= position.max() - 1
    x = (x - x[~test].mean(0)) / (x[~test].std(0) + 1e-6)
    x = np.concatenate([x, np.ones((len(x), 1))], 1)
    names = np.unique(y)
    goal = (y[~test, None] == names).astype(float)
    w = np.linalg.solve(x[~test].T @ x[~test] + ridge * len(names) * np.eye(x.shape[1]), x[~test].T @ goal)
    return float((names[(x[test] @ w).argmax(1)] == y[test]).mean())


def colors8(samples: Sequence[faces.FaceSample]) -> F:
    """(N, 8, 8, 3) mean colors."""
    return np.stack([cv2.resize(s.image, (8, 8), interpolation=cv2.INTER_AREA) for s in samples]).astype(float)


def backgrounds(samples: Sequence[faces.FaceSample]) -> F:
    """(N, 36) mean colors beside the head."""
    return colors8(samples)[:, :3, [0, 1, 6, 7]].reshape(len(samples), -1)


def attributes(samples: Sequence[faces.FaceSample]) -> F:
    """(N, K) everything in a picture that is not the person."""
    names = ("hair_style", "hair_color", "glasses", "hat", "beard", "background")
    rows = [[float(getattr(s.factors, n) == v) for n in names for v in faces.CHOICES[n]] for s in samples]
    numbers = [
        [s.factors.age, s.factors.light_gain, *s.pose_deg, *s.factors.expression, *s.factors.shirt] for s in samples
    ]
    return np.concatenate([rows, numbers], 1)


class Projection:
    """A small recognizer: Fisher's discriminant on locally normalized crops, aligned by the true points."""

    def __init__(self, samples: Sequence[faces.FaceSample], labels: NDArray[Any], directions: int = 80) -> None:
        x = _crops(samples)
        self.mean = x.mean(0)
        project = np.linalg.svd(x - self.mean, full_matrices=False)[2][:500].T
        z = (x - self.mean) @ project
        names = np.unique(labels)
        centers = np.stack([z[labels == n].mean(0) for n in names])
        inside = z - centers[np.searchsorted(names, labels)]
        within = inside.T @ inside / len(z)
        within += 0.05 * np.trace(within) / len(within) * np.eye(len(within))
        root = np.linalg.inv(np.linalg.cholesky(within))
        vectors = np.linalg.eigh(root @ np.cov(centers.T) @ root.T)[1][:, ::-1][:, :directions]
        self.space = project @ root.T @ vectors

    def eer(self, samples: Sequence[faces.FaceSample], labels: NDArray[Any]) -> float:
        """Equal error rate over all pairs."""
        return eer((_crops(samples) - self.mean) @ self.space, labels)


def _crops(samples: Sequence[faces.FaceSample]) -> F:
    out = []
    for sample in samples:
        crop = cv2.warpAffine(sample.image, warp.similarity_umeyama(sample.points5, _GOAL), (40, 42)).astype(np.float32)
        detail = crop - cv2.GaussianBlur(crop, (0, 0), 4)
        out.append((detail / np.sqrt(cv2.GaussianBlur(detail**2, (0, 0), 4) + 25)).ravel())
    return np.array(out)


def eer(vectors: F, labels: NDArray[Any]) -> float:
    """Equal error rate of the cosines of all pairs."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    pairs = np.triu_indices(len(labels), 1)
    score, mated = (unit @ unit.T)[pairs], (labels[:, None] == labels)[pairs]
    at = np.sort(score)
    fnmr = np.searchsorted(np.sort(score[mated]), at) / mated.sum()
    fmr = 1 - np.searchsorted(np.sort(score[~mated]), at) / (~mated).sum()
    best = np.abs(fnmr - fmr).argmin()
    return float((fnmr[best] + fmr[best]) / 2)


def slope_angles(sample: faces.FaceSample) -> tuple[F, NDArray[np.bool_]]:
    """Angle between `normal` and the gradient of `depth` in degrees (S, S), and where it can be taken.

    The gradient is that of the plane through the four neighbors. It can be taken where they and the pixel belong to one
    smooth surface: no step in depth between them.
    """
    depth, camera = sample.depth.astype(np.float64), sample.camera
    rows, columns = np.indices(depth.shape)
    rays = np.stack([(columns - camera.cx) / camera.focal, (rows - camera.cy) / camera.focal, np.ones_like(depth)], -1)
    solid = np.isfinite(depth)
    place = rays * np.where(solid, depth, 0)[..., None]
    across, down = np.zeros_like(place), np.zeros_like(place)
    across[:, 1:-1] = place[:, 2:] - place[:, :-2]
    down[1:-1] = place[2:] - place[:-2]
    flat = np.cross(across, down)
    flat /= -np.linalg.norm(flat, axis=-1, keepdims=True) - 1e-12
    cosine = (flat * sample.normal).sum(-1)
    inner = cv2.erode(solid.astype(np.uint8), np.ones((3, 3)), borderValue=0) > 0
    same = np.ones_like(inner)
    parsing = sample.parsing
    for step in ((0, 1), (0, -1), (1, 0), (-1, 0)):
        same &= np.roll(parsing, step, (0, 1)) == parsing
        jump = np.abs(np.roll(np.where(solid, depth, 0), step, (0, 1)) - np.where(solid, depth, 0))
        same &= jump < 4 * np.where(solid, depth, 0) / camera.focal  # steeper than 76 degrees
    return np.degrees(np.arccos(np.clip(cosine, -1, 1))), inner & same


def slopes(seeds: Sequence[int]) -> tuple[F, F]:
    """Angles of `slope_angles` at level of detail 2 and 128 pixels: on the head, neck and clothes, and on hair."""
    head, hair = [], []
    for k in seeds:
        sample = album([k], 1, seed=k, size=128, lod=2)[0][0]
        angle, where = slope_angles(sample)
        strands = sample.parsing == faces.LABELS.index("hair")
        head.append(angle[where & ~strands])
        hair.append(angle[where & strands])
    return np.concatenate(head), np.concatenate(hair)


DLIB_WORLDS = {
    "yaw within 20 degrees, no hats and glasses": faces.World(
        sex_typical=1, yaw_deg=20, pitch_deg=8, roll_deg=8, hats=0, eyewear=0
    ),
    "everything varied, yaw within 40": faces.World(sex_typical=1, yaw_deg=40),
}


def dlib_eer(world: str, split: str = "judge", people: int = 100, per_person: int = 4) -> dict[str, Any]:
    """Equal error rate of the default pipeline (dlib's embedder) on simulated people of a split, 192 pixels.

    A picture in which no face is found counts as one with a vector of its own that matches nobody.
    """
    from vultus import Pipeline

    pipe, knobs = Pipeline(threads=1), DLIB_WORLDS[world]
    vectors, labels, missed = [], [], 0
    rng = np.random.default_rng(9)
    for number in faces.people(split)[:people]:
        person = faces.person_of(number, knobs)
        for _ in range(per_person):
            found = pipe.encode(faces.render(person, faces.sample_factors(rng, knobs, person), 192, 1).image)
            missed += not len(found)
            vectors.append(found.embedded.vec[0] if len(found) else rng.standard_normal(128))
            labels.append(number)
    rate = eer(np.array(vectors), np.array(labels))
    return {"world": world, "split": split, "people": people, "per_person": per_person, "missed": missed, "eer": rate}


def own_points(person: faces.Person) -> F:
    """(68, 3) cm, the points of a person without expression, in the head's own axes."""
    a, still = _head.activations(person.z_shape), np.zeros(14)
    eyes, mouth = _features.eyes_of(a, still, np.zeros(2)), _features.mouth_of(a, still)
    chart = _features.points51(eyes, mouth, _features.brow_of(a, person.sex_axis))
    index, weights = _points.corners(2, np.concatenate([_chart.JAW_UV, _chart.uv_of_xy(chart)]))
    solid = faces.morphable(2).vertices(person.z_shape, still)
    placed: F = (solid[index] * weights[..., None]).sum(1)
    return placed


def golden_pictures() -> dict[str, NDArray[np.uint8]]:
    """Pictures and labels whose bytes are pinned: every style of hair, all levels of detail, what may be worn."""
    found: dict[str, NDArray[np.uint8]] = {}
    world = faces.World(occluders=0.2, styles=(0.8, 0.1, 0.1))
    for k, style in enumerate(faces.CHOICES["hair_style"]):
        person = faces.person_of(k, world)
        factors = faces.sample_factors(np.random.default_rng(k), world, person)
        sample = faces.render(person, replace(factors, hair_style=style), 64, k % 3)
        name = f"{style.replace(' ', '_')}_lod{k % 3}"
        found |= {f"{name}_image": sample.image, f"{name}_parsing": sample.parsing}
    return found

"""Paper 109, "A robust, low-cost approach to Face Detection and Face Recognition": what wavelets add, and skin color.

Written before the first run; the detector's code was looked at on twenty people of LFW whose names begin with A, none
of whom is used here.

`dwt_faces`. ORL (40 people, ten pictures, resized to 128 x 128, nothing aligned): a random five of each person are
enrolled, the other five are asked for, one split a seed, 20 seeds. The method is level 3 of Haar, 16 x 16 numbers; it
was fixed before and is not chosen by the result. The baseline is as many raw pixels, every eighth of every eighth row.
Expected: level 3 recognizes 0.95 and the raw pixels 0.94: averaging helps where a picture shifts by a few pixels, but
pictures of a studio are smooth, so the gain is small, 0.01. Levels 2 to 4 lie together, 5 (4 x 4 numbers) falls to
0.85, level 1 equals all pixels. Refuted: the interval of the gain reaches below 0. Control: as many details, drawn from
levels 1 to 3; they must not beat raw pixels. Haar's approximation is a thumbnail of means: what is shown is that means
are better than samples, not that a wavelet is needed. In `extra`: with noise of 25 gray levels, and with JPEG of
quality 30 after it, level 3 is expected to lose less than as many raw pixels, and no less than all pixels, whose
distances average noise as well.

`dwt_faces_skin`. 240 people of LFW, one picture each, in a random window around the face (three windows, one a seed).
The truth is the box of CenterFace that is nearest to the middle of the picture, a hit an overlap (IoU) above 0.5 of the
best box. The baseline answers with the middle of every window: 0.6 of its shorter side high, 0.45 wide. Expected: skin
color finds 0.5 of the faces, the middle 0.35; a gain of 0.1 is declared. Faces that are lit (median L* of at least 40)
are expected at 0.6, dark skin and dim faces far below. Refuted: the interval reaches below 0 or the gain is under 0.1.
Control: the same detector with red and blue exchanged. Skin models are biased, so recall by tone (individual typology
angle of the middle of the face) and by the race labels of UTKFace (partly made by algorithm; 60 pictures each) stands
in `extra`, good or bad.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vultus import catalogue
from vultus.claims import ClaimResult, Context, claim
from vultus.claims._portraits import halves, portraits, resized
from vultus.errors import Refused
from vultus.io import images
from vultus.ops.boxes import iou
from vultus.ops.dct import rgb_to_ycbcr
from vultus.ops.dwt import dwt2
from vultus.ops.lab import rgb_to_lab
from vultus.types import F32, U8

F64 = NDArray[np.float64]

LEVELS = range(1, 6)
EVERY = 8
SIGMA, QUALITY = 25, 30
RACES = ("white", "black", "asian", "indian", "other")
TONES = ((28.0, "light"), (10.0, "intermediate"), (-90.0, "dark"))


@claim(paper=109, minutes=20, scale="nano", seeds=20)
def dwt_faces(ctx: Context) -> ClaimResult:
    """A wavelet's coarse picture recognizes faces better than as many raw pixels."""
    faces = ctx.step("faces", _faces, ctx)
    who = faces["who"]
    fixed = {}
    for done, name in enumerate(("clean", "noise", "noise, jpeg")):
        ctx.progress(done, 4, "distances")
        fixed[name] = ctx.step(f"distances-{done}", _distances, faces["crops"], faces[name], name == "clean")
    found: list[dict[str, Any]] = []
    drawn = ctx.step("drawn", _drawn, faces["crops"], [ctx.rng("places", seed) for seed in ctx.seeds])
    for done, seed in enumerate(ctx.seeds):
        ctx.progress(done, len(ctx.seeds), "splits")
        enrolled = halves(who, ctx.rng("split", seed))
        arms = {arm: _recognized(d, who, enrolled) for arm, d in {**fixed["clean"], **drawn[done]}.items()}
        worse = {
            f"{arm}, {name}": arms[arm].mean() - _recognized(fixed[name][arm], who, enrolled).mean()
            for name in ("noise", "noise, jpeg")
            for arm in ("level 3", "raw pixels, as many", "all pixels")
        }
        found.append({"arms": arms, "worse": worse})
    return ClaimResult(
        arms={arm: np.array([one["arms"][arm] for one in found]) for arm in found[0]["arms"]},
        method="level 3",
        baseline="raw pixels, as many",
        controls=("random details, as many",),
        units=np.unique(who).tolist(),
        unit="person",
        metric="share of pictures recognized",
        higher_is_better=True,
        data="sim" if ctx.scale == "tiny" else "real",
        extra={f"lost by {arm}": float(np.mean([one["worse"][arm] for one in found])) for arm in found[0]["worse"]},
        notes="level 3 of Haar is a thumbnail of means of 8 x 8 pixels",
    )


def _faces(ctx: Context) -> dict[str, Any]:
    pictures, who = portraits(ctx)
    crops = np.stack([resized(picture, 128) for picture in pictures])
    rng = ctx.rng("noise")
    noisy = np.clip(crops + rng.normal(scale=SIGMA, size=(*crops.shape[:3], 1)) + 0.5, 0, 255).astype(np.uint8)
    coded = [images.read(images.encode(crop, ".jpg", quality=QUALITY)).pixels for crop in noisy]
    return {"who": who, "crops": crops, "clean": crops, "noise": noisy, "noise, jpeg": np.stack(coded)}


def _distances(references: U8, asked: U8, every_level: bool) -> dict[str, F64]:
    """(N, N) distances of what is asked to every reference, for the arms that draw nothing."""
    found = {}
    for level in LEVELS if every_level else (3,):
        recognizer = catalogue.load("dwt_faces", level=level)
        recognizer.enroll(references, [f"{k:04}" for k in range(len(references))])
        found[f"level {level}"] = -recognizer.scores(asked)
    a, b = _gray(asked), _gray(references)
    half = EVERY // 2
    found["raw pixels, as many"] = _apart(a[:, half::EVERY, half::EVERY], b[:, half::EVERY, half::EVERY])
    found["all pixels"] = _apart(a, b)
    return found


def _drawn(crops: U8, rngs: list[np.random.Generator]) -> list[dict[str, F64]]:
    """Distances for the arms whose numbers are drawn anew for each seed."""
    gray = _gray(crops)
    pixels, details, count = gray.reshape(len(gray), -1), [], (gray.shape[1] // EVERY) ** 2
    for _ in range(3):
        bands = dwt2(gray)
        details += [band.reshape(len(gray), -1) for band in bands[1:]]
        gray = bands.a
    every, found = np.concatenate(details, axis=1), []
    for rng in rngs:
        some, other = (x[:, rng.choice(x.shape[1], count, replace=False)] for x in (pixels, every))
        found.append({"random pixels, as many": _apart(some, some), "random details, as many": _apart(other, other)})
    return found


def _gray(crops: U8) -> F64:
    return np.asarray(rgb_to_ycbcr(crops.astype(np.float64))[..., 0])


def _apart(a: F64, b: F64) -> F64:
    """(N, M) Euclidean distances; the rounding of the product is far below the smallest of them."""
    left, right = a.reshape(len(a), -1), b.reshape(len(b), -1)
    squares = np.square(left).sum(axis=1)[:, None] + np.square(right).sum(axis=1) - 2 * left @ right.T
    return np.asarray(np.sqrt(np.maximum(squares, 0)))


def _recognized(distances: F64, who: NDArray[np.int64], enrolled: NDArray[np.bool_]) -> F64:
    """Share of each person's pictures whose nearest enrolled picture is of that person."""
    nearest = who[enrolled][distances[~enrolled][:, enrolled].argmin(axis=1)]
    right, asked = nearest == who[~enrolled], who[~enrolled]
    return np.array([right[asked == person].mean() for person in np.unique(asked)])


# ---------------------------------------------------------------- detection by skin
@claim(paper=109, minutes=15, scale="nano", seeds=3)
def dwt_faces_skin(ctx: Context) -> ClaimResult:
    """The color of skin finds more faces than the guess that a face is in the middle."""
    found = ctx.step("scenes", _scenes, ctx)
    arms: dict[str, list[F64]] = {}
    boxes: NDArray[np.float32] = found["boxes"]
    for done, seed in enumerate(ctx.seeds):
        ctx.progress(done, len(ctx.seeds), "windows")
        rng = ctx.rng("window", seed)
        cuts = [_window(picture, box, rng) for picture, box in zip(found["pictures"], boxes, strict=True)]
        for name, values in ctx.step(f"hits-{seed}", _hits, [c[0] for c in cuts], [c[1] for c in cuts]).items():
            arms.setdefault(name, []).append(values)
    hits = np.mean(arms["skin color"], axis=0)
    tones = [_tone(picture, box) for picture, box in zip(found["pictures"], boxes, strict=True)]
    extra = {f"recall, {name}": value for name, value in _by_group(hits, tones).items()}
    if ctx.scale != "tiny":
        extra |= ctx.step("races", _races, ctx)
    return ClaimResult(
        arms={name: np.array(values) for name, values in arms.items()},
        method="skin color",
        baseline="the middle",
        controls=("skin color, red and blue exchanged",),
        units=list(found["names"]),
        unit="person",
        metric="share of faces found",
        higher_is_better=True,
        min_effect=0.1,
        data="sim" if ctx.scale == "tiny" else "real",
        extra=extra,
        notes="boxes of CenterFace are the truth; tones are of the picture, light included, not of the person",
    )


def _scenes(ctx: Context) -> dict[str, Any]:
    """Pictures of one person each, with the box of the face."""
    if ctx.scale == "tiny":
        pictures, _ = portraits(ctx)
        box = np.array([24, 20, 72, 84], np.float32)
        return {"pictures": pictures[::4], "names": [str(k) for k in range(6)], "boxes": np.stack([box] * 6)}
    folder = ctx.data / "lfw_deepfunneled" if ctx.data else None
    if folder is None or not folder.is_dir():
        raise Refused("LFW: expected lfw_deepfunneled in VULTUS_DATA")
    known = sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("A"))
    names = sorted(ctx.rng("people").choice(known, 240, replace=False).tolist())
    pictures = [images.read(sorted((folder / name).glob("*.jpg"))[0]).pixels for name in names]
    boxes = _truth(pictures)
    kept = [index for index, box in enumerate(boxes) if box is not None]
    return {
        "pictures": [pictures[index] for index in kept],
        "names": [names[index] for index in kept],
        "boxes": np.stack([box for box in boxes if box is not None]),
    }


def _truth(pictures: list[U8]) -> list[F32 | None]:
    """The box nearest to the middle of each picture, or None where CenterFace finds no face."""
    found = []
    for picture, faces in zip(pictures, catalogue.load("centerface").detect(pictures), strict=True):
        middle = np.array(picture.shape[1::-1]) / 2
        away = [float(np.abs((box[:2] + box[2:]) / 2 - middle).sum()) for box in faces.boxes]
        found.append(faces.boxes[int(np.argmin(away))] if away else None)
    return found


def _window(picture: U8, box: F32, rng: np.random.Generator) -> tuple[U8, F32]:
    """A square of random size and place that holds the whole box, and the box in it."""
    height, width = picture.shape[:2]
    low, high = np.clip(np.floor(box[:2]), 0, None), np.minimum(np.ceil(box[2:]), (width, height))
    least = int(np.ceil(1.2 * (high - low).max()))
    side = int(rng.integers(min(least, height, width), min(height, width) + 1))
    corner = []
    for start, end, length in zip(low, high, (width, height), strict=True):
        first, last = max(0, int(end) - side), min(int(start), length - side)
        corner.append(int(rng.integers(min(first, last), max(first, last) + 1)))
    x, y = corner
    return picture[y : y + side, x : x + side], (box - np.array([x, y, x, y])).astype(np.float32)


def _hits(windows: list[U8], boxes: list[F32]) -> dict[str, F64]:
    detector = catalogue.load("lab_skin")
    hits = {"skin color": _hit(detector, windows, boxes)}
    exchanged = [np.ascontiguousarray(window[..., ::-1]) for window in windows]
    hits["skin color, red and blue exchanged"] = _hit(detector, exchanged, boxes)
    middles = []
    for window in windows:
        size = min(window.shape[:2])
        half = size * np.array([0.45, 0.6]) / 2
        center = np.array(window.shape[1::-1]) / 2
        middles.append(np.concatenate([center - half, center + half]))
    hits["the middle"] = _overlap(middles, boxes)
    return hits


def _hit(detector: Any, windows: list[U8], boxes: list[F32]) -> F64:
    best = [faces.boxes[0] if len(faces) else np.zeros(4) for faces in detector.detect(windows, max_faces=1)]
    return _overlap(best, boxes)


def _overlap(said: list[Any], boxes: list[F32]) -> F64:
    each = [iou(a[None], b[None])[0, 0] > 0.5 for a, b in zip(said, boxes, strict=True)]
    return np.array(each, np.float64)


def _tone(picture: U8, box: F32) -> tuple[str, str]:
    """Tone by the individual typology angle and light by L*, both of the median color in the middle of the face."""
    left, top, right, bottom = box
    wide, high = right - left, bottom - top
    rows = slice(int(top + 0.4 * high), int(np.ceil(top + 0.7 * high)))
    columns = slice(int(left + 0.25 * wide), int(np.ceil(left + 0.75 * wide)))
    light, _, yellow = np.median(rgb_to_lab(picture[rows, columns]).reshape(-1, 3), axis=0)
    angle = np.degrees(np.arctan2(light - 50, max(float(yellow), 1e-6)))
    return next(name for least, name in TONES if angle >= least), "lit" if light >= 40 else "dim"


def _by_group(hits: F64, groups: list[tuple[str, str]]) -> dict[str, float | str]:
    told: dict[str, float | str] = {}
    for name in ("light", "intermediate", "dark", "lit", "dim"):
        mine = np.array([name in group for group in groups])
        told[f"{name} ({int(mine.sum())} people)"] = float(hits[mine].mean()) if mine.any() else "nobody"
    return told


def _races(ctx: Context) -> dict[str, float | str]:
    """Recall on UTKFace by its label, 60 pictures each."""
    folder = ctx.data / "utkface_adults" if ctx.data else None
    if folder is None or not folder.is_dir():
        return {"recall by race label": "UTKFace is not there"}
    told: dict[str, float | str] = {}
    for label, race in enumerate(RACES):
        mine = sorted(path for path in folder.glob("*.jpg") if path.name.split("_")[2:3] == [str(label)])
        drawn = sorted(ctx.rng("race", label).permutation(len(mine))[:60])
        pictures = [images.read(mine[index]).pixels for index in drawn]
        pairs = [(picture, box) for picture, box in zip(pictures, _truth(pictures), strict=True) if box is not None]
        hits = _hit(catalogue.load("lab_skin"), [p for p, _ in pairs], [b for _, b in pairs])
        told[f"recall on UTKFace, label {race} ({len(pairs)} pictures)"] = float(hits.mean())
    return told

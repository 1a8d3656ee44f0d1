"""From decoded pictures to vectors: the parts of a pipeline, loaded once, and what they give."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from vultus import catalogue
from vultus.contracts import Aligner, Detector, Embedder, QualityEstimator, Refiner
from vultus.errors import InputError, NoFace
from vultus.io import images as io_images
from vultus.ops.boxes import clip
from vultus.types import F32, Detections, Embedded, Face, Image, Template

MainFace = Literal["largest", "central"]


_ROOMS = {"detector": "detect", "aligner": "align", "embedder": "recognize", "refiner": "align", "quality": "quality"}


@dataclass(frozen=True, slots=True)
class Parts:
    """Which catalogue rows a pipeline is made of, and how its detector searches.

    Attributes:
        tile: side in pixels of windows in which large pictures are also searched at their own size, or None.
        upright: also try each picture turned by 90, 180 and 270 degrees.
    """

    detector: str = "centerface"
    embedder: str = "dlib_resnet29"
    refiner: str | None = None
    aligner: str = "similarity5"
    quality: str = "face_measures"
    tile: int | None = None
    upright: bool = False


PRESETS = {
    "default": Parts(),
    "accurate": Parts(embedder="fr_feature", refiner="facemesh"),
    "fused": Parts(embedder="fused", refiner="facemesh"),
}


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """The faces of one picture, best detection first, with a vector and a quality each.

    Attributes:
        source: path of the picture, or None.
        sha256: of the encoded file.
        size_hw: height and width in pixels after EXIF orientation.
        detections: boxes and points in pixels of that picture.
        embedded: (N, D) unit vectors of one space.
        quality: (N,) in [0, 1].
    """

    source: str | None
    sha256: str
    size_hw: tuple[int, int]
    detections: Detections
    embedded: Embedded
    quality: F32

    def __len__(self) -> int:
        return len(self.detections)

    def faces(self) -> list[Face]:
        """The detections as records."""
        return self.detections.faces()

    def main(self, which: MainFace = "largest") -> int:
        """Index of the face the picture is about.

        Args:
            which: "largest" box area, or "central": the box whose center is nearest to the center of the picture
                (the convention of LFW, whose pictures are centered on their subject).

        Raises:
            NoFace: if the picture shows none.
            InputError: if `which` is neither.
        """
        if not len(self):
            raise NoFace(
                f"{self.source or 'the picture'}: expected a face, found none; look at it with `vultus detect`"
            )
        if which not in ("largest", "central"):
            raise InputError(f'which: expected "largest" or "central", got {which!r}')
        left, top, right, bottom = self.detections.boxes.T
        if which == "largest":
            return int(np.argmax((right - left) * (bottom - top)))
        height, width = self.size_hw
        return int(np.argmin((left + right - width) ** 2 + (top + bottom - height) ** 2))

    def template(self, index: int | None = None) -> Template:
        """One face as a template; the main face unless `index` is given. InputError when there is no such face."""
        index = self.main() if index is None else index
        if not isinstance(index, (int, np.integer)) or not 0 <= index < len(self):
            raise InputError(f"index: expected a face from 0 to {len(self) - 1}, got {index!r}")
        return Template(self.embedded.vec[index], self.embedded.space, float(self.quality[index]), media=(self.sha256,))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; vectors included."""
        faces = [
            {**face.to_dict(), "quality": float(quality), "vector": vector.tolist()}
            for face, quality, vector in zip(self.faces(), self.quality, self.embedded.vec, strict=True)
        ]
        return {
            "source": self.source,
            "sha256": self.sha256,
            "size_hw": list(self.size_hw),
            "space": self.embedded.space,
            "faces": faces,
        }


class Worker:
    """The five parts, loaded once, with one thread count."""

    def __init__(self, parts: Parts, threads: int, min_score: float | None) -> None:
        search = {"threads": threads, "tile": parts.tile, "upright": parts.upright}
        self.detector: Detector = _loaded("detector", "detect", parts.detector, **search)
        self.aligner: Aligner = _loaded("aligner", "align", parts.aligner)
        self.embedder: Embedder = load_embedder(parts.embedder, threads)
        self.refiner: Refiner | None = (
            _loaded("refiner", "refine", parts.refiner, threads=threads) if parts.refiner else None
        )
        self.quality: QualityEstimator = _loaded("quality", "score", parts.quality)
        self.min_score = min_score

    def detect(self, images: Sequence[Image]) -> list[Detections]:
        """Faces in pixels of the decoded pictures."""
        return self.detector.detect([image.pixels for image in images], min_score=self.min_score)

    def encode(self, images: Sequence[Image]) -> list[Encoded]:
        """Detect all, refine and align each, embed the crops of all together."""
        found_all = self.detect(images)
        if any(len(found) and found.points is None for found in found_all):
            raise InputError(
                "this detector gives boxes without points, and alignment needs five points; "
                "use centerface, yunet, scrfd or retinaface"
            )
        crops, ready = [], []
        for image, found in zip(images, found_all, strict=True):
            image, found = full_size_if_needed(image, found, self.embedder.crop.size_hw)
            if len(found) and self.refiner is not None:
                found = replace(found, points=self.refiner.refine(image.pixels, _points(found)))
            crops.append(self.aligner.align(image.pixels, _points(found), self.embedder.crop)[0])
            ready.append((image, found, self.quality.score(image.pixels, found)))
        embedded = self.embedder.embed(np.concatenate(crops))
        results, start = [], 0
        for image, found, quality in ready:
            part = slice(start, start + len(found))
            start = part.stop
            norm = None if embedded.norm is None else embedded.norm[part]
            vectors = Embedded(embedded.vec[part], embedded.space, norm)
            full = scaled(found, image)
            results.append(Encoded(image.source, image.sha256, image.full_hw, full, vectors, quality))
        return results


def load_embedder(name: str | os.PathLike[str], threads: int) -> Embedder:
    """A catalogue row, the folder of a run that was exported, or an ONNX file with the ArcFace input convention."""
    loaded: Embedder = _loaded("embedder", "embed", name, threads=threads)
    return loaded


def _loaded(part: str, verb: str, name: str | os.PathLike[str], **options: Any) -> Any:
    """A catalogue row that can do what this part of a pipeline does."""
    found = catalogue.row(name)
    able = [row.name for row in catalogue.rows().values() if row.room.split(".")[0] == _ROOMS[part]]
    if found.name in able:
        if not found.weights and "weights" not in found.args:  # no network, no threads
            options.pop("threads", None)
        loaded = catalogue.load(name, **options)
        if hasattr(loaded, verb):
            return loaded
    raise InputError(f"{part}: expected a row that can {verb} (one of {', '.join(able)}), got {name!r}, which cannot")


def scaled(found: Detections, image: Image) -> Detections:
    """Move detections from a picture that was decoded smaller than it is stored to the stored one."""
    factor = image.reduction
    if factor == 1:
        return found
    # Points are in center coordinates: the center of the first small pixel lies (factor - 1) / 2 into the big ones.
    points = None if found.points is None else found.points * factor + (factor - 1) / 2
    return Detections(clip(found.boxes * factor, image.full_hw), found.scores, points)


def full_size_if_needed(image: Image, found: Detections, crop_hw: tuple[int, int]) -> tuple[Image, Detections]:
    """Decode again in full when a face is smaller, in the reduced picture, than the crop that is cut from it."""
    if image.reduction == 1 or image.source is None or not len(found):
        return image, found
    sides = found.boxes[:, 2:] - found.boxes[:, :2]
    if sides.max(axis=1).min() >= max(crop_hw):
        return image, found
    return io_images.read(image.source, truncated="accept"), scaled(found, image)


def _points(found: Detections) -> F32:
    return found.points if found.points is not None else np.zeros((0, 5, 2), np.float32)

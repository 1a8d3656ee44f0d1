"""The pipeline: pictures in, vectors and decisions out."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import cached_property
from os import PathLike
from typing import Any, overload

import numpy as np

from vultus.errors import InputError, SpaceMismatch, UnknownMethod, VultusError
from vultus.gallery import Gallery, calibrate
from vultus.gallery.compat import compared
from vultus.gallery.migrate import Progress
from vultus.gallery.records import Cluster
from vultus.io import images as io_images
from vultus.pipeline import _enroll, _groups
from vultus.pipeline._encode import PRESETS, Encoded, Worker, scaled
from vultus.types import F32, Decision, Detections, Image, Match, Template
from vultus.zoo.session import MAX_THREADS, default_threads

ONE = (str, bytes, bytearray, memoryview, PathLike, np.ndarray, Image)  # one picture, not many of them
Picture = Any  # what vultus.io.images.read takes: path, bytes, Pillow image, (H, W, 3) uint8 RGB array, Image

DETECTION_SIDE = 640  # px; JPEG files are decoded no smaller than this on their longer side
CHUNK = 8  # pictures that one worker detects and embeds together


class Pipeline:
    """From pictures to vectors and decisions.

    Args:
        preset: "default" (CenterFace + dlib ResNet-29, commercial use allowed), "accurate" (adds Face Mesh points, uses
            MobileFaceNet) or "fused" (both embedders); parts given by name replace those of the preset.
        detector: catalogue row of a detector that gives five points.
        embedder: catalogue row of an embedder, the folder of a run of `vultus train`, or the path of an ONNX file with
            the ArcFace input convention.
        refiner: catalogue row of a point refiner, or "none".
        threads: cores to use; all physical cores unless given.
        min_score: detection threshold; None means the one on the detector's card.
        tile: for crowds: side in pixels of windows in which a large picture is also searched at its own size.
        upright: for photos of unknown direction: also search them turned by 90, 180 and 270 degrees.

    Building one loads nothing; the weights are opened at the first picture.
    """

    def __init__(
        self,
        preset: str = "default",
        *,
        detector: str | None = None,
        embedder: str | None = None,
        refiner: str | None = None,
        threads: int | None = None,
        min_score: float | None = None,
        tile: int | None = None,
        upright: bool = False,
    ) -> None:
        if not isinstance(preset, str) or preset not in PRESETS:
            raise UnknownMethod(preset, PRESETS, what="pipeline")
        if threads is not None and not (type(threads) is int and 1 <= threads <= MAX_THREADS):
            raise InputError(f"threads: expected a whole number from 1 to {MAX_THREADS}, got {threads!r}")
        if min_score is not None and not (isinstance(min_score, (int, float)) and 0 <= min_score <= 1):
            raise InputError(f"min_score: expected a number from 0 to 1, got {min_score!r}")
        given: dict[str, Any] = {"detector": detector, "embedder": embedder, "refiner": refiner}
        parts = replace(PRESETS[preset], **{key: value for key, value in given.items() if value is not None})
        if tile is not None and not (type(tile) is int and 64 <= tile <= 8192):
            raise InputError(f"tile: expected a side from 64 to 8192 pixels, got {tile!r}")
        refiner = None if parts.refiner == "none" else parts.refiner
        self.parts = replace(parts, refiner=refiner, tile=tile, upright=bool(upright))
        self.threads = threads
        self.min_score = min_score

    def __repr__(self) -> str:
        return f"Pipeline({self.parts}, threads={self.threads}, min_score={self.min_score})"

    @cached_property
    def _single(self) -> Worker:
        """For one picture: every core works on it."""
        return Worker(self.parts, self.cores, self.min_score)

    @cached_property
    def _many(self) -> Worker:
        """For many pictures: one core each, which wastes no time on waiting for one another."""
        return self._single if self.cores == 1 else Worker(self.parts, 1, self.min_score)

    @property
    def cores(self) -> int:
        """How many threads work."""
        return self.threads or default_threads()

    @property
    def space(self) -> str:
        """The embedding space of this pipeline's vectors."""
        return self._single.embedder.space

    @property
    def alignment(self) -> str:
        """How crops are made: the rows that find and refine the points."""
        return "+".join(part for part in (self.parts.detector, self.parts.refiner) if part)

    @cached_property
    def calibration(self) -> calibrate.Calibration:
        """What turns scores into error rates: the user's own table where there is one, else the packaged one."""
        return calibrate.load(self.space)

    # -- pictures to faces and vectors ---------------------------------------------------------------------------

    @overload
    def detect(self, pictures: list[Any] | tuple[Any, ...]) -> list[Detections]: ...
    @overload
    def detect(self, pictures: Picture) -> Detections: ...
    def detect(self, pictures: Any) -> Any:
        """Faces of one picture, or of each of a list, in pixels of the picture after EXIF orientation.

        Returns an empty record for a picture without faces. Raises InputError for what is not a picture.
        """
        if not isinstance(pictures, (list, tuple)):
            return self.detect([pictures])[0]
        images = [self._read(picture) for picture in pictures]
        return [scaled(f, i) for f, i in zip(self._single.detect(images), images, strict=True)]

    @overload
    def encode(self, pictures: list[Any] | tuple[Any, ...]) -> list[Encoded]: ...
    @overload
    def encode(self, pictures: Picture) -> Encoded: ...
    def encode(self, pictures: Any) -> Any:
        """Faces, vectors and qualities of one picture, or of each of a list.

        The first picture that cannot be read raises; `stream` goes on instead.
        """
        if not isinstance(pictures, (list, tuple)):
            return self._encoded(pictures)
        results = []
        for result in self.stream(pictures):
            if isinstance(result, VultusError):
                raise result
            results.append(result)
        return results

    def stream(self, pictures: Iterable[Picture], *, truncated: str = "refuse") -> Iterator[Encoded | VultusError]:
        """Encode any number of pictures in order and in bounded memory.

        A picture that cannot be read comes back as the error, in its place; nothing is dropped.

        Args:
            pictures: any iterable; it is read only a little ahead.
            truncated: "refuse" or "accept" JPEG files that end early; see `vultus.io.images.read`.
        """
        if isinstance(pictures, ONE) or not isinstance(pictures, Iterable):
            raise InputError(f"pictures: expected a list or another iterable of them, got {type(pictures).__name__}")
        return self._stream(pictures, truncated)

    def _stream(self, pictures: Iterable[Picture], truncated: str) -> Iterator[Encoded | VultusError]:
        waiting: deque[Future[list[Encoded | VultusError]]] = deque()
        with ThreadPoolExecutor(self.cores, thread_name_prefix="vultus") as pool:
            try:
                for chunk in _chunks(pictures, CHUNK):
                    waiting.append(pool.submit(self._encode_chunk, chunk, truncated))
                    if len(waiting) > 2 * self.cores:
                        yield from waiting.popleft().result()
                while waiting:
                    yield from waiting.popleft().result()
            finally:
                for future in waiting:
                    future.cancel()

    def _encode_chunk(self, chunk: list[Picture], truncated: str) -> list[Encoded | VultusError]:
        pictures = [self._attempt(picture, truncated) for picture in chunk]
        good = [picture for picture in pictures if isinstance(picture, Image)]
        encoded = iter(self._many.encode(good) if good else ())
        return [next(encoded) if isinstance(picture, Image) else picture for picture in pictures]

    # -- vectors to decisions ------------------------------------------------------------------------------------

    def verify(
        self, a: Picture | Encoded | Template, b: Picture | Encoded | Template, *, fmr: float = 1e-3
    ) -> Decision:
        """Do the main faces of two pictures belong to one person?

        Args:
            a: picture, or what `encode` returned, or a template.
            b: likewise.
            fmr: the false match rate to decide at.

        Returns:
            A decision that carries its threshold and the rate the threshold stands for.

        Raises:
            NoFace: if one of the pictures shows none.
            SpaceMismatch: if the vectors come from different embedders.
            InputError: if the calibration data cannot support that rate.
            StoreError: if this embedder has no calibration.
        """
        self.calibration.threshold(fmr)  # what cannot be decided is said before any work
        one, other = self._template(a), self._template(b)
        for template in (one, other):
            if template.space != self.space:
                raise SpaceMismatch(template.space, self.space)
        return self.noted(self.calibration.decide(one, other, fmr=fmr))

    def enroll(
        self,
        name: str,
        pictures: Sequence[Picture],
        gallery: Gallery,
        *,
        force: bool = False,
        actor: str = "local",
    ) -> Enrollment:
        """Add photos of one person to a gallery, in one transaction.

        A photo is refused, with the reason, when it shows no face or two faces of similar size, when its quality is too
        low, when it does not look like the person's other photos, or when it looks like somebody enrolled already.

        Args:
            name: the person; photos are added when the name is known.
            pictures: photos; those that are in the gallery already are left alone.
            gallery: see `vultus.open_gallery`.
            force: enroll what shows a face even when quality or likeness speak against it.
            actor: who does it, for the audit log.

        Raises:
            InputError: if the name is blank, or the gallery is none.
            SpaceMismatch: if the gallery holds vectors of another embedder.
        """
        if not isinstance(name, str) or not name.strip():
            raise InputError(f"name: expected some text, got {name!r}")
        self.check(gallery)
        many = [pictures] if isinstance(pictures, ONE) or not isinstance(pictures, Iterable) else list(pictures)
        return _enroll.enroll(self, name, many, gallery, force=force, actor=actor)

    def enroll_folder(
        self, folder: str | PathLike[str], gallery: Gallery, *, force: bool = False
    ) -> Iterator[Enrollment]:
        """Enroll a folder that has one folder of photos per person; one transaction each, resumable.

        Raises:
            InputError: if the folder does not have that layout.
        """
        self.check(gallery)
        return _enroll.enroll_folder(self, folder, gallery, force=force)

    def identify(
        self, picture: Picture | Encoded, gallery: Gallery, *, fmr: float = 1e-3, fpir: float | None = None
    ) -> list[Decision]:
        """Name every face of a picture, or abstain, or say that it is a stranger.

        Args:
            picture: picture, or what `encode` returned.
            gallery: see `vultus.open_gallery`.
            fmr: false match rate of one comparison.
            fpir: share of searches with a stranger that may name somebody, whatever the size of the gallery; takes the
                place of `fmr`. See `Gallery.identify`.

        Returns one decision per face, in the order of the detections; `match` is the person named.
        """
        calibration = self._deciding(gallery)
        calibration.threshold(fmr if fpir is None else gallery.fmr_for_fpir(fpir))  # also for a picture without faces
        encoded = self._encoded(picture)
        found = [
            gallery.identify(encoded.template(i), fmr=fmr, fpir=fpir, calibration=calibration)
            for i in range(len(encoded))
        ]
        return [self.noted(decision, calibration) for decision in found]

    def search(self, picture: Picture | Encoded, gallery: Gallery, *, k: int = 5) -> list[list[Match]]:
        """The k most similar people of the gallery for every face of a picture, without a decision."""
        self._comparable(gallery)
        encoded = self._encoded(picture)
        return [gallery.search(encoded.template(i), k=k) for i in range(len(encoded))]

    def cluster(self, gallery: Gallery, *, clusterer: str = "incremental", actor: str = "local") -> list[Cluster]:
        """Sort the unknown faces of a gallery into clusters, within what people have said of them.

        Args:
            gallery: whose faces; see `Gallery.add_faces`.
            clusterer: catalogue row.
            actor: who does it.

        Returns:
            Clusters, largest first, each with an estimate of how pure it is.
        """
        self.check(gallery)
        gallery.cluster(_groups.clusterer(self.calibration, clusterer), actor=actor)
        return gallery.clusters(_groups.estimated_purity(self.calibration))

    def migrate(
        self, gallery: Gallery, *, adapter: Callable[[F32], F32] | None = None, actor: str = "local"
    ) -> Iterator[Progress]:
        """Give every face of a gallery a vector of this pipeline beside the one it has; searches go on meanwhile.

        Photos are read again from where they were; what has none left goes through `adapter` when there is one. When
        nothing is missing, `vultus.gallery.migrate.cut_over` makes this pipeline's space the one in use.

        Args:
            gallery: of another embedder.
            adapter: (N, D) vectors of its space -> (N, D') of this one; see `vultus.gallery.adapter`.
            actor: who does it.
        """
        return _groups.moved(self, gallery, adapter, actor)

    def check(self, gallery: Gallery, fmr: float | None = None) -> None:
        """Refuse before any work what cannot succeed.

        Args:
            gallery: where people are looked up or added.
            fmr: the false match rate of the decisions to come, if any.

        Raises:
            InputError: if it is no gallery, or the calibration cannot support that rate.
            SpaceMismatch: if the gallery holds vectors of another embedder. Where decisions are to come, a pair that is
                registered (`vultus.gallery.compat`) is none.
            StoreError: if the gallery cannot be read, or this embedder has no calibration.
        """
        if fmr is not None:
            self._deciding(gallery).threshold(fmr)
        elif self._comparable(gallery) != self.space:
            raise SpaceMismatch(self.space, str(gallery.space))

    def _comparable(self, gallery: Gallery) -> str:
        """In which space this pipeline's vectors and the gallery's are compared: the one, or that of their pair."""
        if not isinstance(gallery, Gallery):
            raise InputError(f"gallery: expected what vultus.open_gallery returns, got {type(gallery).__name__}")
        space = self.space  # before the file is opened: without weights no empty gallery is made
        return compared(space, gallery.space or space)

    def _deciding(self, gallery: Gallery) -> calibrate.Calibration:
        """What turns the scores of this gallery into error rates."""
        space = self._comparable(gallery)
        return self.calibration if space == self.space else calibrate.load(space)

    def _encoded(self, picture: Picture | Encoded) -> Encoded:
        return picture if isinstance(picture, Encoded) else self._single.encode([self._read(picture)])[0]

    def _read(self, picture: Picture, truncated: Any = "refuse") -> Image:
        """Decode; a JPEG file reduced, since it can be decoded again in full when its faces are small."""
        reducible = isinstance(picture, (str, PathLike)) and self.parts.tile is None
        return io_images.read(picture, max_side=DETECTION_SIDE if reducible else None, truncated=truncated)

    def _attempt(self, picture: Picture, truncated: str) -> Image | VultusError:
        try:
            return self._read(picture, truncated)
        except VultusError as error:
            return error.with_traceback(None)

    def noted(self, decision: Decision, calibration: calibrate.Calibration | None = None) -> Decision:
        """Say so when scores were measured on faces aligned in another way: the rate is then an estimate."""
        if (calibration or self.calibration).origin.alignment == self.alignment:
            return decision
        note = f"{decision.calibration}; this pipeline aligns by {self.alignment}, so the rate is an estimate"
        return replace(decision, calibration=note)

    def _template(self, item: Picture | Encoded | Template) -> Template:
        return item if isinstance(item, Template) else self._encoded(item).template()


Enrollment = _enroll.Enrollment


def _chunks(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    chunk: list[Any] = []
    for item in items:
        chunk.append(item)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk

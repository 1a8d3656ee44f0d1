"""The systems that are measured, each behind the same three calls.

    encode(path)       faces of one picture: boxes (N, 4) xyxy, unit vectors (N, D), five points (N, 5, 2) or (N, 0, 2)
                       where the system does not show them; stage times are added to `ms`
    encode_all(paths)  the same for many pictures, the way the system's own users would do it
    look(paths)        one more pass with stage times, where encode_all does not take them

They are made inside their own interpreter, which may have only that one system installed.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np

__all__ = ["CONTESTANTS", "Contestant"]

Result = tuple[Any, Any, Any]


class Contestant:
    """One system; subclasses import it in `__init__`."""

    distributions: tuple[str, ...] = ()

    def __init__(self, options: dict[str, Any]) -> None:
        self.threads = int(options["threads"])
        self.parallel = str(options["parallel"])
        self.ms: Counter[str] = Counter()

    @property
    def network_threads(self) -> int:
        """Threads inside a network: all of them, or one when pictures are spread over the cores."""
        return self.threads if self.parallel == "network" else 1

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time of the block to a stage."""
        began = time.perf_counter()
        yield
        self.ms[name] += (time.perf_counter() - began) * 1e3  # type: ignore[assignment]

    def encode(self, path: str) -> Result:
        """Boxes, vectors and points of one picture."""
        raise RuntimeError("each system has its own")

    def encode_all(self, paths: list[str]) -> list[Result]:
        """The same of many pictures, one after another or spread over the cores."""
        if self.parallel == "network":
            return [self.encode(path) for path in paths]
        with ThreadPoolExecutor(self.threads) as pool:
            return list(pool.map(self.encode, paths))

    def look(self, paths: list[str]) -> dict[str, float]:
        """Milliseconds per picture and stage, one picture after another."""
        self.ms.clear()
        for path in paths:
            self.encode(path)
        return {name: float(total) / len(paths) for name, total in self.ms.items()}


def _packed(boxes: list[Any], vectors: list[Any], points: list[Any] | None = None) -> Result:
    if not boxes:
        return np.zeros((0, 4), np.float32), np.zeros((0, 1), np.float32), np.zeros((0, 0, 2), np.float32)
    rows = np.stack(vectors).astype(np.float32)
    five = np.zeros((len(boxes), 0, 2)) if points is None else np.stack(points)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return np.stack(boxes).astype(np.float32), unit, five.astype(np.float32)


class Vultus(Contestant):
    """`Pipeline.encode` on the list of paths."""

    distributions = ("onnxruntime", "opencv-python-headless", "numpy", "pillow")

    def __init__(self, options: dict[str, Any]) -> None:
        super().__init__(options)
        import vultus

        self.pipe: Any = vultus.Pipeline(threads=self.threads, **options["pipeline"])

    def encode_all(self, paths: list[str]) -> list[Result]:
        """One call for all."""
        return [(e.detections.boxes, e.embedded.vec, e.detections.points) for e in self.pipe.encode(paths)]

    def look(self, paths: list[str]) -> dict[str, float]:
        """Thread time of each stage in one more pass; several threads overlap stages."""
        from vultus.io import images

        self.ms.clear()
        worker = self.pipe._many
        places = [
            (images, "read", "decode"),
            (worker.detector, "detect", "detect"),
            (worker.aligner, "align", "align"),
            (worker.embedder, "embed", "embed"),
            (worker.quality, "score", "quality"),
        ]
        if worker.refiner is not None:
            places.append((worker.refiner, "refine", "refine"))
        kept = []
        for owner, name, stage in places:
            kept.append((owner, name, getattr(owner, name)))
            _force(owner, name, self._timed(getattr(owner, name), stage))
        try:
            self.encode_all(paths)
        finally:
            for owner, name, plain in kept:
                _force(owner, name, plain)
        return {name: float(total) / len(paths) for name, total in self.ms.items()}

    def _timed(self, call: Any, stage: str) -> Any:
        def timed(*args: Any, **options: Any) -> Any:
            with self.stage(stage):
                return call(*args, **options)

        return timed


def _force(owner: Any, name: str, value: Any) -> None:
    """Set an attribute of a module or object; where the object is frozen or has slots, of its class."""
    for put in (setattr, object.__setattr__):
        try:
            put(owner, name, value)
        except (AttributeError, TypeError):
            continue
        return
    setattr(type(owner), name, staticmethod(value))


class InsightFace(Contestant):
    """SCRFD and ArcFaceONNX of insightface, one picture and one face at a time, as its FaceAnalysis does."""

    distributions = ("insightface", "onnxruntime", "opencv-python-headless", "opencv-python", "numpy")

    def __init__(self, options: dict[str, Any]) -> None:
        super().__init__(options)
        _limit_sessions(self.network_threads)
        import cv2
        from insightface.model_zoo.arcface_onnx import ArcFaceONNX
        from insightface.model_zoo.scrfd import SCRFD
        from insightface.utils import face_align

        self.cv2, self.face_align = cv2, face_align
        self.detector = SCRFD(options["scrfd"])
        self.detector.prepare(-1, det_thresh=options["min_score"])
        self.embedder = ArcFaceONNX(options["arcface"])

    def encode(self, path: str) -> Result:
        """Decode, detect, crop and embed each face."""
        with self.stage("decode"):
            picture = self.cv2.imread(path)
        with self.stage("detect"):
            boxes, points = self.detector.detect(picture)
        vectors = []
        for five in points:
            with self.stage("align"):
                crop = self.face_align.norm_crop(picture, landmark=five, image_size=112)
            with self.stage("embed"):
                vectors.append(self.embedder.get_feat(crop).ravel())
        return _packed(list(boxes[:, :4]), vectors, list(points))


class UniFace(Contestant):
    """SCRFD and ArcFace of uniface, one picture and one face at a time, as its FaceAnalyzer does."""

    distributions = ("uniface", "onnxruntime", "opencv-python-headless", "opencv-python", "numpy")

    def __init__(self, options: dict[str, Any]) -> None:
        super().__init__(options)
        _limit_sessions(self.network_threads)
        import cv2
        from uniface.detection import scrfd
        from uniface.face_utils import face_alignment
        from uniface.recognition import arcface

        self.cv2, self.align = cv2, face_alignment
        scrfd.verify_model_weights = lambda name: options["scrfd"]  # the files that everybody runs
        arcface.verify_model_weights = lambda name: options["arcface"]
        self.detector = scrfd.SCRFD(confidence_threshold=options["min_score"], providers=["CPUExecutionProvider"])
        plain = self.detector.inference
        # Its decoder reads outputs without a batch axis; this export has one.
        self.detector.inference = lambda tensor: [out[0] if out.ndim == 3 else out for out in plain(tensor)]
        self.embedder = arcface.ArcFace(providers=["CPUExecutionProvider"])

    def encode(self, path: str) -> Result:
        """Decode, detect, crop and embed each face."""
        with self.stage("decode"):
            picture = self.cv2.imread(path)
        with self.stage("detect"):
            faces = self.detector.detect(picture)
        vectors = []
        for face in faces:
            with self.stage("align"):
                crop, _ = self.align(picture, face.landmarks, image_size=(112, 112))
            with self.stage("embed"):
                vectors.append(self.embedder.get_embedding(crop).ravel())
        return _packed([face.bbox for face in faces], vectors, [face.landmarks for face in faces])


class FaceRecognition(Contestant):
    """face_recognition (dlib): HOG detector, five points, ResNet-29, as its README shows."""

    distributions = ("face_recognition", "dlib-bin", "dlib", "numpy", "pillow")

    def __init__(self, options: dict[str, Any]) -> None:
        super().__init__(options)
        import face_recognition

        self.api = face_recognition

    def encode(self, path: str) -> Result:
        """Decode, detect and embed; the crop is cut inside the call that embeds."""
        with self.stage("decode"):
            picture = self.api.load_image_file(path)
        with self.stage("detect"):
            places = self.api.face_locations(picture)
        with self.stage("embed"):
            vectors = self.api.face_encodings(picture, places)
        self.ms["align"] += 0
        return _packed([np.array([left, top, right, bottom]) for top, right, bottom, left in places], vectors)


def _limit_sessions(threads: int) -> None:
    """Give sessions their number of threads; everything else stays as the peer ships it."""
    import onnxruntime

    plain = onnxruntime.InferenceSession.__init__

    def made(self: Any, path: Any, sess_options: Any = None, *more: Any, **options: Any) -> None:
        wanted = sess_options or onnxruntime.SessionOptions()
        wanted.intra_op_num_threads = threads
        wanted.log_severity_level = 3
        plain(self, path, wanted, *more, **options)

    onnxruntime.InferenceSession.__init__ = made


CONTESTANTS: dict[str, type[Contestant]] = {
    "vultus": Vultus,
    "insightface": InsightFace,
    "uniface": UniFace,
    "face_recognition": FaceRecognition,
}

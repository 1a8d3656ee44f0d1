"""A pipeline without weights: pictures say in their first row of pixels who is on them.

`picture(5, 7)` draws two people, 5 and 7, side by side. The fake detector reads the row, the fake embedder gives every
person a direction of their own and every picture a little noise, so that enrolling and identifying work as they do
with real faces. Everything else is the real `vultus.Pipeline`.

    python -m tests.serve.fake --gallery people.db --keys keys.json [--slow 0.2] [--limit name=value]...
"""

from __future__ import annotations

import argparse
import hashlib
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vultus import Pipeline
from vultus.gallery.calibrate import Calibration, Origin, Rate
from vultus.pipeline import Encoded
from vultus.testing.pictures import drawn_scene
from vultus.types import Detections, Embedded, Image

SPACE = "fake@0123456789ab"
DIM = 32
MARK = (7, 77, 177)  # the first pixel of a picture that holds a row of people


def picture(*people: int, shot: int = 0, poor: bool = False, size_hw: tuple[int, int] = (96, 128)) -> bytes:
    """A PNG of drawn faces; `shot` makes it another picture of the same people."""
    pixels, _ = drawn_scene(np.random.default_rng((shot, *people)), n=max(len(people), 1), size_hw=size_hw)
    pixels = pixels.copy() if people else np.full_like(pixels, 90)
    pixels[0, 0] = MARK
    pixels[0, 1] = (len(people), int(poor), shot % 256)
    for i, person in enumerate(people):
        pixels[0, 2 + i] = (person // 65536, person // 256 % 256, person % 256)
    return encoded(pixels)


def encoded(pixels: np.ndarray) -> bytes:
    """PNG bytes."""
    import cv2

    done, data = cv2.imencode(".png", pixels[..., ::-1])
    assert done
    return bytes(data.tobytes())


def vector_of(person: int, salt: str = "") -> np.ndarray:
    """A direction per person; with a salt, one near it: cosine about .97."""
    vector = np.random.default_rng(person).normal(size=DIM)
    vector /= np.linalg.norm(vector)
    if salt:
        seed = int.from_bytes(hashlib.sha256(salt.encode()).digest()[:8], "big")
        vector = vector + 0.25 * np.random.default_rng(seed).normal(size=DIM) / np.sqrt(DIM)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


class _Embedder:
    space = SPACE


class Worker:
    """Stands where the loaded models stand.

    Args:
        slow: seconds that each batch takes.
    """

    def __init__(self, slow: float = 0.0) -> None:
        self.embedder = _Embedder()
        self.slow = slow
        self.batches: list[int] = []
        self.gate = threading.Event()
        self.gate.set()

    def detect(self, found: Sequence[Image]) -> list[Detections]:
        return [self._faces(image)[0] for image in found]

    def encode(self, found: Sequence[Image]) -> list[Encoded]:
        self.batches.append(len(found))
        self.gate.wait(30)
        if self.slow:
            time.sleep(self.slow)
        return [self._encode(image) for image in found]

    def _encode(self, image: Image) -> Encoded:
        faces, people, poor = self._faces(image)
        vectors = [vector_of(person, f"{image.sha256}{i}") for i, person in enumerate(people)]
        vec = np.stack(vectors) if vectors else np.zeros((0, DIM), np.float32)
        quality = np.full(len(people), 0.1 if poor else 0.9, np.float32)
        return Encoded(image.source, image.sha256, image.full_hw, faces, Embedded(vec, SPACE), quality)

    def _faces(self, image: Image) -> tuple[Detections, list[int], bool]:
        row = image.pixels[0].astype(int)
        marked = len(row) > 2 and tuple(row[0]) == MARK
        n = min(int(row[1, 0]), len(row) - 2) if marked else 0
        height, width = image.pixels.shape[:2]
        # the first person stands nearest
        left = np.arange(n) * width / max(n, 1)
        tall = np.array([0.8 * height if i == 0 else 0.3 * height for i in range(n)])
        boxes = (
            np.stack([left, np.full(n, 1.0), left + 0.9 * width / max(n, 1), 1.0 + tall], 1) if n else np.zeros((0, 4))
        )
        points = boxes[:, None, :2] + 0.5 * (boxes[:, None, 2:] - boxes[:, None, :2]) + np.zeros((1, 5, 1))
        people = [int(r * 65536 + g * 256 + b) for r, g, b in row[2 : 2 + n]]
        return Detections(boxes, np.linspace(0.99, 0.8, n), points), people, bool(marked and row[1, 1])


def calibration() -> Calibration:
    """Round numbers: .3 is a rate of .1, every further .1 a tenth of the rate."""
    rates = tuple(
        Rate(10.0 ** -(k + 1), 0.3 + 0.1 * k, 0.5 * 10.0 ** -(k + 1), min(1.0, 2 * 10.0 ** -(k + 1)), 0.01)
        for k in range(7)
    )
    origin = Origin(SPACE, "centerface", "drawn faces", "sim")
    return Calibration(origin, rates, 1000, 500, 10**9, 5000, "2026-11-01", "0.1.0")


def pipeline(slow: float = 0.0) -> tuple[Pipeline, Worker]:
    """The real pipeline on the fake models."""
    pipe, worker = Pipeline(threads=1), Worker(slow)
    pipe.__dict__.update(_single=worker, _many=worker, calibration=calibration())
    return pipe, worker


def main() -> int:
    """Serve with it: for tests that need a real process."""
    from vultus.serve import logs, server
    from vultus.serve.app import Options, create_app
    from vultus.serve.auth import Keys
    from vultus.serve.limits import Limits

    parser = argparse.ArgumentParser()
    parser.add_argument("--gallery", required=True)
    parser.add_argument("--keys", required=True)
    parser.add_argument("--slow", type=float, default=0.0)
    parser.add_argument("--limit", action="append", default=[])
    args = parser.parse_args()
    limits: dict[str, Any] = {}
    for text in args.limit:
        name, _, value = text.partition("=")
        limits[name] = float(value) if "." in value else int(value)
    logs.set_up()
    keys = Keys.open(args.keys)
    options = Options(state=Path(args.keys).parent / "serve")
    app = create_app(args.gallery, pipe=pipeline(args.slow)[0], keys=keys, limits=Limits(**limits), options=options)
    sock = server.listen("127.0.0.1", 0)
    server.run(app, sock, ready=lambda: print(f"http://127.0.0.1:{sock.getsockname()[1]}", flush=True))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

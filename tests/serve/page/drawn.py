"""Drawn people: a face is an ellipse whose hue is who it is, so that a stand-in can find and tell them apart."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import cv2
import numpy as np

STEP = 15  # hues of OpenCV (0 to 179) between two people
PEOPLE = 180 // STEP


@dataclass(frozen=True)
class Seen:
    """A face that was found: its box in shares of the picture, and the number of the person."""

    box: tuple[float, float, float, float]
    who: int


@dataclass(frozen=True)
class Photo:
    """A photo as the stand-in sees it."""

    sha256: str
    width: int
    height: int
    faces: tuple[Seen, ...]


def drawn_photo(*people: int, seed: int = 0, size_hw: tuple[int, int] = (360, 540)) -> bytes:
    """A JPEG with these people side by side; another seed is another photo of them."""
    rng = np.random.default_rng([seed, *people])
    height, width = size_hw
    gray = int(rng.integers(70, 120))
    canvas = np.full((height, width, 3), gray, np.uint8)
    canvas[height // 2 :] += np.uint8(rng.integers(10, 40))
    for place, who in enumerate(people):
        middle = np.array([(place + 0.5) * width / len(people), height * rng.uniform(0.42, 0.55)])
        tall = min(0.34 * height, 0.42 * width / len(people)) * rng.uniform(0.85, 1.0)
        _draw(canvas, middle, tall, who)
    done, data = cv2.imencode(".jpg", canvas, [cv2.IMWRITE_JPEG_QUALITY, 92])
    assert done
    return data.tobytes()


def _draw(canvas: np.ndarray, middle: np.ndarray, tall: float, who: int) -> None:
    color = cv2.cvtColor(np.array([[[who * STEP + STEP // 2, 210, 220]]], np.uint8), cv2.COLOR_HSV2BGR)[0, 0].tolist()
    x, y = (int(v) for v in middle)
    cv2.ellipse(canvas, (x, y), (int(0.78 * tall), int(tall)), 0, 0, 360, color, -1, cv2.LINE_AA)
    for side in (-1, 1):
        cv2.circle(
            canvas, (x + side * int(0.3 * tall), y - int(0.2 * tall)), max(2, int(0.09 * tall)), (30, 30, 30), -1
        )
    mouth = (int(0.34 * tall), int(0.2 * tall))
    cv2.ellipse(canvas, (x, y + int(0.35 * tall)), mouth, 0, 10, 170, (30, 30, 30), max(2, int(0.05 * tall)))


def look(data: bytes) -> Photo | None:
    """Find drawn people in a picture; None for what is no picture."""
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    if picture is None:
        return None
    height, width = picture.shape[:2]
    hue, saturation, _ = cv2.split(cv2.cvtColor(picture, cv2.COLOR_BGR2HSV))
    _, labels, stats, _ = cv2.connectedComponentsWithStats((saturation > 130).astype(np.uint8))
    faces = []
    for number, (x, y, w, h, area) in enumerate(stats[1:].tolist(), 1):
        if area > 600:
            who = int(np.median(hue[labels == number])) // STEP
            faces.append(Seen((x / width, y / height, (x + w) / width, (y + h) / height), who))
    return Photo(hashlib.sha256(data).hexdigest(), width, height, tuple(sorted(faces, key=lambda f: f.box)))


def crop(data: bytes, box: tuple[float, float, float, float], side: int = 112) -> bytes:
    """The face as a square JPEG."""
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    height, width = picture.shape[:2]
    x1, y1, x2, y2 = (int(v * s) for v, s in zip(box, (width, height, width, height), strict=True))
    reach = int(0.6 * max(x2 - x1, y2 - y1))
    x, y = (x1 + x2) // 2, (y1 + y2) // 2
    part = picture[max(0, y - reach) : y + reach, max(0, x - reach) : x + reach]
    return cv2.imencode(".jpg", cv2.resize(part, (side, side), interpolation=cv2.INTER_AREA))[1].tobytes()

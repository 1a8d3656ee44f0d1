"""An imitation of the set of YouTube Faces in its own layout, of simulated people."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from vultus.io import images
from vultus.sim.faces import World, person_of, render, sample_factors


def write_frames(folder: Path, people: int, videos: tuple[int, ...], frames: int) -> np.ndarray:
    """Write pictures of 104 x 128 and the table; the (N, 68, 2) points that are true."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    every, rows, world = [], [], World(frontal=1.0)
    for k in range(people):
        person, rng = person_of(k), np.random.default_rng(k)
        for video in videos:
            for frame in range(frames):
                sample = render(person, sample_factors(rng, world, person), 104, lod=0)
                pixels = np.zeros((128, 104, 3), np.uint8)
                pixels[12:116] = sample.image
                points = sample.points68 + np.array((0, 12))
                name = f"Person_{k:03d}_{video}{frame}.jpg"
                images.write(folder / "images" / name, pixels)
                rows.append([name, f"Person_{k:03d}", video, 104, 128, *(f"{v:.2f}" for v in points.ravel())])
                every.append(points)
    with open(folder / "landmarks68.csv", "w", newline="") as file:
        head = ["image", "identity", "video", "width", "height"]
        csv.writer(file).writerows([[*head, *(f"{axis}{k}" for k in range(68) for axis in "xy")], *rows])
    return np.array(every)

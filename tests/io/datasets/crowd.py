"""Six small pictures of three simulated people, encoded once."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from vultus.io import images
from vultus.sim import faces

SIDE = 112


@lru_cache(maxsize=1)
def crowd() -> tuple[tuple[int, bytes], ...]:
    """(label, JPEG) of two pictures for each of the people 0, 1 and 2."""
    made = []
    for label in range(3):
        person = faces.person_of(label)
        for yaw in (0.0, 15.0):
            pixels = faces.render(
                person, faces.Factors(pose_deg=np.array([yaw, 0, 0], np.float32)), size=SIDE, lod=0
            ).image
            made.append((label, images.encode(pixels, ".jpg", quality=90)))
    return tuple(made)

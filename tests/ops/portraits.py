"""Simulated portraits without anything on the face, small and quick."""

from dataclasses import replace

import numpy as np

from vultus.sim import faces


def portrait(seed=1, size=96, yaw=0.0, pitch=0.0, **changes):
    person = faces.person_of(seed)
    rng = np.random.default_rng(seed)
    pose = np.array([yaw, pitch, 0.0], np.float32)
    factors = faces.sample_factors(rng, None, person)
    plain = {"hat": "none", "glasses": "none", "occluder": "none", "style": "photo", "beard": "none"}
    return faces.render(person, replace(factors, pose_deg=pose, **plain, **changes), size, 0)

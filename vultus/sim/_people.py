"""Who is simulated: people, the factors of a picture, and how both are drawn at random."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np

from vultus.types import F32

__all__ = ["Factors", "Mark", "Person"]


@dataclass(frozen=True)
class Mark:
    """Something on the skin: kind (mole, scar, freckles), place on the chart in cm, size in cm, angle in radians."""

    kind: str
    x: float
    y: float
    size: float
    angle: float = 0.0


@dataclass(frozen=True, eq=False)
class Person:
    """One simulated person; everything here is constant over that person's pictures.

    Attributes:
        seed: what the person was drawn from.
        z_shape: (40,) code of the head's shape, deviations.
        z_albedo: (24,) code of the skin's coloring, deviations.
        marks: moles, scars, freckles.
        iris: color of the eyes.
        tone_ita_deg: individual typology angle of the skin, -60 dark to 70 light; independent of the codes.
        sex_axis: -1 to 1, female to male appearance; independent of the codes.
        population: (K,) one-hot group, or None.
        family: index, or None.
        frailty: log hazard of the Gompertz world.
        hair_color: the color that is this person's own, or None.
        name: fictitious, or None.
    """

    seed: int
    z_shape: F32
    z_albedo: F32
    marks: tuple[Mark, ...] = ()
    iris: str = "brown"
    tone_ita_deg: float = 35.0
    sex_axis: float = 0.0
    population: F32 | None = None
    family: int | None = None
    frailty: float = 0.0
    hair_color: str | None = None
    name: str | None = None


@dataclass(frozen=True, eq=False)
class Factors:
    """Everything in a picture that is not the person.

    Attributes:
        expression: (14,) strengths of the expression shapes, 0 to 1.
        gaze_deg: (2,) right +, up +.
        pose_deg: (3,) yaw, pitch, roll.
        light_sh: (9, 3) radiance of the surroundings.
        light_gain: exposure.
        hair_style, hair_color, glasses, hat, beard: names from `faces.CHOICES`.
        age: years, 18 to 90.
        shirt: (3,) color in [0, 1].
        makeup: strengths 0 to 1 of `lipstick` and `eye shadow`, and `color`.
        occluder: none, mask or bar.
        background: name; its details come from `background_seed`.
        style: photo, sketch or painting.
        camera: distance (cm), zoom, dx, dy (shares of the picture).
    """

    expression: F32 = field(default_factory=lambda: np.zeros(14, np.float32))
    gaze_deg: F32 = field(default_factory=lambda: np.zeros(2, np.float32))
    pose_deg: F32 = field(default_factory=lambda: np.zeros(3, np.float32))
    light_sh: F32 = field(default_factory=lambda: _soft())
    light_gain: float = 1.0
    hair_style: str = "short"
    hair_color: str = "brown"
    glasses: str = "none"
    hat: str = "none"
    beard: str = "none"
    age: float = 30.0
    shirt: F32 = field(default_factory=lambda: np.array([0.25, 0.3, 0.4], np.float32))
    makeup: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    occluder: str = "none"
    background: str = "plain gray"
    background_seed: int = 0
    style: str = "photo"
    camera: tuple[float, float, float, float] = (75.0, 1.0, 0.0, 0.0)


def _soft() -> F32:
    from vultus.sim._shade import lamp

    return lamp("soft")

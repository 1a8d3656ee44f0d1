"""What a picture has to pass before it counts: a face, the pose, the attributes, a new person, the same person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from vultus.contracts import Aligner, Detector, Embedder
from vultus.errors import InputError, SpaceMismatch
from vultus.generate.synthesize._personas import SLOTS, PersonaSpec
from vultus.types import F32, U8, Detections

__all__ = ["AttributeModel", "Checks", "PoseEstimator", "Rejection"]


class PoseEstimator(Protocol):
    """Where a face is turned to."""

    def pose_deg(self, image: U8, faces: Detections) -> F32:
        """One picture and its N faces -> (N, 3) yaw, pitch, roll in degrees; yaw + turns to the viewer's right."""
        ...


class AttributeModel(Protocol):
    """What a face looks like, in words."""

    @property
    def schema(self) -> Mapping[str, Sequence[str]]:
        """Name of each attribute -> its values."""
        ...

    def predict(self, crops: U8) -> Mapping[str, F32]:
        """(N, h, w, 3) uint8 crops -> name -> (N, K) probabilities, in the order of the schema."""
        ...


@dataclass(frozen=True, slots=True)
class Rejection:
    """A picture that was thrown away, and why.

    Attributes:
        attempt: which person of the place, from 0.
        pose: the wanted one.
        picture: which try of that picture, from 0.
        reason: "no face", "several faces", "pose", "group", "gender", "age", "not unique" or "drifted".
        value: what was measured: number of faces, yaw in degrees, probability of the wanted value, or a similarity.
        limit: what was asked for.
    """

    attempt: int
    pose: str
    picture: int
    reason: str
    value: float
    limit: float


@dataclass(frozen=True, eq=False)
class Checks:
    """The models that judge a picture, all passed in, and their limits.

    Never use the embedder in here to measure what the set says about recognizers: it chose the pictures.

    Attributes:
        detector, aligner, embedder: contracts of `vultus.contracts`; the crop is the embedder's.
        pose: pose estimator, or None: not checked.
        attributes: attribute model with the attributes group, gender and age, or None: not checked.
        unique_below: most similarity to any person kept before.
        same_above: least similarity of a further pose to the first picture.
        yaw_within_deg: most deviation from the wanted yaw.
    """

    detector: Detector
    aligner: Aligner
    embedder: Embedder
    pose: PoseEstimator | None = None
    attributes: AttributeModel | None = None
    unique_below: float = 0.5
    same_above: float = 0.7
    yaw_within_deg: float = 15.0

    def __post_init__(self) -> None:
        if not -1 <= self.unique_below <= 1 or not -1 <= self.same_above <= 1 or not self.yaw_within_deg > 0:
            raise InputError(
                "checks: expected similarities in [-1, 1] and a positive angle, got "
                f"{self.unique_below}, {self.same_above} and {self.yaw_within_deg}"
            )

    @property
    def spaces(self) -> frozenset[str]:
        """Every network that chose pictures; a judge must be another one."""
        return frozenset({self.embedder.space})

    def look(
        self, image: U8, persona: PersonaSpec, yaw_deg: float
    ) -> tuple[tuple[str, float, float] | None, F32 | None]:
        """Everything that concerns one picture alone.

        Returns:
            Reason, value and limit, or None where nothing is wrong; and the (D,) unit vector of the face, or None.
        """
        (faces,) = self.detector.detect([image])
        if len(faces) != 1:
            return ("no face" if len(faces) == 0 else "several faces", float(len(faces)), 1.0), None
        if self.pose is not None:
            yaw = float(self.pose.pose_deg(image, faces)[0, 0])
            if abs(yaw - yaw_deg) > self.yaw_within_deg:
                return ("pose", yaw, yaw_deg), None
        if faces.points is None:
            raise InputError("detector: expected one that gives five points, got boxes only")
        crops, _ = self.aligner.align(image, faces.points, self.embedder.crop)
        wrong = self._attributes(crops, persona)
        if wrong is not None:
            return wrong, None
        return None, self.embedder.embed(crops).vec[0]

    def _attributes(self, crops: U8, persona: PersonaSpec) -> tuple[str, float, float] | None:
        if self.attributes is None:
            return None
        told, schema = self.attributes.predict(crops), self.attributes.schema
        for slot in SLOTS:
            if slot not in schema:
                continue
            wanted, values = getattr(persona, slot), list(schema[slot])
            if wanted not in values:
                raise InputError(f"attributes: expected {slot} to know {wanted!r}, it knows {', '.join(values)}")
            shares = np.asarray(told[slot], np.float64)[0]
            place = values.index(wanted)
            if int(shares.argmax()) != place:
                return slot, float(shares[place]), float(shares.max())
        return None

    def new(self, vector: F32, kept: Kept) -> tuple[str, float, float] | None:
        """What is wrong with a person beside those kept before."""
        nearest = kept.nearest(vector)
        return ("not unique", nearest, self.unique_below) if nearest >= self.unique_below else None

    def same(self, vector: F32, first: F32) -> tuple[str, float, float] | None:
        """What is wrong with a further picture of a person."""
        likeness = float(vector @ first)
        return ("drifted", likeness, self.same_above) if likeness < self.same_above else None


class Kept:
    """The first vector of every person that was kept."""

    def __init__(self, space: str) -> None:
        self.space = space
        self._rows: NDArray[np.float32] | None = None
        self._count = 0

    def add(self, vector: F32, space: str) -> None:
        """Raises SpaceMismatch where the vector is of another embedder."""
        if space != self.space:
            raise SpaceMismatch(space, self.space)
        if self._rows is None:
            self._rows = np.zeros((64, len(vector)), np.float32)
        if self._count == len(self._rows):
            self._rows = np.concatenate([self._rows, np.zeros_like(self._rows)])
        self._rows[self._count] = vector
        self._count += 1

    def nearest(self, vector: F32) -> float:
        """Largest similarity to a kept person, -1 while there is none."""
        if self._rows is None:
            return -1.0
        return float((self._rows[: self._count] @ vector).max())

"""A morphable model: one mesh whose shape, expression and color are linear in small codes, and its fit to 68 points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vultus.errors import InputError
from vultus.ops.pose import Camera, euler_to_R, pose_from_points
from vultus.types import F32, checked

__all__ = ["Fit", "MorphableModel"]


@dataclass(frozen=True, eq=False)
class Fit:
    """What a fit to points found.

    Attributes:
        z_id: (Ki,) identity code.
        z_exp: (Ke,) expression code.
        pose_deg: (3,) yaw, pitch, roll.
        shift: (3,) so that R v + shift are camera coordinates.
        error_px: root mean square distance of the points.
    """

    z_id: F32
    z_exp: F32
    pose_deg: F32
    shift: F32
    error_px: float


@dataclass(frozen=True, eq=False)
class MorphableModel:
    """A mesh with bases for identity, expression and color.

    Attributes:
        mean: (V, 3) the mean shape.
        id_basis: (V, 3, Ki) for one standard deviation of each identity number.
        exp_basis: (V, 3, Ke) for full strength of each expression number.
        albedo_basis: (V, 3, Ka) change of log albedo for one standard deviation.
        faces: (F, 3) int32 triangles, clockwise as seen from outside.
        uv: (V, 2) place on the texture, in [0, 1].
        landmarks68: (68, 3) int32 triangle corners and
        landmark_weights: (68, 3) their weights: where the iBUG points lie.
        part_of_vertex: (V,) uint8 parsing class.

    Raises:
        InputError: if shapes do not agree.
    """

    mean: F32
    id_basis: F32
    exp_basis: F32
    albedo_basis: F32
    faces: NDArray[np.int32]
    uv: F32
    landmarks68: NDArray[np.int32]
    landmark_weights: F32
    part_of_vertex: NDArray[np.uint8]

    def __post_init__(self) -> None:
        count = len(self.mean)
        expected = {
            "mean": (count, 3), "id_basis": (count, 3, self.id_basis.shape[-1]),
            "exp_basis": (count, 3, self.exp_basis.shape[-1]), "albedo_basis": (count, 3, self.albedo_basis.shape[-1]),
            "faces": (len(self.faces), 3), "uv": (count, 2), "landmarks68": (68, 3), "landmark_weights": (68, 3),
            "part_of_vertex": (count,),
        }  # fmt: skip
        for name, shape in expected.items():
            if getattr(self, name).shape != shape:
                raise InputError(f"{name}: expected shape {shape}, got {getattr(self, name).shape}")
        for name in ("faces", "landmarks68"):
            index = getattr(self, name)
            if index.size and (index.min() < 0 or index.max() >= count):
                raise InputError(f"{name}: expected indices of {count} vertices, got {index.min()} to {index.max()}")

    def vertices(
        self,
        z_id: ArrayLike,
        z_exp: ArrayLike,
        R: ArrayLike | None = None,
        t: ArrayLike | None = None,
    ) -> F32:
        """The mesh of some codes.

        Args:
            z_id: (Ki,).
            z_exp: (Ke,).
            R: (3, 3) rotation, or None for none.
            t: (3,) shift, or None for none.

        Returns:
            (V, 3).

        Raises:
            InputError: if a shape does not fit or a number is not finite.
        """
        identity = checked("z_id", z_id, (self.id_basis.shape[2],), np.float32)
        strength = checked("z_exp", z_exp, (self.exp_basis.shape[2],), np.float32)
        placed = self.mean + self.id_basis @ identity + self.exp_basis @ strength
        if R is not None:
            placed = placed @ checked("R", R, (3, 3), np.float32).T
        if t is not None:
            placed = placed + checked("t", t, (3,), np.float32)
        result: F32 = placed.astype(np.float32)
        return result

    def points68(self, vertices: F32) -> F32:
        """(68, 3) the iBUG points on a mesh of this model."""
        corners: F32 = vertices[self.landmarks68]
        result: F32 = (corners * self.landmark_weights[..., None]).sum(1).astype(np.float32)
        return result

    def fit_landmarks(self, points: ArrayLike, camera: Camera, *, ridge: float = 0.5, rounds: int = 12) -> Fit:
        """Codes and pose whose points lie nearest to 68 given ones: pose and codes in turn, codes by ridge regression.

        Args:
            points: (68, 2) pixels in center coordinates.
            camera: that took the picture.
            ridge: pixels of point error that one standard deviation of a code is worth.
            rounds: how often pose and codes are refined.

        Returns:
            A `Fit`.

        Raises:
            InputError: if the shape is not (68, 2), a number is not finite, or the points do not fix a pose.
        """
        seen = checked("points", points, (68, 2), np.float64)
        basis = np.concatenate([self._points_of(self.id_basis), self._points_of(self.exp_basis)], axis=2)
        mean = self.points68(self.mean).astype(np.float64)
        code = np.zeros(basis.shape[2])
        for _ in range(rounds):
            pose, shift = pose_from_points(seen, mean + basis @ code, camera)
            turn = euler_to_R(pose)
            placed = (mean + basis @ code) @ turn.T + shift
            # the picture is linear in the code around where it is now
            per_code = np.einsum("ij,pjk->pik", turn, basis)
            z = placed[:, 2, None]
            slope = camera.focal * (
                per_code[:, :2] / z[..., None] - (placed[:, :2] / z**2)[..., None] * per_code[:, 2:3]
            )
            rows = slope.reshape(136, -1)
            goal = (seen - camera.project(placed)).ravel() + rows @ code
            code = np.linalg.solve(rows.T @ rows + ridge**2 * np.eye(len(code)), rows.T @ goal)
        pose, shift = pose_from_points(seen, mean + basis @ code, camera)
        error = camera.project((mean + basis @ code) @ euler_to_R(pose).T + shift) - seen
        split, small = self.id_basis.shape[2], code.astype(np.float32)
        return Fit(small[:split], small[split:], pose, shift, float(np.sqrt((error**2).sum(1).mean())))

    def _points_of(self, basis: F32) -> NDArray[np.float64]:
        corners = basis[self.landmarks68].astype(np.float64)
        result: NDArray[np.float64] = (corners * self.landmark_weights[:, :, None, None]).sum(1)
        return result

"""Face Mesh: 468 points of the face surface, and five better points out of them.

Kartynnik, Ablavatski, Grishchenko, Grundmann, "Real-time Facial Surface Geometry from Monocular Video on Mobile GPUs",
arXiv:1907.06724. The five are means of eyelid points, the nose tip and the mouth corners of the published topology.

Differs: the published pipeline cuts its crop from the box of its own detector or from the mesh of the frame before;
here it is cut from five rough points of any detector, turned so that the eyes lie level. Its side is 3.8 times the
distance between the eyes or, where a turned head brings the eyes together, 3.45 times that from eyes to mouth; both
were chosen on photographs of 348 faces with 68 points, by which the result is therefore a little flattered.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass

import numpy as np

from vultus.align._crops import back, centered, look, seen
from vultus.errors import InputError
from vultus.types import F32, U8, checked
from vultus.zoo.session import open_session

__all__ = ["FIVE", "POINTS", "FaceMesh"]

POINTS = 468
FIVE = (
    (33, 133, 159, 145, 160, 144, 158, 153),  # lids of the viewer's left eye
    (263, 362, 386, 374, 387, 373, 385, 380),
    (1,),
    (61,),
    (291,),
)
"""Which mesh points are averaged into each of the five points."""

_SIZE = 192
_EYES_TO_MOUTH = 1.1  # of the eye distance, on frontal faces


@dataclass(frozen=True)
class FaceMesh:
    """Refine five points; the dense mesh is there, too.

    Attributes:
        weights: id of a model card, or path of an ONNX file with outputs mesh and score.
        roi: side of the crop in eye distances.
        min_score: where the network gives its crop a lower probability of showing a face, the rough points are kept.
        threads: of the network; None: all physical cores.
    """

    weights: str = "facemesh"
    _: KW_ONLY
    roi: float = 3.8
    min_score: float = 0.5
    threads: int | None = None

    def refine(self, image: U8, points: F32) -> F32:
        """Five better points for each face.

        Args:
            image: (H, W, 3) uint8 RGB.
            points: (N, 5, 2) rough points in pixels, center coordinates.

        Returns:
            (N, 5, 2) in the same order. Rows are the rough points themselves where the mesh saw no face.

        Raises:
            InputError: for wrong shapes, or points of which eyes and mouth all coincide.
            WeightsError: if the weights are not there or are not those of the card.
        """
        rough = checked("points", points, (None, 5, 2))
        mesh, score = self._look(image, rough)
        better = np.stack([mesh[:, ids, :2].mean(axis=1) for ids in FIVE], axis=1)
        refined: F32 = np.where((score >= self.min_score)[:, None, None], better, rough)
        return refined

    def mesh(self, image: U8, points: F32) -> F32:
        """The face surface.

        Args:
            image: (H, W, 3) uint8 RGB.
            points: (N, 5, 2) rough points in pixels, center coordinates.

        Returns:
            (N, 468, 3): x, y in pixels of the picture, center coordinates; z in the same unit, smaller is nearer to the
            viewer, 0 at about the middle of the head.

        Raises:
            InputError, WeightsError: as `refine`.
        """
        return self._look(image, checked("points", points, (None, 5, 2)))[0]

    def _look(self, image: U8, five: F32) -> tuple[F32, F32]:
        """Mesh (N, 468, 3) in the picture and score (N,)."""
        seen(image)
        if not len(five):
            return np.zeros((0, POINTS, 3), np.float32), np.zeros(0, np.float32)
        session = open_session(self.weights, threads=self.threads)
        matrices = self._matrices(five)
        outputs = look(session, image, matrices, _SIZE, "RGB")
        if [output[0].size for output in outputs] != [POINTS * 3, 1]:
            what = [output.shape for output in outputs]
            raise InputError(f"{session.path.name}: expected outputs of 1404 numbers and 1 number per face, got {what}")
        raw = outputs[0].reshape(-1, POINTS, 3)
        side = _SIZE / np.sqrt(np.linalg.det(matrices[:, :, :2].astype(np.float64)))
        depth = raw[:, :, 2:] * (side / _SIZE)[:, None, None]
        mesh = np.concatenate([back(matrices, raw[:, :, :2]), depth], axis=2).astype(np.float32)
        return mesh, outputs[1].reshape(-1)

    def _matrices(self, five: F32) -> F32:
        eyes, mouth = five[:, :2].mean(axis=1), five[:, 3:].mean(axis=1)
        axis = five[:, 1] - five[:, 0]
        tall = np.linalg.norm(mouth - eyes, axis=1) / _EYES_TO_MOUTH
        side = self.roi * np.maximum(np.linalg.norm(axis, axis=1), tall)
        if (side <= 0).any():
            row = int(np.argmin(side))
            raise InputError(f"points: expected eyes and mouth apart, got one spot for all of them in row {row}")
        return centered((eyes + mouth) / 2, side, np.arctan2(axis[:, 1], axis[:, 0]), _SIZE)

"""DCT faces: low frequencies of the whole face and of eyes, nose and mouth, weighted by how well each recognizes.

Chadha, Vaidya and Roja, "Face Recognition Using Discrete Cosine Transform for Global and Local Features", 2011,
arXiv:1111.1423: a gray frontal face of 128 x 128 is transformed as a whole, and so are its eyes (16 x 16 each), nose
(25 x 40) and mouth (30 x 50); zig-zag, first coefficients, weights in proportion to each feature's recognition rate;
global and local ranks must agree before anybody is accepted.

Differs: regions lie where the alignment template puts them, not where a hand did. How many coefficients are kept and
how distances are normalized was chosen here: 64 and 24, Euclidean distance of unit vectors. The first coefficient (the
mean gray) is dropped, so that the brightness of a picture is no feature. Recognition rates come from the enrolled
pictures, each left out once; where nobody has two, weights are equal.

Known: on ORL the parts recognize what the face alone does not, but agreement keeps out no more strangers than a higher
threshold that rejects as many of the enrolled (claims `dct_faces`, `dct_faces_agreement`). 256 raw pixels of the same
pictures, not aligned, recognize more there than all of it: 0.95 against 0.90 (claim `dwt_faces`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vultus.errors import InputError
from vultus.ops.dct import dct_matrix, to_zigzag
from vultus.ops.warp import template
from vultus.recognize.classical._recognizer import ClassicalRecognizer

__all__ = ["DctRecognizer"]

F64 = NDArray[np.float64]

_SIZES_HW = {"left eye": (16, 16), "right eye": (16, 16), "nose": (25, 40), "mouth": (30, 50)}
_LIGHT = ("drop_dc", "log", "keep")


class DctRecognizer(ClassicalRecognizer):
    """Enroll people by aligned crops, rank them, accept those on whom the face and its parts agree.

    Args:
        k_global: coefficients of the whole face.
        k_local: coefficients of each region; both eyes together are one feature of twice as many.
        weights: "auto": by the recognition rates of the enrolled pictures, each left out once; or a share for each of
            `features`. `embed` knows nobody and takes "auto" as equal.
        agree: accept a person only where it is among the first `top` of both the face and its parts.
        top: see `agree`.
        light: "drop_dc" drops the mean gray; "log" takes the logarithm first, so that a factor of light drops out as
            well; "keep" keeps the mean, which then outweighs everything.
    """

    features = ("face", "eyes", "nose", "mouth")
    _name = "dct_faces"

    def __init__(
        self,
        k_global: int = 64,
        k_local: int = 24,
        weights: str | Mapping[str, float] = "auto",
        *,
        agree: bool = True,
        top: int = 1,
        light: str = "drop_dc",
    ) -> None:
        super().__init__()
        for name, value, most in (("k_global", k_global, 128 * 129 // 2 - 1), ("k_local", k_local, 16 * 17 // 2 - 1)):
            if not 1 <= value <= most:  # the upper left triangle, which zig-zag fills first
                raise InputError(f"{name}: expected 1 to {most} coefficients, got {value}")
        if top < 1:
            raise InputError(f"top: expected a rank of at least 1, got {top}")
        if light not in _LIGHT:
            raise InputError(f"light: expected one of {', '.join(_LIGHT)}, got {light!r}")
        self.k_global, self.k_local, self.weights = k_global, k_local, weights
        self.agree, self.top, self.light = agree, top, light
        self._given = _shares(weights, self.features)
        self.rates: dict[str, float] = {}
        """Recognition rate of each feature on the enrolled pictures, each left out once; empty where none has two."""

    def __repr__(self) -> str:
        weights = self.weights if isinstance(self.weights, str) else dict(sorted(self.weights.items()))
        return (
            f"DctRecognizer(k_global={self.k_global}, k_local={self.k_local}, weights={weights!r}, "
            f"agree={self.agree}, top={self.top}, light={self.light!r})"
        )

    def _described(self, gray: F64) -> list[F64]:
        if self.light == "log":
            gray = np.log1p(gray)
        parts = {name: self._coefficients(gray[(..., *place)], self.k_local) for name, place in _PLACES.items()}
        eyes = np.concatenate([parts["left eye"], parts["right eye"]], axis=1)
        found = [self._coefficients(gray, self.k_global), eyes, parts["nose"], parts["mouth"]]
        return [_normalized(rows) for rows in found]

    def _coefficients(self, region: F64, count: int) -> F64:
        """(N, count) first coefficients in zig-zag order, the mean dropped unless it is to be kept."""
        skip = 0 if self.light == "keep" else 1
        side = int(np.ceil((np.sqrt(8 * (count + skip) + 1) - 1) / 2))  # diagonals that hold so many
        rows, columns = (dct_matrix(n)[:side] for n in region.shape[-2:])
        low = rows @ region @ columns.T
        flat = np.ptp(region, axis=(-2, -1)) == 0
        low[flat] *= skip == 0  # of one gray: rounding is no feature
        return np.asarray(to_zigzag(low))[..., skip : skip + count]

    def _shares(self) -> F64:
        return self._given if self._given is not None else np.full(len(self.features), 1 / len(self.features))

    def _weights(self) -> F64:
        if self._given is not None or not sum(self.rates.values()):
            return self._shares()
        return _summing_to_one(list(self.rates.values()))

    def _learn(self) -> None:
        self.rates = {}
        several = np.bincount(self._whose)[self._whose] > 1
        if several.any() and len(self._people) > 1:
            nearest = self._nearest(self._templates, left_out=True).argmin(axis=2)
            right = (nearest == self._whose)[:, several].mean(axis=1)
            self.rates = dict(zip(self.features, map(float, right), strict=True))

    def _agreed(self, distances: F64) -> NDArray[np.bool_]:
        if not self.agree:
            return super()._agreed(distances)
        weights = self._weights()
        both = (distances[0], np.tensordot(weights[1:], distances[1:], axes=1))
        ranks = [np.argsort(np.argsort(each, axis=1, kind="stable"), axis=1, kind="stable") for each in both]
        return np.logical_and(*(rank < self.top for rank in ranks))


def _places() -> dict[str, tuple[slice, slice]]:
    """Rows and columns of each region in the crop: centered on the points of the template."""
    spec = DctRecognizer.crop
    five = template(spec.template, spec.size_hw)
    centers = dict(zip(_SIZES_HW, (five[0], five[1], five[2], (five[3] + five[4]) / 2), strict=True))
    found = {}
    for name, (height, width) in _SIZES_HW.items():
        left, upper = (round(float(c) - (side - 1) / 2) for c, side in zip(centers[name], (width, height), strict=True))
        found[name] = (slice(upper, upper + height), slice(left, left + width))
    return found


def _normalized(rows: F64) -> F64:
    """Rows of length 1; a row of zeros stays."""
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    out: F64 = np.divide(rows, length, out=np.zeros_like(rows), where=length > 0)
    return out


def _shares(weights: Any, features: tuple[str, ...]) -> F64 | None:
    if isinstance(weights, str) and weights == "auto":
        return None
    known = isinstance(weights, Mapping) and set(weights) == set(features)
    if not known or not all(0 <= weights[name] < np.inf for name in features) or not sum(weights.values()):
        raise InputError(f'weights: expected "auto" or a share for each of {", ".join(features)}, got {weights!r}')
    return _summing_to_one([float(weights[name]) for name in features])


def _summing_to_one(values: list[float]) -> F64:
    shares: F64 = np.array(values, np.float64) / sum(values)
    return shares


_PLACES = _places()

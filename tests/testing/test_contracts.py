"""The checks themselves: an honest object passes all of them, and each broken promise is caught by its check."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from vultus.errors import InputError
from vultus.testing.contracts import KINDS, checks, kind_of
from vultus.testing.pictures import drawn_scene
from vultus.types import CropSpec, Detections, Embedded


@dataclass(frozen=True)
class Means:
    """An embedder of four numbers: the mean colors of a crop and a constant; `broken` names what it does wrong."""

    broken: str = ""
    space = "means@0123456789ab"
    dim = 4
    crop = CropSpec("arcface112", (112, 112))

    def embed(self, crops):
        if self.broken != "takes anything" and (
            not isinstance(crops, np.ndarray) or crops.dtype != np.uint8 or crops.shape[1:] != (112, 112, 3)
        ):
            what = getattr(crops, "shape", type(crops).__name__)
            raise InputError("bad crops" if self.broken == "says little" else f"expected (N, 112, 112, 3), got {what}")
        raw = np.concatenate([crops.mean(axis=(1, 2)) / 255, np.ones((len(crops), 1))], axis=1)
        return self._spoil(crops, raw.astype(np.float32))

    def _spoil(self, crops, raw):
        if self.broken == "leans on the batch" and len(raw):
            raw = raw - raw.mean(axis=0) / 2
        if self.broken == "draws":
            np.random.random()  # noqa: NPY002
        if self.broken == "writes":
            crops[...] = 0
        if self.broken == "talks":
            print("done")
        if self.broken == "forgets":
            raw = raw + np.random.default_rng().normal(0, 0.1, raw.shape).astype(np.float32)
        if self.broken == "one vector":
            raw = np.ones_like(raw)
        return Embedded(raw / np.linalg.norm(raw, axis=1, keepdims=True), self.space)

    def __repr__(self):
        return "Means()" if self.broken == "hides" else f"Means(broken={self.broken!r})"


class Whole:
    """A detector that calls the middle of every picture a face."""

    def detect(self, images, *, min_score=None, max_faces=None):
        if min_score is not None and not 0 <= min_score <= 1:
            raise InputError(f"min_score: expected [0, 1], got {min_score}")
        if max_faces is not None and max_faces < 1:
            raise InputError(f"max_faces: expected at least 1, got {max_faces}")
        return [self._one(image, min_score or 0.0) for image in images]

    def _one(self, image, min_score):
        if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise InputError(f"expected (H, W, 3) uint8, got {getattr(image, 'shape', image)}")
        height, width = image.shape[:2]
        if not image.size:
            raise InputError(f"expected pixels, got {image.shape}")
        keep = min_score <= 0.5
        box = np.array([[width, height, 3 * width, 3 * height]]) / 4
        return Detections(box[:keep], np.full(1, 0.5)[:keep])

    def __repr__(self):
        return "Whole()"


@pytest.mark.parametrize("check", checks("embedder"), ids=lambda check: check.__name__)
def test_an_honest_embedder_passes(check):
    check(Means)


@pytest.mark.parametrize("check", checks("detector"), ids=lambda check: check.__name__)
def test_an_honest_detector_passes(check):
    check(Whole)


@pytest.mark.parametrize(
    ("broken", "name", "said"),
    [
        ("leans on the batch", "batch_equals_one_by_one", "one by one differs from the batch"),
        ("draws", "leaves_global_random_state", "take an rng argument"),
        ("writes", "input_is_untouched", "the input was modified"),
        ("talks", "prints_nothing", "it printed 'done"),
        ("forgets", "same_input_same_output", "the second call on the same input differs"),
        ("one vector", "output_is_as_stated", "two different faces have the same vector"),
        (
            "takes anything",
            "wrong_input_is_refused_in_words",
            "crops of float32: expected InputError, and it was",
        ),
        ("says little", "wrong_input_is_refused_in_words", "does not name what was expected and what came: bad crops"),
        ("hides", "shows_its_parameters", "repr does not show broken"),
    ],
)
def test_a_broken_promise_is_caught(broken, name, said):
    caught = {}
    for check in checks("embedder"):
        try:
            check(lambda: Means(broken))
        except AssertionError as error:
            caught[check.__name__] = str(error)
        except ValueError:
            assert broken == "writes"  # NumPy itself stops it on read-only pixels
    assert said in caught[name], caught


def test_kinds():
    assert kind_of(Means) == "embedder"
    assert kind_of(Whole) == "detector"
    assert kind_of(dict) is None
    with pytest.raises(InputError, match="expected one of detector, aligner"):
        checks("nonsense")
    assert all(len(checks(kind)) == 12 for kind in KINDS)


def test_drawn_faces_lie_where_they_say():
    picture, faces = drawn_scene(np.random.default_rng(3), n=2, size_hw=(240, 320))
    assert picture.shape == (240, 320, 3)
    assert len(faces) == 2
    for points in faces.points:
        left, right = (picture[y, x].astype(int).sum() for x, y in np.rint(points[:2]).astype(int))
        skin = picture[int(points[0, 1]), int(points[:2, 0].mean())].astype(int).sum()
        assert max(left, right) < skin  # the pupils are darker than the skin between them
    again, _ = drawn_scene(np.random.default_rng(3), n=2, size_hw=(240, 320))
    np.testing.assert_array_equal(picture, again)

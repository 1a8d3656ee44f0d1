"""DwtRecognizer: distances by hand and by Parseval, a thumbnail at the limit, and a cut that keeps its place."""

from __future__ import annotations

import numpy as np
import pytest

from vultus.errors import InputError, UnknownMethod
from vultus.recognize.classical.dwt_faces import DwtRecognizer, cut
from vultus.types import Detections


def grays(*levels):
    return np.stack([np.full((128, 128, 3), level, np.uint8) for level in levels])


def noise(n, seed=0):
    one = np.random.default_rng(seed).integers(0, 256, (n, 128, 128, 1), dtype=np.uint8)
    return one.repeat(3, axis=3)


def apart(a, b, **settings):
    recognizer = DwtRecognizer(**settings)
    recognizer.enroll(a, [f"{k:02}" for k in range(len(a))])
    return -recognizer.scores(b)


@pytest.mark.parametrize("wavelet", ["haar", "db2", "db3", "db4"])
@pytest.mark.parametrize("level", [1, 3, 5])
def test_two_grays_are_as_far_apart_as_their_levels(level, wavelet):
    np.testing.assert_allclose(apart(grays(30, 200), grays(50), level=level, wavelet=wavelet), [[20, 150]], atol=1e-6)


def test_all_subbands_together_are_the_pixels():
    a, b = noise(2), noise(3, seed=1)
    pixels = np.sqrt(np.square(b[:, None, ..., 0].astype(float) - a[None, ..., 0]).mean(axis=(2, 3)))
    np.testing.assert_allclose(apart(a, b, level=1, wavelet="db3", subbands="AHVD"), pixels, rtol=1e-9)
    coarse = [apart(a, b, level=level) for level in range(1, 6)]
    assert all((less < more).all() for less, more in zip(coarse[1:], [pixels, *coarse], strict=False))


def test_haar_compares_thumbnails():
    a, b = noise(1), noise(1, seed=2)
    small = [x[0, ..., 0].reshape(16, 8, 16, 8).mean(axis=(1, 3)) for x in (a.astype(float), b.astype(float))]
    expected = np.sqrt(np.square(small[0] - small[1]).mean())
    np.testing.assert_allclose(apart(a, b, level=3), [[expected]], rtol=1e-9)


def test_the_nearest_is_named_and_noise_hardly_moves_a_coarse_picture():
    people = noise(5) // 2
    shaky = np.clip(people + np.random.default_rng(3).normal(scale=20, size=people.shape), 0, 255).astype(np.uint8)
    recognizer = DwtRecognizer(level=2)
    recognizer.enroll(people, list("abcde"))
    assert recognizer.identify(shaky) == list("abcde")
    assert recognizer.identify(shaky, threshold=0) == [None] * 5
    own = np.diag(apart(people, shaky, level=3))
    assert (own < np.diag(apart(people, shaky, level=1, subbands="AHVD")) / 3).all()


def test_equalizing_undoes_a_change_of_light():
    ramp = np.arange(128, dtype=np.uint8)[None, None, :, None].repeat(128, axis=1).repeat(3, axis=3)
    assert apart(ramp, ramp // 2 + 90)[0, 0] > 20
    assert apart(ramp, ramp + 90, equalize=True)[0, 0] == pytest.approx(0, abs=1e-6)


def test_vectors_compare_as_correlations():
    crops = noise(4)
    small = crops[..., 0].astype(float).reshape(4, 16, 8, 16, 8).mean(axis=(2, 4)).reshape(4, -1)
    vectors = DwtRecognizer().embed(crops).vec.astype(float)
    np.testing.assert_allclose(vectors @ vectors.T, np.corrcoef(small), atol=1e-5)


class Boxes:
    """A detector that says what it was told."""

    def __init__(self, *boxes):
        self.boxes = boxes

    def detect(self, images, *, min_score=None, max_faces=None):
        return [Detections(np.reshape(box, (-1, 4)), np.ones(len(box) // 4)) for box in self.boxes]


def test_a_box_is_cut_out_pixel_by_pixel():
    picture = np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8)
    crops, found = cut([picture, picture, picture], Boxes([40, 50, 168, 178], [], [0, 0, 64, 128]))
    assert found == [0, 2]
    np.testing.assert_array_equal(crops[0], picture[50:178, 40:168])
    assert np.abs(crops[1][:, 1::2].astype(int) - picture[:128, :64]).max() <= 128  # twice as wide as it was
    np.testing.assert_allclose(crops[1].mean(), picture[:128, :64].mean(), atol=2)
    ramp = np.arange(0, 240, 12, dtype=np.uint8)[None, :, None].repeat(20, axis=0).repeat(3, axis=2)
    (enlarged,), _ = cut([ramp], Boxes([2, 2, 18, 18]))
    np.testing.assert_allclose(enlarged[5, :, 0], 12 * (2 + (np.arange(128) + 0.5) / 8 - 0.5), atol=1)
    nothing, none = cut([picture], Boxes([]))
    assert (nothing.shape, none) == ((0, 128, 128, 3), [])


@pytest.mark.parametrize(
    "settings",
    [{"level": 0}, {"level": 6}, {"level": 2.5}, {"subbands": ()}, {"subbands": "AA"}, {"subbands": ("X",)}],
)
def test_bad_settings(settings):
    with pytest.raises(InputError, match="expected"):
        DwtRecognizer(**settings)
    with pytest.raises(UnknownMethod):
        DwtRecognizer(wavelet="db9")
    with pytest.raises(UnknownMethod):
        DwtRecognizer(mode="zero")

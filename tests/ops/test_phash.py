import cv2
import numpy as np
import pytest
from scipy.fft import dctn

from vultus.errors import InputError
from vultus.ops.phash import bits_apart, phash
from vultus.sim import faces


def photo(seed):
    rng = np.random.default_rng(seed)
    person = faces.person_of(seed)
    return faces.render(person, faces.sample_factors(rng, None, person), 96, 0).image


def test_bits_are_those_of_the_definition():
    image = photo(3)
    gray = image.astype(np.float64) @ (0.299, 0.587, 0.114)
    low = dctn(gray.reshape(32, 3, 32, 3).mean(axis=(1, 3)), norm="ortho")[1:9, 1:9].ravel()
    expected = int("".join("1" if value > np.median(low) else "0" for value in low), 2)
    assert phash(image) == expected


def test_the_same_photograph_again_is_near_and_another_is_not():
    shots = [photo(seed) for seed in range(12)]
    hashes = [phash(shot) for shot in shots]
    small = [cv2.resize(shot, (61, 61), interpolation=cv2.INTER_AREA) for shot in shots]
    saved = [cv2.imdecode(cv2.imencode(".jpg", shot, [cv2.IMWRITE_JPEG_QUALITY, 40])[1], 1) for shot in shots]
    for again in (small, saved, [cv2.GaussianBlur(shot, (0, 0), 1.0) for shot in shots]):
        assert np.diag(bits_apart(hashes, [phash(shot) for shot in again])).max() <= 6
    apart = bits_apart(hashes, hashes)[~np.eye(12, dtype=bool)]
    assert apart.min() > 6
    mirrored = np.diag(bits_apart(hashes, [phash(np.ascontiguousarray(shot[:, ::-1])) for shot in shots]))
    assert mirrored.min() > 6


def test_one_color_is_zero_at_any_brightness():
    assert {phash(np.full((20, 30, 3), value, np.uint8)) for value in (0, 77, 255)} == {0}


def test_bits_apart_by_hand():
    np.testing.assert_array_equal(bits_apart([0, 2**64 - 1], [1, 2**63]), [[1, 1], [63, 63]])
    assert bits_apart([], [1]).shape == (0, 1)


@pytest.mark.parametrize("bad", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8), None])
def test_what_is_no_picture_is_refused(bad):
    with pytest.raises(InputError, match=r"expected .* got"):
        phash(bad)


@pytest.mark.parametrize("bad", [[-1], [2**64], ["x"], [None]])
def test_what_is_no_hash_is_refused(bad):
    with pytest.raises(InputError, match="64 bits"):
        bits_apart(bad, [1])

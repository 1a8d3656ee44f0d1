import numpy as np
import pytest
from skimage.color import rgb2lab

from vultus.errors import InputError
from vultus.ops.lab import rgb_to_lab


def test_colors_are_those_of_tables():
    corners = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255], [119, 119, 119], [0, 0, 0]], np.uint8)
    found = rgb_to_lab(corners)
    np.testing.assert_allclose(found[0], (53.24, 80.09, 67.20), atol=0.1)  # the primaries of sRGB under D65
    np.testing.assert_allclose(found[1], (87.73, -86.18, 83.18), atol=0.1)
    np.testing.assert_allclose(found[2], (32.30, 79.19, -107.86), atol=0.1)
    np.testing.assert_allclose(found[3:, 0], (100, 50.03, 0), atol=0.1)
    np.testing.assert_allclose(found[3:, 1:], 0, atol=0.1)


def test_colors_are_those_of_scikit_image():
    many = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    found = rgb_to_lab(many)
    np.testing.assert_allclose(found, rgb2lab(many), atol=0.02)
    np.testing.assert_array_equal(rgb_to_lab(many[::-1, :, :][3]), found[::-1][3])
    assert rgb_to_lab(many[:0]).shape == (0, 40, 3)


@pytest.mark.parametrize("bad", [np.zeros((4, 4, 3)), np.zeros((4, 4), np.uint8), np.uint8(3), None])
def test_bad_input(bad):
    with pytest.raises(InputError, match="expected uint8"):
        rgb_to_lab(bad)

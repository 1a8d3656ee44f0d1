"""LabSkinDetector: the threshold is scikit-image's, an oval with eyes is a face, and what is not stays out."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from skimage.color import lab2rgb, rgb2lab
from skimage.filters import threshold_otsu

from vultus.detect.lab_skin import LabSkinDetector, skin
from vultus.errors import InputError
from vultus.ops.boxes import iou

SKIN, WALL = (205, 160, 130), (70, 90, 130)


def scene(size_hw=(240, 320), center=(150, 120), radii=(50, 66), *, eyes=True, tone=SKIN):
    canvas = np.full((*size_hw, 3), WALL, np.uint8)
    cv2.ellipse(canvas, center, radii, 0, 0, 360, tone, -1)
    for side in (-1, 1) if eyes else ():
        cv2.ellipse(canvas, (center[0] + side * radii[0] // 2, center[1] - 15), (9, 6), 0, 0, 360, (20, 20, 20), -1)
    (x, y), (rx, ry) = center, radii
    return canvas, np.array([[x - rx, y - ry, x + rx + 1, y + ry + 1]], np.float32)


def test_the_threshold_is_otsus_within_its_limits():
    def picture(*tones):
        """Stripes of a* with a little noise, at L* 60 and b* 20."""
        rng = np.random.default_rng(1)
        planes = np.empty((60, 40 * len(tones), 3))
        planes[..., 0], planes[..., 2] = 60, 20
        planes[..., 1] = np.repeat(tones, 40) + rng.normal(scale=0.5, size=planes.shape[:2])
        return np.round(lab2rgb(planes) * 255).astype(np.uint8)

    between = picture(6, 14)  # both are above 5: only Otsu tells them apart
    level = threshold_otsu(np.round(rgb2lab(between)[..., 1]))
    assert 6 < level < 12
    assert skin(between)[:, 42:].all()
    assert not skin(between)[:, :38].any()
    both = picture(14, 30)  # Otsu lies at 22: beyond 12 it would cut a face in two
    assert threshold_otsu(rgb2lab(both)[..., 1]) > 15
    assert skin(both).all()
    assert not skin(picture(-3, 3)).any()  # not red enough, whatever Otsu says


@pytest.mark.parametrize("size_hw", [(240, 320), (960, 1280)])
def test_an_oval_with_eyes_is_found(size_hw):
    factor = size_hw[0] // 240
    image, box = scene()
    large = cv2.resize(image, size_hw[::-1], interpolation=cv2.INTER_NEAREST)
    (found,) = LabSkinDetector().detect([large])
    assert len(found) == 1
    assert iou(found.boxes, factor * box)[0, 0] > 0.95
    assert found.scores[0] > 0.9


def test_without_holes_the_score_is_half_and_the_largest_leads():
    (seen,), (blind,) = (LabSkinDetector().detect([scene(eyes=eyes)[0]]) for eyes in (True, False))
    assert blind.scores[0] == pytest.approx(seen.scores[0] / 2, rel=0.02)
    image, big = scene(center=(90, 120))
    small, box = scene(center=(250, 120), radii=(30, 40))
    image[:, 200:] = small[:, 200:]
    (found,) = LabSkinDetector(min_score=0.0).detect([image])
    np.testing.assert_array_equal(iou(found.boxes, np.concatenate([big, box])) > 0.9, np.eye(2, dtype=bool))
    assert found.scores[1] == pytest.approx(found.scores[0] * 30 * 40 / (50 * 66), rel=0.1)


def test_what_is_no_upright_oval_of_skin_is_no_face():
    gray = np.repeat(np.asarray(scene()[0][..., :1]), 3, axis=2)
    lying, _ = scene(center=(160, 120), radii=(100, 40))
    tiny, _ = scene(center=(160, 120), radii=(7, 9), eyes=False)
    blue, _ = scene(tone=SKIN[::-1])
    pink, _ = scene(tone=(205, 150, 190))  # as red as skin, but not yellow
    for picture in (gray, lying, tiny, blue, pink):
        assert len(LabSkinDetector(min_score=0.0).detect([picture])[0]) == 0


def test_a_thin_line_of_skin_color_is_cut_off():
    image, box = scene()
    image[100:102] = SKIN
    (found,) = LabSkinDetector().detect([image])
    assert iou(found.boxes, box)[0, 0] > 0.95


def test_bad_arguments():
    with pytest.raises(InputError, match="expected a score"):
        LabSkinDetector().detect([scene()[0]], min_score=2)

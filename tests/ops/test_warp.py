import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage.transform import SimilarityTransform

from vultus.errors import InputError
from vultus.ops import warp

ARCFACE = warp.TEMPLATES["arcface112"]


def picture(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def smooth(height, width):
    return cv2.resize(picture(6, 8), (width, height), interpolation=cv2.INTER_CUBIC)


def similarity(scale, rad, tx, ty):
    c, s = scale * np.cos(rad), scale * np.sin(rad)
    return np.array([[c, -s, tx], [s, c, ty]])


SIMILARITY = st.builds(
    similarity, st.floats(0.05, 20), st.floats(-3.1, 3.1), st.floats(-500, 500), st.floats(-500, 500)
)


@given(SIMILARITY)
def test_umeyama_recovers_an_exact_similarity(true):
    src = np.linalg.inv(true[:, :2]) @ (ARCFACE.T - true[:, 2:])
    found = warp.similarity_umeyama(src.T, ARCFACE)
    np.testing.assert_allclose(found, true, rtol=1e-5, atol=2e-3)
    np.testing.assert_allclose(warp.apply(found, src.T), ARCFACE, atol=0.02)


def by_scikit_image(src, dst):
    if hasattr(SimilarityTransform, "from_estimate"):
        return SimilarityTransform.from_estimate(src, dst)
    found = SimilarityTransform()  # before 0.26, which is what Python 3.10 gets
    assert found.estimate(src, dst)
    return found


@given(st.integers(0, 10**6), st.booleans())
def test_umeyama_agrees_with_scikit_image_and_never_reflects(seed, mirrored):
    rng = np.random.default_rng(seed)
    src = ARCFACE * ([-1, 1] if mirrored else [1, 1]) + rng.normal(scale=8, size=(5, 2))
    peer = by_scikit_image(src, ARCFACE)
    found = warp.similarity_umeyama(src, ARCFACE)
    np.testing.assert_allclose(found, peer.params[:2], atol=1e-3)
    assert np.linalg.det(found[:, :2]) > 0


def test_umeyama_by_hand():
    # the unit square turned by a quarter, doubled and moved by (5, 7)
    src = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
    dst = np.array([[5, 7], [5, 9], [3, 9], [3, 7]])
    np.testing.assert_allclose(warp.similarity_umeyama(src, dst), [[0, -2, 5], [2, 0, 7]], atol=1e-6)


def test_a_batch_equals_one_by_one():
    many = ARCFACE + np.random.default_rng(3).normal(scale=5, size=(9, 5, 2))
    batch = warp.similarities(many, ARCFACE)
    np.testing.assert_array_equal(batch, np.stack([warp.similarity_umeyama(five, ARCFACE) for five in many]))
    np.testing.assert_array_equal(warp.apply(batch, many)[4], warp.apply(batch[4], many[4]))
    assert warp.similarities(np.zeros((0, 5, 2)), ARCFACE).shape == (0, 2, 3)


@given(SIMILARITY)
def test_invert_undoes(matrix):
    there = warp.apply(matrix, ARCFACE)
    np.testing.assert_allclose(warp.apply(warp.invert(matrix), there), ARCFACE, atol=0.05)


def test_templates_keep_their_numbers():
    assert [five.shape for five in warp.TEMPLATES.values()] == [(5, 2)] * 4
    np.testing.assert_allclose(warp.TEMPLATES["sphereface112x96"][0], [30.2946, 51.6963], rtol=1e-6)
    np.testing.assert_allclose(warp.TEMPLATES["dlib150"][2], [76.07, 80.10], rtol=1e-6)
    np.testing.assert_array_equal(warp.template("arcface112", (112, 112)), ARCFACE)
    doubled = warp.template("sphereface112x96", (224, 192))  # centers: (x + 0.5) * 2 - 0.5
    np.testing.assert_allclose(doubled, warp.TEMPLATES["sphereface112x96"] * 2 + 0.5, rtol=1e-6)
    with pytest.raises(ValueError, match="read-only"):
        ARCFACE[0, 0] = 0


def test_identity_and_shift_move_whole_pixels():
    image = picture(30, 40)
    np.testing.assert_array_equal(warp.warp(image, np.eye(2, 3), (30, 40)), image)
    moved = warp.warp(image, [[1, 0, -5], [0, 1, -7]], (10, 12))
    np.testing.assert_array_equal(moved, image[7:17, 5:17])


def test_outside_is_border():
    image = picture(8, 8)
    out = warp.warp(image, [[1, 0, 4], [0, 1, 0]], (8, 12), border=9)
    assert (out[:, :4] == 9).all()
    np.testing.assert_array_equal(out[:, 4:], image)
    assert (warp.warp(image, [[1, 0, 1e6], [0, 1, 0]], (4, 4), border=9) == 9).all()


def test_the_crop_does_not_depend_on_what_lies_around_it():
    image = smooth(600, 800)
    matrix = similarity(0.9, 0.3, -150, -220)
    whole = cv2.warpAffine(image, matrix, (112, 112), flags=cv2.INTER_LINEAR)
    assert np.abs(warp.warp(image, matrix, (112, 112)).astype(int) - whole).max() <= 2


def test_shrinking_by_four_averages_blocks():
    image = picture(64, 96)
    matrix = [[0.25, 0, -0.375], [0, 0.25, -0.375]]  # (x + 0.5) / 4 - 0.5
    blocks = image.reshape(16, 4, 24, 4, 3).mean((1, 3))
    assert np.abs(warp.warp(image, matrix, (16, 24)) - blocks).max() <= 1


@pytest.mark.parametrize("scale", [0.45, 0.3, 0.1, 0.03])
@pytest.mark.parametrize("size", [(1001, 1507), (1500, 1000)])
def test_points_follow_pixels_when_shrinking(scale, size):
    height, width = size
    across, down = np.meshgrid(np.arange(width), np.arange(height))
    image = np.stack([across / 6, down / 6, np.full(size, 40)], axis=2).astype(np.uint8)
    matrix = similarity(scale, 0.4, 0, 0)
    matrix[:, 2] = 20 - matrix[:, :2] @ (width / 2, height / 2)  # the middle lands at (20, 20)
    out = warp.warp(image, matrix, (41, 41)).astype(float)
    seen = warp.apply(warp.invert(matrix), [[20.0, 20.0], [23.0, 17.0]])
    for (x, y), place in zip(seen, [(20, 20), (17, 23)], strict=True):
        np.testing.assert_allclose(out[place][:2], [x / 6, y / 6], atol=1.2)


def test_a_large_face_does_not_alias():
    image = np.zeros((2000, 2000, 3), np.uint8)
    image[::2] = 255  # one-pixel stripes: a fair crop is even gray
    matrix = similarity(0.07, 0.01, -10, -10)
    assert warp.warp(image, matrix, (112, 112)).std() < 3
    assert warp.warp(image, matrix, (112, 112), antialias=False).std() > 30


def test_warp_leaves_its_input_alone():
    image, matrix = picture(20, 20), np.array([[0.2, 0, 1], [0, 0.2, 1]])
    before = image.copy(), matrix.copy()
    image.setflags(write=False)
    warp.warp(image, matrix, (9, 9))
    np.testing.assert_array_equal(image, before[0])
    np.testing.assert_array_equal(matrix, before[1])


@given(st.integers(-4, 7), st.integers(1, 9), st.integers(1, 9), st.integers(0, 10**6))
def test_quarter_turns_bring_points_and_boxes_back(k, height, width, seed):
    rng = np.random.default_rng(seed)
    y, x = rng.integers(height), rng.integers(width)
    image = np.zeros((height, width, 3), np.uint8)
    image[y, x] = 255
    turned = warp.rotate90(image, k)
    assert turned.flags.c_contiguous
    ty, tx = np.argwhere(turned[..., 0] == 255)[0]
    np.testing.assert_array_equal(warp.unrotate_points([[tx, ty]], k, (height, width)), [[x, y]])
    box = warp.unrotate_boxes([[tx, ty, tx + 1, ty + 1]], k, (height, width))
    np.testing.assert_array_equal(box, [[x, y, x + 1, y + 1]])
    np.testing.assert_array_equal(warp.rotate90(turned, -k), image)


def test_no_boxes_to_turn():
    assert warp.unrotate_boxes(np.zeros((0, 4)), 1, (5, 6)).shape == (0, 4)
    assert warp.unrotate_points(np.zeros((0, 5, 2)), 1, (5, 6)).shape == (0, 5, 2)


@pytest.mark.parametrize(
    "call",
    [
        lambda: warp.similarity_umeyama(np.ones((5, 2)), ARCFACE),
        lambda: warp.similarity_umeyama(ARCFACE, np.ones((5, 2))),
        lambda: warp.similarity_umeyama(ARCFACE[:1], ARCFACE[:1]),
        lambda: warp.similarity_umeyama(ARCFACE[:4], ARCFACE),
        lambda: warp.similarity_umeyama(ARCFACE * np.nan, ARCFACE),
        lambda: warp.similarities(np.stack([ARCFACE, ARCFACE * 0]), ARCFACE),
        lambda: warp.template("mugshot", (112, 112)),
        lambda: warp.template("arcface112", (112, 96)),
        lambda: warp.invert(np.zeros((2, 3))),
        lambda: warp.invert(np.eye(3)),
        lambda: warp.apply(np.eye(3), ARCFACE),
        lambda: warp.apply(np.zeros((2, 2, 3)), np.zeros((3, 5, 2))),
        lambda: warp.warp(np.zeros((4, 4, 3)), np.eye(2, 3), (4, 4)),
        lambda: warp.warp(np.zeros((4, 4), np.uint8), np.eye(2, 3), (4, 4)),
        lambda: warp.warp([[1]], np.eye(2, 3), (4, 4)),
        lambda: warp.warp(np.zeros((4, 4, 3), np.uint8), np.zeros((2, 3)), (4, 4)),
        lambda: warp.warp(np.zeros((4, 4, 3), np.uint8), np.eye(2, 3), (0, 4)),
    ],
)
def test_bad_input_is_refused_in_words(call):
    with pytest.raises(InputError, match="expected"):
        call()

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vultus.errors import InputError
from vultus.ops.pose import Camera
from vultus.ops.raster import carry, interpolate, rasterize, sh9, shade

CAMERA = Camera(12.0, 6.5, 5.5)


def one_by_one(vertices, faces, camera, size_hw, cull):
    """Each pixel against each triangle: depth and index of the nearest."""
    height, width = size_hw
    depth, owner = np.full(size_hw, np.inf), np.full(size_hw, -1)
    for index, (a, b, c) in enumerate(vertices[faces]):
        if min(a[2], b[2], c[2]) <= 0:
            continue
        normal = np.cross(b - a, c - a)
        if cull and normal @ a <= 0:
            continue
        for row in range(height):
            for column in range(width):
                ray = np.array([(column - camera.cx) / camera.focal, (row - camera.cy) / camera.focal, 1.0])
                solved = np.linalg.solve(np.stack([a, b, c], 1), ray) if abs(np.linalg.det([a, b, c])) > 1e-9 else [-1]
                if min(solved) > 1e-9:
                    z = 1 / sum(solved)
                    if z < depth[row, column]:
                        depth[row, column], owner[row, column] = z, index
    return depth, owner


@settings(max_examples=20)
@given(st.integers(0, 10_000), st.booleans())
def test_agrees_with_one_ray_per_pixel(seed, cull):
    rng = np.random.default_rng(seed)
    vertices = rng.uniform((-3, -3, 2), (3, 3, 9), (9, 3)).astype(np.float32).astype(np.float64)
    faces = np.stack([rng.permutation(9)[:3] for _ in range(5)])
    raster = rasterize(vertices, faces, CAMERA, (12, 14), cull=cull)
    depth, owner = one_by_one(vertices, faces, CAMERA, (12, 14), cull)
    # rays through an edge may go either way
    assert (raster.face_id != owner).mean() < 0.01
    same = (raster.face_id == owner) & (owner >= 0)
    np.testing.assert_allclose(raster.depth[same], depth[same], rtol=1e-4)


def test_a_square_by_hand():
    corners = np.array([[-1, -1, 5], [1, -1, 5], [1, 1, 5], [-1, 1, 5.0]])
    faces = np.array([[0, 1, 2], [0, 2, 3]])
    raster = rasterize(corners, faces, Camera(100, 31.5, 31.5), (64, 64))
    assert (raster.face_id >= 0).sum() == 40 * 40
    assert (rasterize(corners, faces[:, ::-1], Camera(100, 31.5, 31.5), (64, 64)).face_id < 0).all()
    assert np.isinf(raster.depth[0, 0])
    assert raster.depth[32, 32] == 5


def test_a_closed_mesh_has_no_cracks():
    grid = np.stack(np.meshgrid(np.linspace(-4, 4, 30), np.linspace(-4, 4, 30)), -1)
    z = 9 + np.sin(grid[..., 0] * 2) * np.cos(grid[..., 1])
    vertices = np.concatenate([grid, z[..., None]], -1).reshape(-1, 3)
    index = np.arange(900).reshape(30, 30)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]
    faces = np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)])
    assert (rasterize(vertices, faces, Camera(100, 24.5, 24.5), (50, 50)).face_id >= 0).all()


def test_interpolation_is_straight_in_space():
    corners = np.array([[-2, -2, 4], [2, -2, 4], [2, 2, 12], [-2, 2, 12.0]])
    faces = np.array([[0, 1, 2], [0, 2, 3]])
    camera = Camera(30, 15.5, 15.5)
    raster = rasterize(corners, faces, camera, (32, 32))
    values = interpolate(raster, faces, corners)
    seen = raster.face_id >= 0
    np.testing.assert_allclose(values[seen][:, 2], raster.depth[seen], rtol=1e-4)
    rows, columns = np.nonzero(seen)
    np.testing.assert_allclose(camera.project(values[seen]), np.stack([columns, rows], 1), atol=1e-3)
    assert (values[~seen] == 0).all()


def hills(middle=19.0):
    """A closed sheet of 900 vertices that waves towards the camera and away."""
    grid = np.stack(np.meshgrid(np.linspace(-4, 4, 30), np.linspace(-4, 4, 30)), -1)
    z = middle + np.sin(grid[..., 0] * 2) * np.cos(grid[..., 1])
    vertices = np.concatenate([grid, z[..., None]], -1).reshape(-1, 3).astype(np.float32)
    index = np.arange(900, dtype=np.int32).reshape(30, 30)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]
    faces = [np.stack(corners, -1).reshape(-1, 3) for corners in ((a, b, c), (a, c, d))]
    return vertices, np.concatenate(faces)


@settings(max_examples=15)
@given(st.floats(60, 300), st.floats(20, 100), st.floats(20, 100), st.booleans())
def test_values_are_carried_to_the_pixels_that_the_exact_raster_finds(focal, cx, cy, turned):
    vertices, faces = hills()
    faces = np.ascontiguousarray(faces[:, ::-1]) if turned else faces
    camera = Camera(focal, cx, cy)
    exact = rasterize(vertices, faces, camera, (90, 120), cull=not turned)
    layer = carry(vertices, faces, vertices, camera, (90, 120), cull=not turned)
    seen = layer.order < 1
    assert ((exact.face_id >= 0) != seen).mean() < 1e-3  # centers on an outer edge
    both = seen & (exact.face_id >= 0)
    np.testing.assert_allclose(layer.depth[both], exact.depth[both], rtol=1e-4)
    np.testing.assert_allclose(layer.values[both], interpolate(exact, faces, vertices)[both], atol=2e-3)
    assert (layer.values[~seen] == -1).all()
    assert np.isinf(layer.depth[~seen]).all()
    if turned:
        assert (carry(vertices, faces, vertices, camera, (90, 120)).order == 1).all()


def test_what_lies_behind_is_left_out():
    near, faces = hills(19.0)
    far, _ = hills(30.0)
    camera = Camera(120.0, 40.0, 40.0)
    first = carry(near, faces, near, camera, (80, 80))
    behind = carry(far, faces, far, camera, (80, 80), behind=first.order, blank=0.0)
    hidden = first.order < 1
    assert (behind.values[hidden] == 0).all()
    np.testing.assert_array_equal(behind.order[hidden], first.order[hidden])
    before = carry(near, faces, near, camera, (80, 80), behind=carry(far, faces, far, camera, (80, 80)).order)
    np.testing.assert_array_equal(before.values[hidden], first.values[hidden])
    nothing = carry(near, faces[:0], near, camera, (8, 8))
    assert (nothing.order == 1).all()


def test_harmonics_are_orthonormal_and_white_light_is_white():
    k = np.arange(20_000) + 0.5
    z, turn = 1 - 2 * k / 20_000, np.pi * (1 + 5**0.5) * k
    around = np.stack([np.sqrt(1 - z * z) * np.cos(turn), np.sqrt(1 - z * z) * np.sin(turn), z], 1)
    basis = sh9(around).astype(np.float64)
    np.testing.assert_allclose(basis.T @ basis * 4 * np.pi / 20_000, np.eye(9), atol=1e-3)
    white = np.zeros((9, 3))
    white[0] = 1 / 0.282095
    np.testing.assert_allclose(shade(np.full((5, 3), 0.5), around[:5], white), 0.5, atol=1e-4)
    # against the integral over the half sphere
    light = np.random.default_rng(0).normal(size=(9, 3)) * 0.1
    light[0] = 4
    normal = np.array([0.6, 0.0, -0.8])
    integral = (np.maximum(around @ normal, 0)[:, None] * (basis @ light)).mean(0) * 4
    np.testing.assert_allclose(shade(np.ones(3), normal, light), integral, rtol=2e-3)


def test_harmonics_stand_in_the_order_that_is_told():
    """1; y, z, x; xy, yz, 3z^2-1, xz, x^2-y^2 by hand: on the three axes, and halfway between each two."""
    a, b, c, d, e = 0.282095, 0.488603, 1.092548 / 2, 0.315392, 0.546274
    by_hand = {
        (1, 0, 0): (a, 0, 0, b, 0, 0, -d, 0, e),
        (0, 1, 0): (a, b, 0, 0, 0, 0, -d, 0, -e),
        (0, 0, 1): (a, 0, b, 0, 0, 0, 2 * d, 0, 0),
        (0.5**0.5, 0.5**0.5, 0): (a, b * 0.5**0.5, 0, b * 0.5**0.5, c, 0, -d, 0, 0),
        (0, 0.5**0.5, -(0.5**0.5)): (a, b * 0.5**0.5, -b * 0.5**0.5, 0, 0, -c, d / 2, 0, -e / 2),
        (-(0.5**0.5), 0, 0.5**0.5): (a, 0, b * 0.5**0.5, -b * 0.5**0.5, 0, 0, d / 2, -c, e / 2),
    }
    np.testing.assert_allclose(sh9(list(by_hand)), list(by_hand.values()), atol=1e-6)


def test_refusals_and_nothing():
    with pytest.raises(InputError, match="faces"):
        rasterize(np.zeros((3, 3)), np.array([[0, 1, 3]]), CAMERA, (8, 8))
    with pytest.raises(InputError, match="size_hw"):
        rasterize(np.zeros((3, 3)), np.array([[0, 1, 2]]), CAMERA, (0, 8))
    with pytest.raises(InputError, match="vertices"):
        rasterize(np.full((3, 3), np.nan), np.array([[0, 1, 2]]), CAMERA, (8, 8))
    behind = np.array([[0, 0, -1], [1, 0, 5], [1, 1, 5.0]])
    assert (rasterize(behind, np.array([[0, 1, 2]]), CAMERA, (8, 8), cull=False).face_id == -1).all()
    assert (rasterize(np.zeros((0, 3)), np.zeros((0, 3), int), CAMERA, (8, 8)).face_id == -1).all()

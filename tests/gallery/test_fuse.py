"""Fusing photos of one person, and finding the photo that is of somebody else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vultus.errors import InputError
from vultus.gallery.fuse import fuse_photos, misfits
from vultus.ops.vectors import unit

SPACE = "toy@000000000000"


def _person(rng, n, dim=64, spread=0.5):
    center = unit(rng.standard_normal(dim))
    return unit(center + spread * unit(rng.standard_normal((n, dim))))


def test_by_hand():
    # (1, 0) with weight 3 and (0, 1) with weight 4: direction (3, 4), length 5
    fused = fuse_photos(np.eye(2, dtype=np.float32), ["a", "b"], SPACE, [0.3, 0.4])
    np.testing.assert_allclose(fused.vector, [0.6, 0.8], atol=1e-6)
    assert fused.n_images == 2
    assert fused.media == ("a", "b")
    assert fused.quality == pytest.approx(0.4)


@given(st.integers(0, 2**32 - 1), st.integers(1, 8))
def test_order_of_photos_does_not_matter(seed, n):
    rng = np.random.default_rng(seed)
    rows, media, quality = _person(rng, n), [f"m{i}" for i in range(n)], rng.random(n).tolist()
    order = rng.permutation(n)
    one = fuse_photos(rows, media, SPACE, quality)
    other = fuse_photos(rows[order], [media[i] for i in order], SPACE, [quality[i] for i in order])
    assert np.array_equal(one.vector, other.vector)  # to the last bit: a stored reference can be checked


def test_one_photo_is_its_own_reference():
    row = _person(np.random.default_rng(0), 1)
    assert np.allclose(fuse_photos(row, ["a"], SPACE, [0.0]).vector, row[0], atol=1e-6)


def test_unassessed_photos_weigh_as_the_mean_of_the_others():
    rows = _person(np.random.default_rng(1), 3)
    one = fuse_photos(rows, ["a", "b", "c"], SPACE, [0.2, 0.6, None])
    other = fuse_photos(rows, ["a", "b", "c"], SPACE, [0.2, 0.6, 0.4])
    np.testing.assert_allclose(one.vector, other.vector, atol=1e-6)
    assert fuse_photos(rows, ["a", "b", "c"], SPACE).quality is None


@pytest.mark.parametrize(
    ("rows", "media", "quality"),
    [
        (np.zeros((0, 4)), [], None),
        (np.eye(2), ["a"], None),
        (np.eye(2), ["a", "a"], None),
        (np.eye(2), ["a", "b"], [0.5]),
        (np.eye(2), ["a", "b"], [0.5, 1.5]),
        (np.array([[1.0, 0.0], [-1.0, 0.0]]), ["a", "b"], None),
    ],
)
def test_refuses(rows, media, quality):
    with pytest.raises(InputError, match="expected"):
        fuse_photos(rows.astype(np.float32), media, SPACE, quality)


def test_the_stranger_among_the_photos_is_found():
    rng = np.random.default_rng(2)
    rows = np.concatenate([_person(rng, 6), _person(rng, 1)])
    assert misfits(rows, 0.4).tolist() == [False] * 6 + [True]


def test_two_that_disagree_are_both_marked_and_one_alone_never_is():
    rng = np.random.default_rng(3)
    two = np.concatenate([_person(rng, 1), _person(rng, 1)])
    assert misfits(two, 0.4).tolist() == [True, True]
    assert misfits(two[:1], 0.4).tolist() == [False]
    assert misfits(two[:0], 0.4).tolist() == []


def test_several_strangers_do_not_drag_the_others_down():
    rng = np.random.default_rng(4)
    rows = np.concatenate([_person(rng, 8), *(_person(rng, 1) for _ in range(3))])
    assert misfits(rows, 0.4).tolist() == [False] * 8 + [True] * 3

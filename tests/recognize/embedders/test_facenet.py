"""FaceNet: thresholds on squared distances are thresholds on cosines, and a byte per number is enough."""

from __future__ import annotations

import numpy as np
import pytest

from vultus import catalogue
from vultus.errors import InputError, SpaceMismatch
from vultus.ops.vectors import ByteCode, unit
from vultus.recognize.embedders.facenet import FaceNet, cosine_of, squared_distance_of
from vultus.types import CropSpec, Embedded


class Drawn:
    """Vectors by the brightness of the first pixel: person k has a center of its own."""

    space, dim, crop = "drawn@000000000000", 128, CropSpec("box", (4, 4))

    def __repr__(self):
        return "Drawn()"

    def embed(self, crops):
        rows = []
        for crop in crops:
            person, photo = int(crop[0, 0, 0]), int(crop[0, 0, 1])
            center = np.random.default_rng(person).standard_normal(128)
            rows.append(center + 0.8 * np.random.default_rng((person, photo)).standard_normal(128))
        return Embedded(unit(rows) if rows else np.zeros((0, 128), np.float32), self.space)


def crops(people=30, photos=4):
    out = np.zeros((people * photos, 4, 4, 3), np.uint8)
    out[:, 0, 0, 0] = np.repeat(np.arange(people), photos)
    out[:, 0, 0, 1] = np.tile(np.arange(photos), people)
    return out


def test_squared_distances_by_hand():
    """At a right angle 2, opposite 4, the same 0; the paper's 1.1 is a cosine of .45, its 1.242 one of .379."""
    net = catalogue.load("facenet", embedder=Drawn())
    a = np.zeros((3, 128), np.float32)
    a[:, 0] = 1
    b = a.copy()
    b[1] = np.roll(b[1], 1)
    b[2] *= -1
    one, other = Embedded(a, net.space), Embedded(b, net.space)
    np.testing.assert_allclose(net.squared_distances(one, other), [0, 2, 4])
    assert net.verify(one, other, 1.1).tolist() == [True, False, False]
    assert net.verify(one, other, 2.0).tolist() == [True, True, False]
    np.testing.assert_allclose(cosine_of([0, 1.1, 1.242, 2, 4]), [1, 0.45, 0.379, 0, -1])
    np.testing.assert_allclose(squared_distance_of(cosine_of([0, 1.1, 4])), [0, 1.1, 4])


def test_a_threshold_on_distances_decides_as_one_on_cosines():
    net = catalogue.load("facenet", embedder=Drawn())
    found = net.embed(crops())
    a, b = (Embedded(found.vec[part], net.space) for part in (slice(0, 119), slice(1, 120)))
    cosines = (a.vec * b.vec).sum(1, dtype=np.float64)
    for d2 in (0.8, 1.1, 1.5):
        assert np.array_equal(net.verify(a, b, d2), cosines >= cosine_of(d2))
    assert 0 < net.verify(a, b, 1.1).sum() < 119


@pytest.mark.parametrize("fitted", [False, True])
def test_bytes_keep_the_order_of_people(fitted):
    """128 bytes a face; the scale of its own for every dimension is several times finer than -1 to 1."""
    seen, kept = Drawn().embed(crops(90)[:300]).vec, crops(90)[300:]
    code = ByteCode.fit(seen) if fitted else None
    numbers, net = Drawn().embed(kept).vec, catalogue.load("facenet.bytes", embedder=Drawn(), code=code)
    assert isinstance(net, FaceNet)
    codes = net.encode(kept)
    assert (codes.dtype, codes.shape, codes.nbytes) == (np.uint8, (60, 128), 60 * 128)
    rounded = net.decode(codes).vec
    np.testing.assert_array_equal(rounded, net.embed(kept).vec)
    change = np.abs(rounded @ rounded.T - numbers @ numbers.T).max()
    assert change < (0.005 if fitted else 0.015)
    who = kept[:, 0, 0, 0]
    near = (numbers @ rounded.T)[~np.eye(60, dtype=bool)].reshape(60, 59)
    others = np.tile(who, (60, 1))[~np.eye(60, dtype=bool)].reshape(60, 59)
    assert (np.take_along_axis(others, near.argmax(1)[:, None], 1)[:, 0] == who).mean() > 0.98


def test_refusals():
    net = catalogue.load("facenet", embedder=Drawn())
    found = net.embed(crops(2, 2))
    with pytest.raises(SpaceMismatch):
        net.verify(found, Embedded(found.vec, "other@1"), 1.1)
    with pytest.raises(InputError, match="expected as many vectors"):
        net.verify(found, Embedded(found.vec[:2], net.space), 1.1)
    for wrong in (-0.1, 4.1, np.nan):
        with pytest.raises(InputError, match="squared_distance: expected numbers from 0 to 4"):
            net.verify(found, found, wrong)
    with pytest.raises(InputError, match="cosine: expected numbers from -1 to 1"):
        squared_distance_of(1.1)
    with pytest.raises(InputError, match='expected "float" or "bytes"'):
        FaceNet(Drawn(), stored="bits")
    with pytest.raises(InputError, match="codes: expected uint8"):
        net.decode(np.zeros((2, 128)))
    with pytest.raises(InputError, match=r"shape \(any, 64\)"):
        FaceNet(Drawn(), code=ByteCode.plain(64)).encode(crops(1, 1))

"""MATLAB files: what another library writes is read, what is damaged is refused in words."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
import scipy.io
from hypothesis import given, settings
from hypothesis import strategies as st

from vultus.errors import InputError
from vultus.io import matlab
from vultus.io.matlab import read_matlab


def written(tmp_path, variables, **options):
    path = tmp_path / "list.mat"
    scipy.io.savemat(path, variables, **options)
    return path


def cell(items):
    """A column of cells."""
    column = np.empty((len(items), 1), object)
    for k, item in enumerate(items):
        column[k, 0] = item
    return column


@pytest.mark.parametrize("compressed", [True, False])
def test_what_scipy_writes_is_read(tmp_path, compressed):
    whole = np.arange(6, dtype=np.int32).reshape(2, 3)
    variables = {
        "gallery_set": cell(["1_1.jpg", "a much longer name of a picture.jpg", "ab"]),
        "gallery_ids": np.array([[3.0], [70000.0], [-1.5]]),
        "whole": whole,
        "small": np.uint8([[7]]),
        "text": "a line",
        "lines": np.array(["ab", "cd", "ef"]),
        "none": np.zeros((0, 1)),
        "nested": cell([cell(["x", "y"]), np.array([[1, 2]])]),
        "truth": np.array([[True, False]]),
    }
    got = read_matlab(written(tmp_path, variables, do_compression=compressed))
    assert got["gallery_set"] == ["1_1.jpg", "a much longer name of a picture.jpg", "ab"]
    assert got["gallery_ids"].ravel().tolist() == [3, 70000, -1.5]
    np.testing.assert_array_equal(got["whole"], whole)
    assert got["whole"].dtype == np.int32
    assert got["small"].tolist() == [[7]]
    assert got["text"] == "a line"
    assert got["lines"] == ["ab", "cd", "ef"]
    assert got["none"].shape == (0, 1)
    assert got["nested"][0] == ["x", "y"]
    assert got["nested"][1].tolist() == [[1, 2]]
    assert got["truth"].tolist() == [[1, 0]]


def element(kind, content):
    return struct.pack(">II", kind, len(content)) + content + b"\0" * (-len(content) % 8)


def by_hand(path, of, shape, content):
    """One variable x of class `of`, as a big-endian machine writes it."""
    inner = element(6, struct.pack(">II", of, 0)) + element(5, struct.pack(f">{len(shape)}i", *shape))
    inner += struct.pack(">HH", 1, 1) + b"x\0\0\0" + content
    path.write_bytes(b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack(">H", 0x0100) + b"MI" + element(14, inner))
    return path


def test_the_other_order_of_bytes(tmp_path):
    path = by_hand(tmp_path / "x.mat", 6, (1, 1), element(9, struct.pack(">d", 2.5)))
    assert read_matlab(path)["x"].tolist() == [[2.5]]


def test_shapes_that_hold_nothing_cost_nothing(tmp_path):
    """Two billion rows of no letters are no list of two billion texts."""
    path = tmp_path / "x.mat"
    assert read_matlab(by_hand(path, 4, (2**31 - 1, 0), element(4, b"")))["x"] == ""
    for shape in ((0, *[2**31 - 1] * 3), (1,) * 70, (1,)):
        with pytest.raises(InputError, match="'x'"):
            read_matlab(by_hand(path, 6, shape, element(9, struct.pack(">d", 2.5)[: 8 * int(0 not in shape)])))


def test_more_cells_than_are_read_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(matlab, "_MAX_CELLS", 3)
    assert read_matlab(written(tmp_path, {"x": cell(["a", "b", "c"])}))["x"] == ["a", "b", "c"]
    with pytest.raises(InputError, match="expected at most 3 cells, got more in 'x'"):
        read_matlab(written(tmp_path, {"x": cell(["a", "b", "c", "d"])}))
    inner = cell(["a", "b"])
    with pytest.raises(InputError, match="expected at most 3 cells"):
        read_matlab(written(tmp_path, {"x": cell([inner, inner])}))


def test_a_limit_that_is_used_up_is_still_one(tmp_path):
    """Once the first variable has grown to all that is allowed, the second may not grow at all."""
    path = written(tmp_path, {"a": np.zeros((500, 50)), "b": np.zeros((500, 500))}, do_compression=True)
    content = path.read_bytes()
    (size,) = struct.unpack_from("<I", content, 132)
    most = len(zlib.decompress(content[136 : 136 + size]))
    assert len(content) < most
    with pytest.raises(InputError, match="of at most 0 bytes, got more"):
        read_matlab(path, max_bytes=most)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_damage_is_refused_or_read_but_never_a_trace(tmp_path_factory, data):
    file = io.BytesIO()
    scipy.io.savemat(file, {"names": cell(["a.jpg", "b.jpg"]), "ids": np.arange(3.0)}, do_compression=False)
    content = bytearray(file.getvalue())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(126, len(content) - 1))] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.integers(0, len(content)))]
    path = tmp_path_factory.mktemp("mat") / "d.mat"
    path.write_bytes(bytes(content) or b"\0")
    try:
        read_matlab(path)
    except InputError as error:
        assert str(path) in str(error)  # noqa: PT017 - both ends are good


@pytest.mark.parametrize(
    ("variables", "why"),
    [
        ({"s": {"field": 1}}, "class 2 in 's'"),
        ({"z": np.array([[1 + 2j]])}, "another one in 'z'"),
    ],
)
def test_what_is_not_read_is_named(tmp_path, variables, why):
    with pytest.raises(InputError, match=why):
        read_matlab(written(tmp_path, variables))


def test_refusals(tmp_path):
    path = tmp_path / "a.mat"
    path.write_bytes(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(600))
    with pytest.raises(InputError, match=r"version 7\.3: save it again with -v7"):
        read_matlab(path)
    path.write_bytes(b"not at all" * 30)
    with pytest.raises(InputError, match="got something else"):
        read_matlab(path)
    large = written(tmp_path, {"x": np.zeros((500, 500))}, do_compression=True)
    with pytest.raises(InputError, match="of at most 100000 bytes, got more"):
        read_matlab(large, max_bytes=100_000)

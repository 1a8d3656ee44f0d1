from __future__ import annotations

import io
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vultus.errors import InputError
from vultus.zoo.convert.torch_zip import read_state

GOLDEN = Path(__file__).parents[2] / "golden" / "torch_zip"
LAYOUTS = ["zip.bin", "legacy.bin"]
GRID = np.arange(24, dtype=np.float32).reshape(4, 6)
STATE = {
    "turned": GRID.T,
    "part": GRID[1:3, 2:],
    "parameter": np.array([0.5, -1.25, 3.0], np.float32),
    "half": np.array([[1.5, -2.0]], np.float16),
    "brain": np.array([1.0, -0.15625, 3.0], np.float32),
    "long": np.array([3, -(2**40)], np.int64),
    "bool": np.array([True, False]),
    "scalar": np.array(3.5, np.float32),
    "empty": np.zeros((0, 4), np.float32),
    "inner.double": np.array([0.1]),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_files_that_torch_wrote(layout):
    state = read_state(GOLDEN / layout)
    assert list(state) == list(STATE)
    for name, want in STATE.items():
        assert state[name].dtype == want.dtype, name
        np.testing.assert_array_equal(state[name], want, err_msg=name)


@pytest.mark.parametrize("layout", LAYOUTS)
@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_a_damaged_file_gives_tensors_or_an_input_error(layout, data, tmp_path_factory):
    whole = bytearray((GOLDEN / layout).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    whole = whole[: data.draw(st.sampled_from([len(whole), data.draw(st.integers(0, len(whole)))]))]
    path = tmp_path_factory.getbasetemp() / f"damaged-{layout}"
    path.write_bytes(whole)
    with suppress(InputError):
        assert all(isinstance(value, np.ndarray) for value in read_state(path).values())


@given(data=st.binary(max_size=300))
@settings(max_examples=100, deadline=None)
def test_random_bytes_are_an_input_error(data, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "random.pth"
    path.write_bytes(data)
    with pytest.raises(InputError):
        read_state(path)


def _zip(index: bytes, members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", compression) as archive:
        archive.writestr("a/data.pkl", index)
        for name, value in members.items():
            archive.writestr(f"a/{name}", value)
    return target.getvalue()


def _view(count: int, offset: int, sizes: bytes, steps: bytes) -> bytes:
    """{"w": a view of a storage of `count` float32}, spelled in opcodes."""
    storage = b"(U\x07storagectorch\nFloatStorage\nU\x010U\x03cpuJ" + count.to_bytes(4, "little") + b"tQ"
    rest = b"J" + offset.to_bytes(4, "little", signed=True) + sizes + steps + b"\x89}"
    return b"\x80\x02}U\x01wctorch._utils\n_rebuild_tensor_v2\n(" + storage + rest + b"tRs."


def test_the_spelled_view_is_read(tmp_path):
    path = tmp_path / "w.pth"
    path.write_bytes(_zip(_view(4, 1, b"K\x02\x85", b"K\x02\x85"), {"data/0": np.arange(4, dtype="<f4").tobytes()}))
    np.testing.assert_array_equal(read_state(path)["w"], [1.0, 3.0])


@pytest.mark.parametrize(
    ("count", "offset", "sizes", "steps"),
    [
        (4, 0, b"K\x05\x85", b"K\x01\x85"),
        (4, 2, b"K\x03\x85", b"K\x01\x85"),
        (4, 0, b"K\x04\x85", b"K\x02\x85"),
        (4, -1, b"K\x01\x85", b"K\x01\x85"),
        (4, 0, b"J\xff\xff\xff\xff\x85", b"K\x01\x85"),
        (4, 0, b"J\xff\xff\xff\x7f\x85", b"K\x00\x85"),  # two billion copies of one value
        (4, 0, b"K\x02\x85", b"J\xff\xff\xff\xff\x85"),
        (4, 0, b"K\x02K\x02\x86", b"K\x01\x85"),
        (400, 0, b"K\x04\x85", b"K\x01\x85"),  # the storage is smaller than it says
        (4, 0, b"K\x02", b"K\x01\x85"),
    ],
)
def test_a_view_that_leaves_its_storage_is_refused(count, offset, sizes, steps, tmp_path):
    path = tmp_path / "w.pth"
    path.write_bytes(_zip(_view(count, offset, sizes, steps), {"data/0": np.arange(4, dtype="<f4").tobytes()}))
    with pytest.raises(InputError):
        read_state(path)


def test_a_compressed_member_is_refused(tmp_path):
    path = tmp_path / "bomb.pth"
    path.write_bytes(
        _zip(_view(10**6, 0, b"K\x01\x85", b"K\x01\x85"), {"data/0": bytes(4 * 10**6)}, zipfile.ZIP_DEFLATED)
    )
    with pytest.raises(InputError, match="uncompressed"):
        read_state(path)


def test_a_checkpoint_that_would_run_something_is_refused(tmp_path):
    witness = tmp_path / "ran"
    payload = b"cos\nsystem\n(S'touch " + str(witness).encode() + b"'\ntR."
    path = tmp_path / "evil.pth"
    for data in (_zip(payload, {}), payload):
        path.write_bytes(data)
        with pytest.raises(InputError, match="refused"):
            read_state(path)
    assert not witness.exists()


def test_a_state_that_contains_itself_is_refused(tmp_path):
    path = tmp_path / "loop.pth"
    path.write_bytes(_zip(b"\x80\x02}q\x00U\x01ah\x00s.", {}))
    with pytest.raises(InputError, match="deep"):
        read_state(path)


def test_a_file_without_tensors_is_refused(tmp_path):
    path = tmp_path / "none.pth"
    path.write_bytes(_zip(b"\x80\x02}.", {}))
    with pytest.raises(InputError, match="got none"):
        read_state(path)


@pytest.mark.parametrize(
    ("file", "count"),
    [("retinaface/mobilenet0.25_Final.pth", 300), ("extd/EXTD_64.pth", 164), ("mobilefacenet_casia/068.ckpt", 333)],
)
def test_published_checkpoints(file, count, weights_dir):
    state = read_state(weights_dir / file)
    assert len(state) == count
    assert all(np.isfinite(value).all() for value in state.values())

"""Read the tensors of a PyTorch checkpoint without PyTorch and without running anything in it.

Two layouts exist. Since 2020 a checkpoint is a zip archive: `<top>/data.pkl` describes the objects and
`<top>/data/<key>` holds the bytes of each storage, uncompressed. Before that, five object streams follow one another
(magic number, protocol 1001, notes on the machine, the objects, the storage keys) and after them, per key, a count of
64 bits and the values. Both describe tensors by the same two calls, which `vultus.zoo.convert.opcodes` knows by
spelling. Source: PyTorch documentation, "Serialization semantics"; layouts read off files written by 0.4 to 2.13.
"""

from __future__ import annotations

import math
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vultus.errors import InputError
from vultus.zoo.convert import opcodes
from vultus.zoo.convert.opcodes import Name

__all__ = ["read_state"]

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_WRAPPERS = ("state_dict", "net_state_dict", "model_state_dict", "weight", "model")
_MAX_DEPTH, _MAX_TENSORS = 8, 100_000
_KINDS = {
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "BFloat16Storage": "<u2",  # the upper half of a float32
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "<i1",
    "ByteStorage": "<u1",
    "BoolStorage": "<?",
}

_DAMAGE = (zipfile.BadZipFile, OSError, EOFError, RuntimeError, ValueError, struct.error, zlib.error)


@dataclass(frozen=True)
class _Storage:
    """A run of `count` values that tensors are views of; `kind` is a key of `_KINDS`."""

    key: str
    kind: str
    count: int


@dataclass(frozen=True)
class _Tensor:
    """A view of a storage: sizes, steps and start, in values."""

    storage: _Storage
    offset: int
    sizes: tuple[int, ...]
    steps: tuple[int, ...]


@dataclass
class _Found:
    """What the object stream mentioned and what the file holds for it."""

    data: dict[str, bytes] = field(default_factory=dict)
    storages: dict[str, _Storage] = field(default_factory=dict)

    def storage(self, reference: Any) -> _Storage:
        """A persistent id: ("storage", kind, key, device, count), in the old layout with one more that stays None."""
        match reference:
            case ("storage", Name() as name, str() as key, str(), int() as count, *view) if view in ([], [None]):
                kind = name.spelling.removeprefix("torch ")
                if kind in _KINDS and 0 <= count < 2**40:
                    found = self.storages.setdefault(key, _Storage(key, kind, count))
                    if found == _Storage(key, kind, count):
                        return found
        raise InputError("checkpoint: expected a reference to a storage of known type, got another: refused")


def read_state(path: Path) -> dict[str, NDArray[Any]]:
    """The tensors of a checkpoint by name.

    Args:
        path: a .pth, .pt or .ckpt file in either layout. Where the weights sit one level down ("state_dict", "weight",
            ...), that level is returned; a "module." in front of every name is dropped.

    Returns:
        Arrays in the order of the file; bfloat16 comes as float32.

    Raises:
        InputError: if the file holds anything but containers, numbers, strings and tensors, is damaged, or has none.
    """
    data = path.read_bytes()
    try:
        objects, found = _read_zip(data) if data[:2] == b"PK" else _read_legacy(data)
        state = _flatten(_unwrap(objects), found)
    except InputError as error:
        raise InputError(f"{path.name}: {error}") from error
    if not state:
        raise InputError(f"{path.name}: expected tensors by name, got none")
    if all(name.startswith("module.") for name in state):
        state = {name.removeprefix("module."): value for name, value in state.items()}
    return state


def _names() -> dict[str, Name]:
    listed: dict[str, Callable[..., Any]] = {
        "collections OrderedDict": _ordered,
        "torch._utils _rebuild_tensor_v2": _tensor,
        "torch._utils _rebuild_parameter": _parameter,
    }
    known = {spelling: Name(spelling, build) for spelling, build in listed.items()}
    return known | {f"torch {kind}": Name(f"torch {kind}") for kind in _KINDS}


def _ordered(*arguments: Any) -> dict[str, Any]:
    if arguments:
        raise InputError("checkpoint: expected an empty OrderedDict to be filled item by item, got one with arguments")
    return {}


def _tensor(storage: Any, offset: Any, sizes: Any, steps: Any, *rest: Any) -> _Tensor:
    """(storage, start, sizes, steps, requires_grad, hooks[, metadata]) -> a view that stays inside its storage."""
    numbers = type(offset) is int and all(
        type(group) is tuple and all(type(n) is int and 0 <= n < 2**40 for n in group) for group in (sizes, steps)
    )
    if type(storage) is not _Storage or not numbers or len(sizes) != len(steps) or len(sizes) > 16 or len(rest) > 3:
        raise InputError("checkpoint: expected a tensor as storage, start, sizes and steps, got something else")
    last = offset + sum((size - 1) * step for size, step in zip(sizes, steps, strict=True))
    count = math.prod(sizes)
    if offset < 0 or count > storage.count or (count and last >= storage.count):
        raise InputError(f"checkpoint: expected a tensor inside its {storage.count} values, got {sizes} from {offset}")
    return _Tensor(storage, offset, sizes, steps)


def _parameter(tensor: Any, *rest: Any) -> _Tensor:
    if type(tensor) is not _Tensor or len(rest) > 2:
        raise InputError("checkpoint: expected a parameter around a tensor, got something else")
    return tensor


def _read_zip(data: bytes) -> tuple[Any, _Found]:
    found = _Found()
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            tops = [item.filename[: -len("data.pkl")] for item in archive.infolist() if _is_index(item.filename)]
            if len(tops) != 1:
                raise InputError(f"checkpoint: expected one data.pkl in the archive, got {len(tops)}")
            members = {item.filename: item for item in archive.infolist() if item.filename.startswith(tops[0])}
            order = members.get(f"{tops[0]}byteorder")
            if order is not None and _member(archive, order, 16) != b"little":
                raise InputError("checkpoint: expected little-endian values, got another byte order")
            index = _member(archive, members[f"{tops[0]}data.pkl"], len(data))
            objects = opcodes.read(BytesIO(index), _names(), found.storage)
            left = len(data)  # storages lie in the file one after another, so together they cannot exceed it
            for key in found.storages:
                item = members.get(f"{tops[0]}data/{key}")
                if item is None:
                    raise InputError(f"checkpoint: expected storage {key[:40]!r} in the archive, got none")
                found.data[key] = _member(archive, item, left)
                left -= len(found.data[key])
    except InputError:
        raise
    except _DAMAGE as error:
        raise InputError(f"checkpoint: expected a whole zip archive, got a damaged one ({str(error)[:80]})") from error
    return objects, found


def _is_index(name: str) -> bool:
    return name == "data.pkl" or name.endswith("/data.pkl")


def _member(archive: zipfile.ZipFile, item: zipfile.ZipInfo, limit: int) -> bytes:
    if item.compress_type != zipfile.ZIP_STORED or item.file_size > limit:
        raise InputError(f"checkpoint: expected {item.filename[-60:]!r} uncompressed and inside the file, got another")
    return archive.read(item)


def _read_legacy(data: bytes) -> tuple[Any, _Found]:
    stream, found = BytesIO(data), _Found()
    header = [opcodes.read(stream, {}) for _ in range(2)]
    if header != [_MAGIC, _PROTOCOL]:
        raise InputError("checkpoint: expected a PyTorch file (zip or protocol 1001), got another kind of file")
    machine = opcodes.read(stream, {})
    if type(machine) is dict and machine.get("little_endian", True) is not True:
        raise InputError("checkpoint: expected little-endian values, got another byte order")
    objects = opcodes.read(stream, _names(), found.storage)
    keys = opcodes.read(stream, {})
    if type(keys) is not list or not all(type(key) is str for key in keys):
        raise InputError("checkpoint: expected a list of storage keys, got something else")
    for key in keys:
        storage = found.storages.get(key)
        head = stream.read(8)
        if storage is None or len(head) != 8 or int.from_bytes(head, "little") != storage.count:
            raise InputError("checkpoint: expected the values of each storage behind its count, got another layout")
        found.data[key] = stream.read(storage.count * np.dtype(_KINDS[storage.kind]).itemsize)
    return objects, found


def _unwrap(objects: Any) -> Any:
    """Step down into {"epoch": ..., "state_dict": {...}}."""
    if type(objects) is dict and not any(type(value) is _Tensor for value in objects.values()):
        for name in _WRAPPERS:
            if type(objects.get(name)) is dict:
                return objects[name]
    return objects


def _flatten(objects: Any, found: _Found) -> dict[str, NDArray[Any]]:
    """Tensors of nested dictionaries under dotted names; shared and self-containing dictionaries cannot run away."""
    state: dict[str, NDArray[Any]] = {}
    pending: list[tuple[str, Any, int]] = [("", objects, 0)]
    steps, left = 0, 4 * sum(storage.count for storage in found.storages.values())
    while pending:
        prefix, value, depth = pending.pop()
        steps += 1
        if steps > _MAX_TENSORS or depth > _MAX_DEPTH:
            raise InputError(f"checkpoint: expected at most {_MAX_TENSORS} entries, {_MAX_DEPTH} deep, got more")
        if type(value) is dict:
            pending += [(f"{prefix}.{k}" if prefix else str(k), v, depth + 1) for k, v in reversed(value.items())]
        elif type(value) is _Tensor:
            left -= math.prod(value.sizes)
            if left < 0:
                raise InputError("checkpoint: expected tensors of about the size of the file, got far more values")
            state[prefix] = _values(value, found.data)
    return state


def _values(tensor: _Tensor, data: Mapping[str, bytes]) -> NDArray[Any]:
    storage = tensor.storage
    kind = np.dtype(_KINDS[storage.kind])
    raw = data.get(storage.key, b"")
    if len(raw) != storage.count * kind.itemsize:
        raise InputError(f"checkpoint: expected {storage.count} values of {storage.kind}, got {len(raw)} bytes")
    flat = np.frombuffer(raw, kind)
    steps = [step * kind.itemsize for step in tensor.steps]
    view = np.lib.stride_tricks.as_strided(flat[tensor.offset :], tensor.sizes, steps, writeable=False)
    if storage.kind == "BFloat16Storage":
        return (view.astype(np.uint32) << 16).view(np.float32)
    return np.array(view.astype(kind.newbyteorder("=")))

"""Plain values out of a stream of pickle opcodes, which published sets use as a container.

A pickle is a program: it names functions of Python and calls them, so loading one runs whatever its writer wanted. Here
its opcodes are interpreted by a machine that knows values only: None, bool, int, float, str, bytes, list, tuple, dict
and numpy arrays of numbers. Nothing is imported and nothing is called. The few names that writers of such values need
(numpy's array, dtype and scalar, and Python's way of writing bytes in protocol 2) are words of this machine, and any
other name is refused, as are objects, persistent ids and extensions. Protocols 2 to 5; the strings of Python 2 come as
bytes. Opcodes: https://docs.python.org/3/library/pickletools.html
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vultus.errors import InputError

__all__ = ["interpret"]

_KINDS = frozenset({"b1", "u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8"})
_MAX_RANK = 8
_MAX_NAME = 128
_MAX_INT = 32  # bytes
_MAX_KEY = 1 << 60  # of a dict: whole numbers below it hardly collide
_NUMPY = ("numpy", "numpy.core.multiarray", "numpy._core.multiarray", "numpy._core.numeric", "numpy.core.numeric")
_NAMES = {
    **{(module, name): name for module in _NUMPY for name in ("ndarray", "dtype", "scalar", "_reconstruct")},
    **{(module, "_frombuffer"): "_frombuffer" for module in _NUMPY},
    ("_codecs", "encode"): "encode",
    ("__builtin__", "bytes"): "bytes",
    ("builtins", "bytes"): "bytes",
}
_REFUSED = {
    **dict.fromkeys("io\x81\x92", "makes an object"),
    **dict.fromkeys("PQ", "asks for a persistent id"),
    **dict.fromkeys("\x82\x83\x84", "asks for an extension"),
    **dict.fromkeys("\x97\x98", "asks for a buffer from outside"),
    **dict.fromkeys("\x8f\x90\x91", "makes a set"),
    **dict.fromkeys("SVpg", "is of protocol 0, which is not read"),
}


class _Word:
    """What may be the argument of another word, and never part of a result."""


@dataclass(frozen=True, slots=True)
class _Name(_Word):
    what: str


@dataclass(slots=True)
class _Kind(_Word):
    """A dtype; its byte order comes after it was made."""

    code: str
    order: str = "|"


@dataclass(slots=True)
class _Blank(_Word):
    """An array before it has numbers."""

    array: NDArray[Any] | None = None


@dataclass(frozen=True, slots=True)
class _Arguments(_Word):
    """A tuple that holds a word."""

    items: tuple[Any, ...]


class _Wrong(ValueError):
    """What is wrong with a stream, in words."""


def interpret(data: bytes, *, max_operations: int = 4_000_000) -> Any:
    """The value that a stream of pickle opcodes builds.

    Args:
        data: the whole stream.
        max_operations: opcodes that are carried out, at most; each makes one value or less, so this bounds memory to
            about a hundred bytes for each beyond the stream itself.

    Returns:
        None, bool, int, float, str, bytes, list, tuple, dict or a read-only array, and the same inside of containers. A
        list or dict can hold itself and one value can stand in many places: who walks it bounds the walk.

    Raises:
        InputError: the stream is none, ends early, asks for anything but a value, or is longer than allowed.
    """
    machine = _Machine(data)
    try:
        return machine.run(max_operations)
    except _Wrong as error:
        raise InputError(f"pickle: expected plain values, got {error} at byte {machine.here}") from error


class _Machine:
    def __init__(self, data: bytes) -> None:
        self.data = memoryview(data)
        self.place = self.here = 0  # of the next byte, and of the opcode at work
        self.made = 0  # bytes that were made of texts
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def run(self, most: int) -> Any:
        for _ in range(most):
            self.here = self.place
            code = chr(self.take(1)[0])
            if code == ".":
                return self.stop()
            do = _TABLE.get(code)
            if do is None:
                raise _Wrong(f"an opcode {code!r} that {_REFUSED.get(code, 'does not exist')}")
            do(self)
        raise _Wrong(f"more than {most} opcodes")

    # -------------------------------------------------------- the stream
    def take(self, count: int) -> bytes:
        if count > len(self.data) - self.place:
            raise _Wrong(f"an end after {len(self.data) - self.place} of {count} bytes")
        self.place += count
        return bytes(self.data[self.place - count : self.place])

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "little")

    def line(self) -> str:
        rest = bytes(self.data[self.place : self.place + _MAX_NAME + 1])
        end = rest.find(b"\n")
        if end < 0 or not rest[:end].isascii():
            raise _Wrong(f"a line that is not ASCII or longer than {_MAX_NAME} bytes")
        self.place += end + 1
        return rest[:end].decode("ascii")

    def text(self, size: int) -> str:
        try:
            return self.take(self.number(size)).decode("utf-8")
        except UnicodeDecodeError as error:
            raise _Wrong("a text that is not UTF-8") from error

    # -------------------------------------------------------- the stack
    def pop(self) -> Any:
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            raise _Wrong("an opcode without the values it needs")
        return self.stack.pop()

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def since_mark(self) -> list[Any]:
        if not self.marks:
            raise _Wrong("an opcode without the mark it needs")
        start = self.marks.pop()
        items = self.stack[start:]
        del self.stack[start:]
        return items

    def stop(self) -> Any:
        if self.marks or len(self.stack) != 1:
            raise _Wrong(f"an end with {len(self.stack)} values and {len(self.marks)} marks on the stack")
        if self.place != len(self.data):
            raise _Wrong(f"an end that {len(self.data) - self.place} bytes follow")
        return _plain(self.stack[0])

    def frame(self) -> None:
        self.number(8)  # how far a reader may read ahead: of no use here

    # -------------------------------------------------------- numbers
    def proto(self) -> None:
        version = self.number(1)
        if not 2 <= version <= 5:
            raise _Wrong(f"protocol {version}, where 2 to 5 are read,")

    def long(self, size: int) -> None:
        length = self.number(size)
        if length > _MAX_INT:
            raise _Wrong(f"a whole number of {length} bytes")
        self.push(int.from_bytes(self.take(length), "little", signed=True))

    def int_line(self) -> None:
        words = self.line()
        digits = words.removesuffix("L").removeprefix("-")
        if not digits.isdigit() or len(digits) > 2 * _MAX_INT:
            raise _Wrong("a whole number that is none")
        self.push({"00": False, "01": True}.get(words, int(words.removesuffix("L"))))

    def float_line(self) -> None:
        words = self.line()
        try:
            self.push(float(words))
        except ValueError as error:
            raise _Wrong("a number that is none") from error

    # -------------------------------------------------------- containers
    def tuple_of(self, items: list[Any]) -> None:
        made = tuple(items)
        self.push(_Arguments(made) if any(isinstance(item, _Word) for item in made) else made)

    def last(self, count: int) -> None:
        self.tuple_of([self.pop() for _ in range(count)][::-1])

    def append(self, items: list[Any]) -> None:
        target = self.pop()
        if type(target) is not list:
            raise _Wrong("items for something that is no list")
        target.extend(_plain(item) for item in items)
        self.push(target)

    def set_items(self, items: list[Any]) -> None:
        target = self.pop()
        if type(target) is not dict or len(items) % 2:
            raise _Wrong("keys and values that are no pairs, or for something that is no dict,")
        for key, value in zip(items[::2], items[1::2], strict=True):
            good = type(key) in (str, bytes, bool) or (type(key) is int and abs(key) < _MAX_KEY)
            if not good:  # a deep tuple would overflow the stack when it is hashed
                raise _Wrong("a key that is no text, bytes or whole number")
            target[key] = _plain(value)
        self.push(target)

    def pair(self) -> list[Any]:
        value = self.pop()
        return [self.pop(), value]

    def dict_of(self) -> None:
        items = self.since_mark()
        self.push({})
        self.set_items(items)

    def list_of(self) -> None:
        items = self.since_mark()
        self.push([])
        self.append(items)

    def drop(self) -> None:
        self.pop()

    def dup(self) -> None:
        value = self.pop()
        self.stack += [value, value]

    def pop_mark(self) -> None:
        self.since_mark()

    def put(self, key: int) -> None:
        value = self.pop()
        self.push(value)
        self.memo[key] = value

    def get(self, key: int) -> None:
        if key not in self.memo:
            raise _Wrong(f"a value {key} that was never kept")
        value = self.memo[key]
        self.push(value.array if isinstance(value, _Blank) and value.array is not None else value)

    # -------------------------------------------------------- names
    def name(self, module: Any, name: Any) -> None:
        what = _NAMES.get((module, name)) if type(module) is str and type(name) is str else None
        if what is None:
            raise _Wrong(f"the name {str(module)[:_MAX_NAME]}.{str(name)[:_MAX_NAME]}, which this reader refuses,")
        self.push(_Name(what))

    def stack_name(self) -> None:
        name = self.pop()
        module = self.pop()
        if type(module) is not str or type(name) is not str:
            raise _Wrong("a name that is no text")
        self.name(module, name)

    def reduce(self) -> None:
        given = self.pop()
        name = self.pop()
        items = given.items if isinstance(given, _Arguments) else given
        if not isinstance(name, _Name) or type(items) is not tuple:
            raise _Wrong("a call of something that is no name of this reader")
        made = _called(name.what, items)
        self.made += len(made) if type(made) is bytes else 0
        if self.made > len(self.data):  # one long text could be turned into bytes again and again
            raise _Wrong("more bytes than the stream has")
        self.push(made)

    def build(self) -> None:
        given = self.pop()
        target = self.pop()
        state = given.items if isinstance(given, _Arguments) else given
        if type(state) is not tuple:
            raise _Wrong("a state that is no tuple")
        if isinstance(target, _Kind):
            if len(state) < 5 or _word(state[1]) not in ("<", ">", "|", "=") or any(x is not None for x in state[2:5]):
                raise _Wrong("a dtype that is not one of plain numbers")
            target.order = _word(state[1])
            self.push(target)
        elif isinstance(target, _Blank) and target.array is None and len(state) == 5 and type(state[3]) in (bool, int):
            _, shape, kind, columns, data = state
            target.array = _array(data, kind, shape, "F" if columns else "C")
            self.push(target.array)
        else:
            raise _Wrong("a state for something that takes none")


def _plain(value: Any) -> Any:
    if isinstance(value, _Word):
        raise _Wrong("a name or a part of an array where a value stands")
    return value


def _word(value: Any) -> str:
    """Text; Python 2 wrote it as bytes."""
    return value.decode("latin-1") if type(value) is bytes else value if type(value) is str else ""


def _called(name: str, items: tuple[Any, ...]) -> Any:
    """What a name makes of its arguments: each case is written out here."""
    if name == "encode" and len(items) == 2 and type(items[0]) is str and _word(items[1]) in ("latin1", "latin-1"):
        try:
            return items[0].encode("latin-1")
        except UnicodeEncodeError as error:
            raise _Wrong("bytes above 255") from error
    if name == "bytes" and not items:
        return b""
    if name == "dtype" and items and _word(items[0]) in _KINDS:
        return _Kind(_word(items[0]))
    if name == "scalar" and len(items) == 2:
        return _array(items[1], items[0], (), "C").item()
    if name == "_reconstruct" and len(items) == 3 and isinstance(items[0], _Name) and items[0].what == "ndarray":
        return _Blank()
    if name == "_frombuffer" and len(items) == 4 and _word(items[3]) in ("C", "F"):
        return _array(items[0], items[1], items[2], _word(items[3]))
    raise _Wrong(f"{name} of something it is not made of")


def _array(data: Any, kind: Any, shape: Any, order: str) -> NDArray[Any]:
    sizes = shape if type(shape) is tuple else ()
    if not isinstance(kind, _Kind) or type(data) is not bytes or type(shape) is not tuple or len(sizes) > _MAX_RANK:
        raise _Wrong("an array that is not one of plain numbers")
    if not all(type(n) is int and 0 <= n < 1 << 48 for n in sizes):
        raise _Wrong("an array of an impossible shape")
    dtype = np.dtype((kind.order if kind.order in "<>" else "=") + kind.code)
    if math.prod(sizes) * dtype.itemsize != len(data):
        raise _Wrong(f"an array of {math.prod(sizes)} numbers in {len(data)} bytes")
    if not data:
        try:
            return np.zeros(sizes, dtype)
        except ValueError as error:
            raise _Wrong("an array of an impossible shape") from error
    return np.frombuffer(data, dtype).reshape(sizes, order="F" if order == "F" else "C")


def _float(m: _Machine) -> None:
    m.push(struct.unpack(">d", m.take(8))[0])


_TABLE: dict[str, Callable[[_Machine], None]] = {
    "\x80": _Machine.proto,
    "\x95": _Machine.frame,
    "(": lambda m: m.marks.append(len(m.stack)),
    "0": _Machine.drop,
    "1": _Machine.pop_mark,
    "2": _Machine.dup,
    "N": lambda m: m.push(None),
    "\x88": lambda m: m.push(True),
    "\x89": lambda m: m.push(False),
    "J": lambda m: m.push(int.from_bytes(m.take(4), "little", signed=True)),
    "K": lambda m: m.push(m.number(1)),
    "M": lambda m: m.push(m.number(2)),
    "\x8a": lambda m: m.long(1),
    "\x8b": lambda m: m.long(4),
    "I": _Machine.int_line,
    "L": _Machine.int_line,
    "F": _Machine.float_line,
    "G": _float,
    "U": lambda m: m.push(m.take(m.number(1))),
    "T": lambda m: m.push(m.take(m.number(4))),
    "C": lambda m: m.push(m.take(m.number(1))),
    "B": lambda m: m.push(m.take(m.number(4))),
    "\x8e": lambda m: m.push(m.take(m.number(8))),
    "\x96": lambda m: m.push(m.take(m.number(8))),
    "\x8c": lambda m: m.push(m.text(1)),
    "X": lambda m: m.push(m.text(4)),
    "\x8d": lambda m: m.push(m.text(8)),
    "]": lambda m: m.push([]),
    "a": lambda m: m.append([m.pop()]),
    "e": lambda m: m.append(m.since_mark()),
    "l": _Machine.list_of,
    ")": lambda m: m.push(()),
    "t": lambda m: m.tuple_of(m.since_mark()),
    "\x85": lambda m: m.last(1),
    "\x86": lambda m: m.last(2),
    "\x87": lambda m: m.last(3),
    "}": lambda m: m.push({}),
    "s": lambda m: m.set_items(m.pair()),
    "u": lambda m: m.set_items(m.since_mark()),
    "d": _Machine.dict_of,
    "q": lambda m: m.put(m.number(1)),
    "r": lambda m: m.put(m.number(4)),
    "\x94": lambda m: m.put(len(m.memo)),
    "h": lambda m: m.get(m.number(1)),
    "j": lambda m: m.get(m.number(4)),
    "c": lambda m: m.name(m.line(), m.line()),
    "\x93": _Machine.stack_name,
    "R": _Machine.reduce,
    "b": _Machine.build,
}

"""Read a Python object stream as data: an interpreter that can build containers, numbers and strings, nothing else.

Python's own loader imports and calls whatever a stream names, so a weight file can run any program. Here a name is
never imported: it is looked up by its spelling in a table that the caller hands in, and what the table does not list is
refused. Only `pickletools.genops`, which splits a stream into opcodes without running them, comes from the standard
library. Source of the opcodes' meaning: the documentation inside `pickletools` (Python 3.10 to 3.14).

Bounds: dictionary keys are plain strings or numbers (hashing a nested tuple can take forever), the memo is a
dictionary (an index of 4 billion costs nothing), and the count of opcodes is capped.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from io import BytesIO
from pickletools import genops
from typing import Any, Final

from vultus.errors import InputError

__all__ = ["MAX_OPCODES", "Name", "read"]

MAX_OPCODES = 4_000_000
_MARK: Final = object()


class Name:
    """A global that a stream mentions, known by spelling only.

    Attributes:
        spelling: module and attribute, joined by a blank.
        build: what a call of it yields, given the arguments; None when the stream may mention but not call it.
    """

    __slots__ = ("build", "spelling")

    def __init__(self, spelling: str, build: Callable[..., Any] | None = None) -> None:
        self.spelling = spelling
        self.build = build


def read(stream: BytesIO, names: Mapping[str, Name], persistent: Callable[[Any], Any] | None = None) -> Any:
    """Read one object and leave `stream` behind its last opcode.

    Args:
        stream: where to read; only this one object is consumed.
        names: the globals that may appear, keyed "module attribute".
        persistent: turns a persistent id into an object; None refuses persistent ids.

    Returns:
        None, bool, int, float, str, bytes, tuple, list, dict, a `Name` (mentioned, not called) or what its `build`
        gave.

    Raises:
        InputError: for a name that is not listed, an opcode that could build anything else, or a damaged stream.
    """
    machine = _Machine(names, persistent)
    for count, (opcode, argument) in enumerate(_opcodes(stream)):
        if count >= MAX_OPCODES:
            raise InputError(f"stream: expected at most {MAX_OPCODES} opcodes, got more")
        if opcode == "STOP":
            return machine.result()
        step = _STEPS.get(opcode)
        if step is None:
            raise InputError(f"stream: expected containers, numbers, strings and tensors, got opcode {opcode}: refused")
        step(machine, argument)
    raise InputError("stream: expected a STOP opcode, got the end of the data")


def _opcodes(stream: BytesIO) -> Iterator[tuple[str, Any]]:
    """Opcode names with arguments; whatever genops raises on damaged data becomes InputError."""
    steps = genops(stream)
    while True:
        try:
            opcode, argument, _ = next(steps)
        except StopIteration:
            return
        except (ValueError, OverflowError, IndexError, struct.error) as error:
            raise InputError(f"stream: expected opcodes, got damaged data ({str(error)[:80]})") from error
        yield opcode.name, argument


class _Machine:
    """The stack, the memo and one method per kind of opcode."""

    def __init__(self, names: Mapping[str, Name], persistent: Callable[[Any], Any] | None) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.names = names
        self.persistent = persistent

    def result(self) -> Any:
        value = self.pop()
        if self.stack:
            raise InputError(f"stream: expected one object, got {len(self.stack)} more on the stack")
        return value

    def pop(self) -> Any:
        if not self.stack or self.stack[-1] is _MARK:
            raise InputError("stream: expected an object on the stack, got none")
        return self.stack.pop()

    def top(self, kind: type, what: str) -> Any:
        if not self.stack or type(self.stack[-1]) is not kind:
            raise InputError(f"stream: expected {what} on the stack, got something else")
        return self.stack[-1]

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def drop(self, value: Any) -> None:
        del value

    def to_mark(self) -> list[Any]:
        for at in range(len(self.stack) - 1, -1, -1):
            if self.stack[at] is _MARK:
                items = self.stack[at + 1 :]
                del self.stack[at:]
                return items
        raise InputError("stream: expected a mark on the stack, got none")

    def take(self, count: int) -> tuple[Any, ...]:
        return tuple(reversed([self.pop() for _ in range(count)]))

    def append(self, items: list[Any]) -> None:
        self.top(list, "a list").extend(items)

    def set_items(self, items: list[Any]) -> None:
        self.top(dict, "a dictionary").update(_pairs(items))

    def remember(self, index: Any) -> None:
        value = self.pop()
        self.memo[int(index)] = value
        self.push(value)

    def recall(self, index: Any) -> None:
        if int(index) not in self.memo:
            raise InputError(f"stream: expected memo entry {int(index)} to be set, got none")
        self.push(self.memo[int(index)])

    def name(self, spelling: Any) -> None:
        known = self.names.get(spelling)
        if known is None:
            listed = ", ".join(sorted(self.names)) or "none"
            raise InputError(f"stream: expected only the names {listed}, got {str(spelling)[:80]!r}: refused")
        self.push(known)

    def stack_name(self) -> None:
        module, attribute = self.take(2)
        if type(module) is not str or type(attribute) is not str:
            raise InputError("stream: expected a module and a name as strings, got something else")
        self.name(f"{module} {attribute}")

    def call(self) -> None:
        target, arguments = self.take(2)
        if type(target) is not Name or target.build is None or type(arguments) is not tuple:
            raise InputError("stream: expected a call of a listed name with a tuple of arguments, got another: refused")
        try:
            self.push(target.build(*arguments))
        except TypeError as error:
            raise InputError(f"stream: expected the arguments of {target.spelling}, got others ({error})") from error

    def build(self) -> None:
        """Attributes set on a dictionary (torch keeps its version notes there) carry no weights: dropped."""
        state = self.pop()
        if type(state) is not dict:
            raise InputError("stream: expected a dictionary of attributes, got something else: refused")
        self.top(dict, "a dictionary")

    def persist(self) -> None:
        if self.persistent is None:
            raise InputError("stream: expected no reference to outside data, got one: refused")
        self.push(self.persistent(self.pop()))


def _pairs(items: list[Any]) -> dict[Any, Any]:
    if len(items) % 2:
        raise InputError("stream: expected keys and values in pairs, got an odd count")
    for key in items[::2]:
        if type(key) not in (str, int, float, bool, bytes):
            raise InputError(f"stream: expected strings or numbers as keys, got {type(key).__name__}")
    return dict(zip(items[::2], items[1::2], strict=True))


_Step = Callable[[_Machine, Any], None]


def _named(names: str, step: _Step) -> dict[str, _Step]:
    return dict.fromkeys(names.split(), step)


_STEPS: dict[str, _Step] = {
    **_named("PROTO FRAME", lambda m, a: None),
    **_named("NONE", lambda m, a: m.push(None)),
    **_named("NEWTRUE", lambda m, a: m.push(True)),
    **_named("NEWFALSE", lambda m, a: m.push(False)),
    **_named("BININT BININT1 BININT2 INT LONG LONG1 LONG4 FLOAT BINFLOAT", lambda m, a: m.push(a)),
    **_named("STRING BINSTRING SHORT_BINSTRING UNICODE BINUNICODE SHORT_BINUNICODE", lambda m, a: m.push(a)),
    **_named("BINUNICODE8 BINBYTES SHORT_BINBYTES BINBYTES8", lambda m, a: m.push(a)),
    **_named("MARK", lambda m, a: m.push(_MARK)),
    **_named("POP_MARK", lambda m, a: m.drop(m.to_mark())),
    **_named("POP", lambda m, a: m.drop(m.pop())),
    **_named("EMPTY_TUPLE", lambda m, a: m.push(())),
    **_named("EMPTY_LIST", lambda m, a: m.push([])),
    **_named("EMPTY_DICT", lambda m, a: m.push({})),
    **_named("TUPLE", lambda m, a: m.push(tuple(m.to_mark()))),
    **_named("TUPLE1", lambda m, a: m.push(m.take(1))),
    **_named("TUPLE2", lambda m, a: m.push(m.take(2))),
    **_named("TUPLE3", lambda m, a: m.push(m.take(3))),
    **_named("LIST", lambda m, a: m.push(m.to_mark())),
    **_named("DICT", lambda m, a: m.push(_pairs(m.to_mark()))),
    **_named("APPEND", lambda m, a: m.append([m.pop()])),
    **_named("APPENDS", lambda m, a: m.append(m.to_mark())),
    **_named("SETITEM", lambda m, a: m.set_items(list(m.take(2)))),
    **_named("SETITEMS", lambda m, a: m.set_items(m.to_mark())),
    **_named("PUT BINPUT LONG_BINPUT", lambda m, a: m.remember(a)),
    **_named("MEMOIZE", lambda m, a: m.remember(len(m.memo))),
    **_named("GET BINGET LONG_BINGET", lambda m, a: m.recall(a)),
    **_named("GLOBAL", lambda m, a: m.name(a)),
    **_named("STACK_GLOBAL", lambda m, a: m.stack_name()),
    **_named("REDUCE", lambda m, a: m.call()),
    **_named("BUILD", lambda m, a: m.build()),
    **_named("BINPERSID", lambda m, a: m.persist()),
}

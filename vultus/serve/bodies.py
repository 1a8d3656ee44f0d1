"""Request bodies: read with a cap and a deadline, then parsed with bounds; never spooled to a disk."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import re
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from dataclasses import dataclass, field
from email.message import Message
from typing import Any, NoReturn

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser

from vultus.serve.errors import Problem
from vultus.serve.limits import Limits

__all__ = ["Memory", "Sent", "Upload", "document", "form", "media_type", "read", "unpacked"]

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
LINGER_S = 2.0  # for which a body that is too large is still taken, so that its sender can read the refusal
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"?', re.S)
_BRACKET = re.compile(rb"[\[\]{}]")


class Memory:
    """Bytes of bodies that are in memory, all requests together."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.used = 0

    def take(self, n: int) -> None:
        """Count bytes; Problem 503 when there is no room for them."""
        if self.used + n > self.most:
            raise Problem(
                503, "Busy", "the server holds as many bytes of requests as it may: ask again", retry_after_s=2
            )
        self.used += n

    def give(self, n: int) -> None:
        """They are gone."""
        self.used -= n


async def read(receive: Receive, stated: str | None, cap: int, deadline_s: float, memory: Memory) -> bytes:
    """The whole body.

    Args:
        receive: of ASGI.
        stated: the header Content-Length.
        cap: bytes at most.
        deadline_s: until which it must have come.
        memory: where the bytes are counted; the caller gives back len(result).

    Raises:
        Problem: 413 over the cap, 408 too slow, 499 when the client has gone, 503 when memory is full.
    """
    if stated is not None and stated.isdecimal() and int(stated) > cap:
        await _linger(receive, cap)
        _too_large(cap)
    parts: list[bytes] = []
    size = 0
    deadline = asyncio.get_running_loop().time() + deadline_s
    try:
        while True:
            left = deadline - asyncio.get_running_loop().time()
            message = await asyncio.wait_for(receive(), max(left, 0.001))
            if message["type"] == "http.disconnect":
                raise Problem(499, "Disconnected", "the client has gone")
            chunk = message.get("body", b"")
            if size + len(chunk) > cap:
                await _linger(receive, cap)
                _too_large(cap)
            memory.take(len(chunk))
            size += len(chunk)
            parts.append(chunk)
            if not message.get("more_body", False):
                return b"".join(parts)
    except asyncio.TimeoutError:
        memory.give(size)
        raise Problem(408, "Slow", f"the body: expected all of it within {deadline_s:.0f} s") from None
    except BaseException:
        memory.give(size)
        raise


async def _linger(receive: Receive, most: int) -> None:
    """Take a little more and throw it away: closing at once would reset the connection under the answer."""

    async def drain() -> None:
        left = most
        while left > 0:
            message = await receive()
            left -= len(message.get("body", b""))
            if message["type"] == "http.disconnect" or not message.get("more_body", False):
                return

    done, _ = await asyncio.wait({task := asyncio.ensure_future(drain())}, timeout=LINGER_S)
    if not done:
        task.cancel()


def _too_large(cap: int) -> NoReturn:
    raise Problem(413, "TooLarge", f"the body: expected at most {cap} bytes: send less at a time", {"limit": cap})


def media_type(header: str | None) -> tuple[str, str]:
    """The header Content-Type as media type and boundary, both "" when they are not there."""
    if not header:
        return "", ""
    message = Message()
    message["content-type"] = header
    boundary = message.get_param("boundary", "")
    return message.get_content_type(), boundary if isinstance(boundary, str) else ""


# ---------------------------------------------------------------- JSON
def document(data: bytes, limits: Limits) -> Any:
    """Parse JSON: UTF-8, bounded depth, no NaN, no Infinity.

    Raises:
        Problem: 400 if it is no JSON, 422 if it is nested too deeply.
    """
    depth = 0
    for bracket in _BRACKET.finditer(_STRING.sub(b"", data)):
        depth += 1 if bracket[0] in b"[{" else -1
        if depth > limits.json_depth:
            raise Problem(422, "InputError", f"the body: expected at most {limits.json_depth} brackets inside brackets")
    try:
        return json.loads(data.decode("utf-8"), parse_constant=_no_number, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise Problem(400, "InputError", f"the body: expected JSON in UTF-8, got {_why(error)}") from None


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word}, which is no JSON")


def _finite(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError("a number that is too large")
    return value


def _why(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"something else at character {error.pos}"
    if isinstance(error, UnicodeDecodeError):
        return f"a byte that is none of UTF-8 at {error.start}"
    return "a number that is too large or no number" if isinstance(error, ValueError) else "too deep a document"


# ---------------------------------------------------------------- multipart
@dataclass(slots=True)
class Upload:
    """One file of a request.

    Attributes:
        label: what to call it in answers: the name it was sent under, or its place.
        data: its bytes.
    """

    label: str
    data: bytes = field(repr=False)


@dataclass(slots=True)
class Sent:
    """A body with pictures, however it was sent.

    Attributes:
        files: by the name of their field, in the order they were sent.
        fields: everything else.
        texts: whether the fields are texts (multipart), which numbers must be read from.
    """

    files: dict[str, list[Upload]] = field(default_factory=dict)
    fields: dict[str, Any] = field(default_factory=dict)
    texts: bool = False


class _Parts:
    """Callbacks of the parser: collects parts and refuses what is too much."""

    def __init__(self, limits: Limits, names: frozenset[str]) -> None:
        self.limits = limits
        self.names = names
        self.sent = Sent(texts=True)
        self.ended = False
        self._n = 0
        self._header, self._value = bytearray(), bytearray()
        self._disposition = ""
        self._data = bytearray()
        self._cap = 0

    def begin(self) -> None:
        self._n += 1
        if self._n > self.limits.form_parts:
            raise Problem(413, "TooLarge", f"the form: expected at most {self.limits.form_parts} parts")
        self._disposition, self._data = "", bytearray()
        self._header, self._value = bytearray(), bytearray()

    def header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def header_end(self) -> None:
        if bytes(self._header).strip().lower() == b"content-disposition":
            self._disposition = bytes(self._value).decode("utf-8", "replace")
        self._header, self._value = bytearray(), bytearray()

    def headers_finished(self) -> None:
        name, filename = _disposition(self._disposition)
        self._name, self._file = name, filename
        self._cap = self.limits.picture_bytes if name in self.names else self.limits.form_text_bytes

    def data(self, data: bytes, start: int, end: int) -> None:
        if len(self._data) + end - start > self._cap:
            raise Problem(
                413, "TooLarge", f"the form: expected at most {self._cap} bytes in this field", {"limit": self._cap}
            )
        self._data += data[start:end]

    def part_end(self) -> None:
        if self._name in self.names:
            files = self.sent.files.setdefault(self._name, [])
            files.append(Upload(self._file or f"{self._name} {len(files) + 1}", bytes(self._data)))
            return
        try:
            text = self._data.decode("utf-8")
        except UnicodeDecodeError:
            raise Problem(422, "InputError", "the form: expected texts in UTF-8") from None
        if not self._name:
            raise Problem(422, "InputError", "the form: expected a name for every field")
        if self._name in self.sent.fields:  # sent more than once: a list, which the model takes where it wants one
            before = self.sent.fields[self._name]
            self.sent.fields[self._name] = [*(before if isinstance(before, list) else [before]), text]
        else:
            self.sent.fields[self._name] = text

    def end(self) -> None:
        self.ended = True


def form(data: bytes, boundary: str, limits: Limits, names: frozenset[str]) -> Sent:
    """Parse a multipart body; fields called one of `names` are pictures, all others short texts.

    Raises:
        Problem: 400 if it is no such body, 413 if a part or their number is over a limit, 422 for odd texts.
    """
    if not 1 <= len(boundary) <= 70 or not boundary.isascii():
        raise Problem(400, "InputError", "the form: expected a boundary of 1 to 70 letters in the header Content-Type")
    parts = _Parts(limits, names)
    callbacks: Any = {
        "on_part_begin": parts.begin,
        "on_header_field": parts.header_field,
        "on_header_value": parts.header_value,
        "on_header_end": parts.header_end,
        "on_headers_finished": parts.headers_finished,
        "on_part_data": parts.data,
        "on_part_end": parts.part_end,
        "on_end": parts.end,
    }
    try:
        parser = MultipartParser(boundary.encode(), callbacks, max_header_size=limits.form_header_bytes)
        parser.write(data)
        parser.finalize()
    except FormParserError:
        raise Problem(400, "InputError", "the form: expected a multipart/form-data body, could not read it") from None
    if not parts.ended:
        raise Problem(400, "InputError", "the form: expected a whole multipart/form-data body, its end is missing")
    return parts.sent


def _disposition(header: str) -> tuple[str, str]:
    message = Message()
    message["content-disposition"] = header
    name = message.get_param("name", "", header="content-disposition")
    filename = message.get_filename("")
    label = "".join(c for c in filename.replace("\\", "/").rpartition("/")[2] if c.isprintable())
    return name if isinstance(name, str) else "", label[:100]


# ---------------------------------------------------------------- base64
def unpacked(body: Any, limits: Limits, names: frozenset[str]) -> Sent:
    """Pictures of a JSON body: `NAME_base64` holds a text, or a list of texts where several are allowed.

    Raises:
        Problem: 422 if it is no object, or base64 cannot be read; 413 over a limit.
    """
    if not isinstance(body, dict):
        raise Problem(422, "InputError", "the body: expected a JSON object")
    sent = Sent()
    for key, value in body.items():
        name = key.removesuffix("_base64")
        if name == key or name not in names:
            sent.fields[key] = value
        else:
            many = value if isinstance(value, list) else [value]
            sent.files[name] = [Upload(f"{name} {i}", data) for i, data in enumerate(_decoded(key, many, limits), 1)]
    return sent


def _decoded(key: str, texts: list[Any], limits: Limits) -> Iterator[bytes]:
    for text in texts:
        if not isinstance(text, str):
            raise Problem(422, "InputError", f"{key}: expected base64 text")
        if len(text) * 3 // 4 > limits.picture_bytes + 3:
            raise Problem(
                413,
                "TooLarge",
                f"{key}: expected at most {limits.picture_bytes} bytes",
                {"limit": limits.picture_bytes},
            )
        try:
            yield base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            raise Problem(422, "InputError", f"{key}: expected base64 text, could not read it") from None

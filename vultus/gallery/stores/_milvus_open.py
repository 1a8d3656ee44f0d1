"""A connection to Milvus: its URL without secrets, its collections, and its errors in words."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode

from vultus.errors import InputError, MissingExtra, StoreError

__all__ = ["BUSY_SECONDS", "NEVER", "Link", "Place", "connect", "driver", "parse"]

BUSY_SECONDS = 30.0
CALL_SECONDS = 60.0
CONNECT_SECONDS = 5.0
NEVER = 2**62  # the revision at which a row that is still there died
PAGE_ROWS = 500
FIELDS = 4  # columns of a table that can be asked for, at most
_KINDS: dict[str, tuple[tuple[str, str, int], ...]] = {  # field, kind, length
    "commits": (("revision", "INT64", 0), ("number", "INT64", 0), ("body", "VARCHAR", 65535)),
    "tickets": (("number", "INT64", 0), ("beat", "INT64", 0), ("host", "VARCHAR", 512)),
    "rows": (
        ("tbl", "VARCHAR", 64), ("k", "VARCHAR", 65535), ("born", "INT64", 0), ("died", "INT64", 0),
        *((f"i{n}", "VARCHAR", 65535) for n in range(FIELDS)),
        ("parts", "INT64", 0), ("body", "VARCHAR", 65535),
    ),
    "vectors": (("person", "VARCHAR", 65535), ("born", "INT64", 0), ("died", "INT64", 0)),
}  # fmt: skip
_links: dict[str, set[Link]] = {}  # of each file that milvus-lite has open in this process
_lite = threading.RLock()  # milvus-lite answers one request at a time: a flush must not meet a reader


def driver() -> Any:
    """The module pymilvus.

    Raises:
        MissingExtra: if it is not installed.
    """
    try:
        import pymilvus  # type: ignore[import-untyped]
    except ImportError as error:
        raise MissingExtra("a gallery in Milvus", "milvus") from error
    return pymilvus


@dataclass(frozen=True)
class Place:
    """Where a gallery is.

    Attributes:
        url: opens it again; without a password or token.
        file: the folder of milvus-lite, or None for a server.
        uri: of the server, "" for a file.
        database: on the server.
        prefix: of the names of its collections.
        token: of the server, never shown.
    """

    url: str
    file: Path | None
    uri: str
    database: str
    prefix: str
    token: str = field(default="", repr=False)

    def name(self, kind: str) -> str:
        """The full name of a collection."""
        return f"{self.prefix}_{kind}"


def parse(url: str) -> Place:
    """Take a URL apart.

    Raises:
        InputError: if it cannot be read; the message does not repeat it, for it may hold a token.
        MissingExtra: if pymilvus, or milvus-lite for a file, is not installed.
    """
    driver()
    head, _, query = url.partition("?")
    given = dict(parse_qsl(query, keep_blank_values=True))
    prefix = given.get("prefix", "vultus")
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,60}", prefix) or set(given) - {"prefix", "token", "secure"}:
        raise InputError(
            "gallery: expected milvus://HOST:PORT/DATABASE?prefix=NAME&token=TOKEN&secure=1 or milvus:///FILE.db, with "
            "a prefix of letters, digits and underscores"
        )
    shown = urlencode([(name, value) for name, value in given.items() if name != "token"])
    rest = head.partition("://")[2]
    if rest.startswith("/"):
        return _file(rest[1:], prefix, shown)
    authority, _, database = rest.partition("/")
    user, at, host = authority.rpartition("@")
    if not re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:\d{1,5})?", host):
        raise InputError("gallery: expected milvus://HOST:PORT/DATABASE, got a host that is none")
    scheme = "https" if given.get("secure", "0") not in ("0", "") else "http"
    token = given.get("token") or (unquote(user) if at else "")
    name = f"milvus://{host}" + (f"/{database}" if database else "") + (f"?{shown}" if shown else "")
    port = "" if re.search(r":\d+$", host) else ":19530"
    return Place(name, None, f"{scheme}://{host}{port}", database, prefix, token)


def _file(text: str, prefix: str, shown: str) -> Place:
    if not text.endswith(".db") or "\0" in text:
        raise InputError(f"gallery: expected milvus:///FILE.db (a name that ends in .db), got {text!r}")
    try:
        import milvus_lite  # type: ignore[import-untyped]  # noqa: F401
    except ImportError as error:
        raise MissingExtra("a gallery in a file of milvus-lite", "milvus") from error
    return Place(f"milvus:///{text}" + (f"?{shown}" if shown else ""), Path(os.path.abspath(text)), "", "", prefix)


class Link:
    """One client; the errors of Milvus leave it as `StoreError` in words.

    Attributes:
        pid: of the process that opened it.
        failed: an error came that is not the request's own fault.
    """

    def __init__(self, place: Place) -> None:
        self.place = place
        self.pid = os.getpid()
        self.failed = False
        self._known: set[str] = set()
        pymilvus = driver()
        uri = str(place.file) if place.file else place.uri
        more = {"token": place.token} if place.token else {}
        with self._worded():
            self._client = pymilvus.MilvusClient(
                uri, db_name=place.database, timeout=CONNECT_SECONDS, dedicated=True, **more
            )

    def call(self, verb: str, *args: Any, **more: Any) -> Any:
        """Ask something of the server."""
        lock = _lite if self.place.file else contextlib.nullcontext()
        with lock, self._worded():
            return getattr(self._client, verb)(*args, timeout=CALL_SECONDS, **more)

    def page(self, name: str, condition: str, fields: list[str], limit: int | None = None) -> list[dict[str, Any]]:
        """Up to `limit` entities (None: all) of a collection, ordered by their primary key."""
        found: list[dict[str, Any]] = []
        while limit is None or len(found) < limit:
            more = f' and pk > "{found[-1]["pk"]}"' if found else ""
            size = PAGE_ROWS if limit is None else min(PAGE_ROWS, limit - len(found))
            batch = self.call(
                "query", name, filter=condition + more, output_fields=["pk", *fields], limit=size,
                consistency_level="Strong", iterator="True", reduce_stop_for_best="True",
            )  # fmt: skip
            found += sorted((dict(entity) for entity in batch), key=lambda entity: entity["pk"])
            if len(batch) < size:
                break
        return found

    def count(self, name: str, condition: str) -> int:
        """How many entities of a collection there are."""
        found = self.call("query", name, filter=condition, output_fields=["count(*)"], consistency_level="Strong")
        return int(found[0]["count(*)"])

    def put(self, name: str, entities: list[dict[str, Any]]) -> None:
        """Insert entities, or replace those of the same primary key."""
        batch: list[dict[str, Any]] = []
        size = 0
        for entity in entities:
            batch.append(entity if "vector" in entity else {**entity, "vector": [0.0, 0.0]})  # Milvus insists on one
            size += len(entity.get("body", "")) + 4 * len(batch[-1]["vector"])
            if len(batch) == PAGE_ROWS or size > 4_000_000:
                self.call("upsert", name, batch)
                batch, size = [], 0
        if batch:
            self.call("upsert", name, batch)

    def remove(self, name: str, condition: str) -> None:
        """Delete entities."""
        self.call("delete", name, filter=condition)

    def has(self, name: str) -> bool:
        """Whether there is such a collection."""
        return bool(self.call("has_collection", name))

    def names(self) -> list[str]:
        """The collections of this gallery."""
        return sorted(n for n in self.call("list_collections") if str(n).startswith(f"{self.place.prefix}_"))

    def make(self, name: str, kind: str, dim: int = 2) -> None:
        """Make a collection, if there is none of that name, and make it ready to be asked."""
        if name in self._known:
            return
        if not self.has(name):
            pymilvus = driver()
            schema = pymilvus.MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
            schema.add_field("pk", pymilvus.DataType.VARCHAR, max_length=65535, is_primary=True)
            for title, word, length in _KINDS[kind]:
                more = {"max_length": length} if length else {}
                schema.add_field(title, getattr(pymilvus.DataType, word), **more)
            schema.add_field("vector", pymilvus.DataType.FLOAT_VECTOR, dim=dim)
            indexes = pymilvus.MilvusClient.prepare_index_params()
            if kind == "vectors":
                build = {"M": 16, "efConstruction": 200}
                indexes.add_index("vector", index_type="HNSW", metric_type="COSINE", params=build)
            else:
                indexes.add_index("vector", index_type="FLAT", metric_type="L2")
            self.call("create_collection", name, schema=schema, index_params=indexes, consistency_level="Strong")
        self.load(name)

    def load(self, name: str) -> None:
        """Make a collection ready to be asked."""
        if name not in self._known:
            self.call("load_collection", name)
            self._known.add(name)

    def knows(self, name: str) -> bool:
        """Whether this collection was found before."""
        return name in self._known

    def usable(self) -> bool:
        """Whether no error came."""
        return not self.failed

    def rest(self) -> bool:
        """Nothing is open between requests; False when the connection must be closed."""
        return not self.failed

    def close(self) -> None:
        """Close it, and with the last one the file of milvus-lite."""
        self._client.close()
        if self.place.file:
            with _lite:
                users = _links.get(str(self.place.file), set())
                users.discard(self)
                if not users:
                    from milvus_lite import server_manager_instance

                    server_manager_instance.release_server(str(self.place.file))

    @contextlib.contextmanager
    def _worded(self) -> Iterator[None]:
        import grpc  # type: ignore[import-untyped]

        pymilvus = driver()
        try:
            yield
        except (pymilvus.MilvusException, grpc.RpcError) as error:
            text = str(getattr(error, "message", "") or error)
            self.failed = True
            raise StoreError(words(self.place, text)) from None


def connect(place: Place) -> Link:
    """A client; of a file, once no other process has it.

    Raises:
        StoreError: if the server does not answer, or the file cannot be opened.
    """
    if place.file is None:
        return Link(place)
    if not place.file.parent.is_dir():
        raise StoreError(f"{place.file}: the folder {place.file.parent} does not exist: make it first")
    if place.file.exists() and not place.file.is_dir():
        raise StoreError(f"{place.file} is not a folder of milvus-lite 3: choose another name")
    with _lite:
        users = _links.setdefault(str(place.file), set())
        if not users:
            _wait_for(place.file)
        logging.getLogger("milvus_lite").setLevel(logging.CRITICAL)  # its errors come back in words
        link = Link(place)
        users.add(link)
    return link


def _wait_for(file: Path) -> None:
    """Until no other process has the file open: milvus-lite takes one at a time."""
    try:
        import fcntl
    except ImportError:  # Windows: milvus-lite itself refuses
        return
    if not (file / "LOCK").exists():
        return
    deadline = time.monotonic() + BUSY_SECONDS
    with open(file / "LOCK", "rb") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError as error:
                if time.monotonic() > deadline:
                    raise StoreError(
                        f"{file}: another process has this file open, and milvus-lite takes one at a time: close it "
                        "there, or start `milvus-lite server` and use milvus://HOST:PORT"
                    ) from error
                time.sleep(0.02)


def words(place: Place, text: str) -> str:
    """What an error of Milvus means; never with the token."""
    said = "; ".join(line.strip() for line in text.strip().splitlines() if line.strip())[:500]
    for secret in {place.token, *place.token.split(":")} - {""}:
        said = said.replace(secret, "***")
    if any(sign in said.lower() for sign in ("collection not found", "can't find collection", "not exist")):
        return f"{place.url}: compacted meanwhile, or no gallery any more ({said}): open a new view"
    if any(sign in said.lower() for sign in ("auth", "permission", "denied", "privilege")):
        return f"{place.url}: the server refused ({said}): check the token, the user and the database"
    return f"{place.url}: the server cannot be reached or failed ({said}): check that it runs; nothing was half kept"

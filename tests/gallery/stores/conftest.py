"""A fresh place for a gallery in every kind of store, and rows to put there."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from tests.gallery.stores.servers import MilvusServer, PostgresServer
from vultus.gallery.stores._milvus_open import parse
from vultus.gallery.stores._milvus_turn import lock_file
from vultus.gallery.stores.opened import store_for
from vultus.gallery.stores.schema import Row, Store

SHARED = ("sqlite", "postgres", "milvus")  # several processes may use one at once
KINDS = (*SHARED, "lite")
_numbers = itertools.count()


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest) -> str:
    """The URL of a gallery that is not there yet."""
    return request.getfixturevalue(f"{request.param}_url")


@pytest.fixture(params=SHARED)
def shared_url(request: pytest.FixtureRequest) -> str:
    """The same, for the kinds that several processes may use at once."""
    return request.getfixturevalue(f"{request.param}_url")


@pytest.fixture
def sqlite_url(tmp_path) -> str:
    return f"sqlite:///{tmp_path / 'people.db'}"


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """One server for the whole run; a test that kills it starts it again."""
    server = PostgresServer()
    yield server
    server.remove()


@pytest.fixture
def postgres_url(postgres_server) -> Iterator[str]:
    schema = f"gallery_{next(_numbers)}"
    yield f"{postgres_server.url}?schema={schema}"
    postgres_server.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")


@pytest.fixture(scope="session")
def milvus_server() -> Iterator[MilvusServer]:
    """One server for the whole run; a test that kills it starts it again."""
    server = MilvusServer()
    yield server
    server.remove()


@pytest.fixture
def milvus_url(milvus_server) -> Iterator[str]:
    prefix = f"gallery_{next(_numbers)}"
    url = f"{milvus_server.url}?prefix={prefix}"
    yield url
    milvus_server.drop(prefix)
    lock_file(parse(url)).unlink(missing_ok=True)


@pytest.fixture
def lite_url(tmp_path) -> str:
    pytest.importorskip("milvus_lite")
    return f"milvus:///{tmp_path / 'people.db'}"


@pytest.fixture
def store(url) -> Iterator[Store]:
    """A store without a row."""
    made = store_for(url)
    yield made
    made.close()


def person(key: str, name: str = "Ada", **more: Any) -> Row:
    return {"id": key, "name": name, "attributes": {}, "enrolled_at": "2026-01-01", **more}


def face(key: str, medium: str = "m", **more: Any) -> Row:
    row = {"id": key, "medium": medium, "person_id": None, "cluster": None, "box": None, "score": None}
    return {**row, "quality": None, "assigned_by": "user", "added_at": "2026-01-01", **more}


def template(key: str, space: str = "s", vector: bytes = b"\0" * 16, **more: Any) -> Row:
    row = {"person_id": key, "space": space, "dim": len(vector) // 4, "vector": vector, "checksum": b"c"}
    return {**row, "quality": 0.5, "n_images": 1, **more}


def audit(verb: str, **more: Any) -> Row:
    row = {"at": "2026-01-01", "actor": "a", "verb": verb, "subject": "s", "details": {}, "previous": "", "hash": ""}
    return {**row, **more}

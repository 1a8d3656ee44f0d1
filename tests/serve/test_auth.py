"""Keys: what the file keeps, who gets in, and every route held against every kind of key."""

from __future__ import annotations

import json
import os
import re
import stat
import threading
from pathlib import Path
from typing import get_args

import pytest

from tests.serve.conftest import Served
from vultus.errors import InputError, StoreError
from vultus.serve.auth import Keys
from vultus.serve.guard import Guarded, needs_of
from vultus.serve.openapi import api_routes
from vultus.serve.roles import Role, allows

ROLES = get_args(Role)


# ---------------------------------------------------------------- the file
def test_a_key_is_known_and_its_secret_is_not_kept(tmp_path: Path) -> None:
    keys = Keys(tmp_path / "keys.json")
    key, token = keys.create("Camera at the door", "identify")
    assert re.fullmatch(r"vlt_[0-9a-f]{12}_[A-Za-z0-9_-]{43}", token)
    assert keys.check(token) == key
    text = (tmp_path / "keys.json").read_text()
    assert token.rpartition("_")[2] not in text
    assert token[17:] not in text
    assert "sha256" not in key.shown()


def test_only_the_owner_may_read_the_file(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    before = os.umask(0)
    try:
        Keys(path).create("one", "read")
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o644)
    with pytest.raises(StoreError, match="chmod 600"):
        Keys(path).list()


@pytest.mark.parametrize("token", ["", "vlt_", "vlt_000000000000_" + "A" * 43, "x" * 5000, "vlt_é", "\ud800", "null"])
def test_what_is_no_key_is_none(tmp_path: Path, token: str) -> None:
    keys = Keys(tmp_path / "keys.json")
    keys.create("one", "admin")
    assert keys.check(token) is None


def test_a_key_with_another_secret_or_another_id_is_none(tmp_path: Path) -> None:
    keys = Keys(tmp_path / "keys.json")
    (one, first), (_, second) = keys.create("one", "admin"), keys.create("two", "read")
    assert keys.check(f"vlt_{one.id}_{second[17:]}") is None
    assert keys.check(first + "=") is None
    assert keys.check(first) == one


def test_revoking_is_seen_by_another_process(tmp_path: Path) -> None:
    server, shell = Keys(tmp_path / "keys.json"), Keys(tmp_path / "keys.json")
    key, token = shell.create("one", "read")
    assert server.check(token) is not None
    shell.revoke(key.id)
    assert server.check(token) is None
    assert server.list()[0].revoked_at
    with pytest.raises(InputError, match="id of a key"):
        shell.revoke("000000000000")


def test_writers_do_not_lose_each_others_keys(tmp_path: Path) -> None:
    def work() -> None:
        mine = Keys(tmp_path / "keys.json")
        for _ in range(5):
            mine.create("one of many", "read")

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(Keys(tmp_path / "keys.json").list()) == 30


@pytest.mark.parametrize(
    ("name", "role"), [("", "read"), (" ", "read"), ("a\nb", "read"), ("a" * 201, "read"), ("a", "root")]
)
def test_odd_keys_are_not_made(tmp_path: Path, name: str, role: Role) -> None:
    with pytest.raises(InputError):
        Keys(tmp_path / "keys.json").create(name, role)
    assert not (tmp_path / "keys.json").exists()


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"format":"vultus-keys-1","keys":[{}],"signing_key":""}', '{"format": 7}']
)
def test_a_damaged_file_lets_nobody_in(tmp_path: Path, text: str) -> None:
    path = tmp_path / "keys.json"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(StoreError, match="expected a key file"):
        Keys(path).check("vlt_000000000000_" + "A" * 43)


def test_the_signing_key_is_made_once(tmp_path: Path) -> None:
    one = Keys(tmp_path / "keys.json").signing_key()
    assert len(one) == 32
    assert Keys(tmp_path / "keys.json").signing_key() == one
    Keys(tmp_path / "keys.json").create("x", "read")
    assert Keys(tmp_path / "keys.json").signing_key() == one


def test_roles_contain_one_another() -> None:
    assert [[allows(have, need) for need in ROLES] for have in ROLES] == [
        [True, False, False, False],
        [True, True, False, False],
        [True, True, True, False],
        [True, True, True, True],
    ]


# ---------------------------------------------------------------- every route and every key
def test_every_route_of_the_api_says_what_it_needs(served: Served) -> None:
    routes = api_routes(served.app)
    assert len(routes) >= 10
    assert all(isinstance(route, Guarded) for route in routes)
    open_to_all = {route.path_format for route in routes if needs_of(route.endpoint).role is None}
    assert open_to_all == {"/v1/health", "/v1/openapi.json"}


def test_every_route_with_every_key(served: Served) -> None:
    """401 without a valid key, 403 below the role, and neither from the role on, whatever the body is."""
    wrong = []
    for who in (None, "bad", "revoked", *ROLES):
        client = served.client(who)
        for route in api_routes(served.app):
            need = needs_of(route.endpoint)
            path = re.sub(r"\{\w+\}", "0", route.path_format)
            for method in route.methods or ():
                status = client.request(method, path).status_code
                if who is None and need.role is None:
                    good = status < 400
                elif who in (None, "bad", "revoked"):
                    good = status == 401
                elif need.role is not None and not allows(who, need.role):
                    good = status == 403
                else:
                    good = status not in (401, 403) and status < 500
                if not good:
                    wrong.append(f"{method} {path} as {who}: {status}")
    assert wrong == []


@pytest.mark.parametrize("header", ["", "Bearer", "Basic YTpi", "bearer x y", "Bearer " + "A" * 9000])
def test_odd_authorization_headers(served: Served, header: str) -> None:
    answer = served.client().get("/v1/me", headers={"Authorization": header})
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_a_key_revoked_while_the_server_runs(served: Served) -> None:
    key, token = served.services.keys.create("for a moment", "read")
    client = served.client()
    headers = {"Authorization": f"Bearer {token}"}
    assert client.get("/v1/me", headers=headers).json()["key_id"] == key.id
    assert served.client("admin").delete(f"/v1/keys/{key.id}").json()["revoked_at"]
    assert client.get("/v1/me", headers=headers).status_code == 401


def test_keys_over_http(served: Served) -> None:
    admin = served.client("admin")
    made = admin.post("/v1/keys", json={"name": "door", "role": "read"})
    assert made.status_code == 201
    assert (
        served.client().get("/v1/me", headers={"Authorization": f"Bearer {made.json()['key']}"}).json()["name"]
        == "door"
    )
    listed = admin.get("/v1/keys?limit=500").json()["items"]
    assert made.json()["id"] in {key["id"] for key in listed}
    assert "sha256" not in json.dumps(listed)
    assert made.json()["key"] not in json.dumps(listed)
    assert admin.delete("/v1/keys/none").status_code == 404
    assert admin.delete(f"/v1/keys/{admin.get('/v1/me').json()['key_id']}").status_code == 409


def test_without_auth_everybody_is_admin(serve) -> None:
    open_server = serve(auth=False)
    assert open_server.client().get("/v1/me").json() == {"key_id": "none", "role": "admin", "name": "everybody"}


def test_metrics_may_be_open(serve) -> None:
    served = serve(metrics_open=True)
    assert served.client().get("/metrics").status_code == 200
    assert served.client().get("/v1/keys").status_code == 401

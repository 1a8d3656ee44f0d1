"""The client against a running server: every call it has, and what it does with refusals."""

from __future__ import annotations

import pytest

from tests.serve import fake
from tests.serve.conftest import started
from vultus.client import ApiError, Client
from vultus.errors import InputError, VultusError


@pytest.fixture
def served(tmp_path):
    found = started(tmp_path)
    yield found
    found.stop()


def test_a_day_at_work(served, tmp_path) -> None:
    photo = tmp_path / "anna.png"
    photo.write_bytes(fake.picture(1))
    with Client(served.url, served.tokens["admin"]) as client:
        done = client.enroll("Anna", [photo, fake.picture(1, shot=1)])
        assert done.person is not None
        anna = done.person
        assert (done.used, anna.name, anna.n_faces) == (2, "Anna", 2)
        assert client.add_photos(anna.id, [fake.picture(1, shot=2), b"x"]).refused[0]["photo"] == "photo"
        assert client.detect(photo).image["width"] == 128
        embedded = client.embed(photo)
        assert embedded.faces[0].vector is not None
        assert client.search(embedded.faces[0].vector, embedded.space)[0].name == "Anna"
        assert client.compare(photo, fake.picture(1, shot=3), fmr=1e-4).decision.accepted
        found = client.identify(fake.picture(1, 7, shot=4), keep=[1])
        assert [face.decision.outcome for face in found.faces if face.decision] == ["accept", "reject"]
        assert found.faces[0].candidates[0].identity_id == anna.id
        (unknown,) = client.faces(unknown=True)
        assert unknown.id == found.faces[1].face_id
        assert client.crop(unknown.id).startswith(b"\xff\xd8")
        ben = client.assign([unknown.id], name="Ben")
        assert [person.name for person in client.people("be")] == ["Ben"]
        client.undo(client.call("GET", "/v1/history")["items"][0]["seq"])
        client.store([fake.picture(5, shot=shot) for shot in range(4)])
        assert client.wait(client.start("cluster")).state == "done"
        assert next(client.clusters()).size == 4
        assert client.rename(anna.id, "Anne").name == "Anne"
        face = next(client.faces(person_id=anna.id))
        twin = client.split(anna.id, [face.id], "Twin")
        assert client.merge(anna.id, twin.id).n_faces == 3
        assert client.erase(anna.id, "Anne").removed["faces"] == 3
        with pytest.raises(ApiError) as caught:
            client.person(ben.id)
        assert (caught.value.status, caught.value.code) == (404, "NotFound")
        assert caught.value.request_id


def test_lists_go_over_pages(served) -> None:
    with Client(served.url, served.tokens["admin"]) as client:
        for i in range(5):
            client.enroll(f"Person {i}", [fake.picture(50 + i)])
        assert len(list(client.pages("/v1/people", {"limit": "2"}))) == 5


def test_refusals_are_errors_of_the_house(served, tmp_path) -> None:
    with Client(served.url, served.tokens["read"]) as client:
        with pytest.raises(VultusError, match="Forbidden"):
            client.detect(fake.picture(1))
        with pytest.raises(InputError, match="cannot be read"):
            client.detect(tmp_path / "missing.png")
        with pytest.raises(InputError, match="at least one"):
            client.enroll("Anna", [])
        with pytest.raises(InputError, match="id"):
            client.person("..")
    with Client(served.url) as client, pytest.raises(ApiError, match="401"):
        list(client.people())
    with Client("http://127.0.0.1:9", timeout_s=1) as client, pytest.raises(ApiError, match="Unreachable"):
        list(client.people())

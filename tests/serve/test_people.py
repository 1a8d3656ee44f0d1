"""People over HTTP: enroll, look, correct, take back, erase; and how much of a score is told to whom."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.serve import fake
from tests.serve.conftest import Served
from tests.serve.test_batching import until
from vultus.serve import views
from vultus.types import Decision, Match, Metric


def enrolled(served: Served, name: str, *people: int, force: bool = False) -> dict:
    """Enroll pictures, one per number, as one person."""
    files = [("images", (f"{i}.png", fake.picture(person, shot=i))) for i, person in enumerate(people)]
    answer = served.client("enroll").post("/v1/people", data={"name": name, "force": str(force)}, files=files)
    assert answer.status_code == 201, answer.text
    return answer.json()["person"]


def stored(served: Served, *people: int, shot: int = 50) -> list[dict]:
    """Keep the faces of one picture as unknown."""
    answer = served.client("enroll").post("/v1/faces", files={"images": fake.picture(*people, shot=shot)})
    assert answer.status_code == 201, answer.text
    return answer.json()["faces"]


def problem(answer, status: int, code: str) -> dict:
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), answer.text
    return answer.json()["error"]


# ---------------------------------------------------------------- enrolling
def test_photos_are_used_known_or_refused_with_a_reason(serve) -> None:
    served = serve()
    client = served.client("enroll")
    files = [
        ("images", ("good.png", fake.picture(1))),
        ("images", ("again.png", fake.picture(1))),
        ("images", ("poor.png", fake.picture(1, poor=True, shot=1))),
        ("images", ("none.png", fake.picture())),
        ("images", ("other.png", fake.picture(7, shot=2))),
        ("images", ("broken.png", b"broken")),
        ("images", ("second.png", fake.picture(1, shot=3))),
    ]
    done = client.post("/v1/people", data={"name": "  Zoe\u0301 "}, files=files).json()
    assert done["person"]["name"] == "Zoé"
    assert (done["used"], done["known"]) == (2, 0)
    reasons = {item["photo"]: item["reason"] for item in done["refused"]}
    assert set(reasons) == {"again.png", "poor.png", "none.png", "other.png", "broken.png"}
    assert "same file as good.png" in reasons["again.png"]
    assert "no face" in reasons["none.png"]
    again = client.post(f"/v1/people/{done['person']['id']}/photos", files=files[:1]).json()
    assert (again["used"], again["known"], again["refused"]) == (0, 1, [])
    problem(client.post("/v1/people", data={"name": "Nobody"}, files=files[3:4]), 422, "NothingUsed")
    problem(client.post("/v1/people", data={"name": "Nobody"}), 415, "MediaType")
    problem(client.post("/v1/people", json={"name": "Nobody"}), 422, "InputError")
    assert len(client.get("/v1/people").json()["items"]) == 1


def test_a_photo_that_looks_like_somebody_else_changes_nothing(serve) -> None:
    served = serve()
    anna = enrolled(served, "Anna", 1)
    files = [("images", ("b.png", fake.picture(2))), ("images", ("a.png", fake.picture(1, shot=5)))]
    client = served.client("enroll")
    answer = client.post("/v1/people", data={"name": "Ben"}, files=files)
    (photo,) = problem(answer, 409, "Conflict")["details"]["photos"]
    assert (photo["photo"], photo["person_id"], photo["name"]) == ("a.png", anna["id"], "Anna")
    assert [person["name"] for person in client.get("/v1/people").json()["items"]] == ["Anna"]
    assert client.post("/v1/people", data={"name": "Ben", "force": "true"}, files=files[1:]).status_code == 201
    same = client.post("/v1/people", data={"name": "Ben"}, files=[("images", ("x.png", fake.picture(1)))])
    assert problem(same, 409, "Conflict")["details"]["photos"] == [{"photo": "x.png", "name": "Anna"}]


def test_two_people_of_one_name(serve) -> None:
    served = serve()
    one, two = enrolled(served, "Kim", 1), enrolled(served, "Lee", 2)
    client = served.client("enroll")
    assert client.patch(f"/v1/people/{two['id']}", json={"name": "Kim"}).json()["name"] == "Kim"
    files = {"images": fake.picture(2, shot=9)}
    found = problem(client.post("/v1/people", data={"name": "Kim"}, files=files), 409, "Conflict")
    assert sorted(found["details"]["person_ids"]) == sorted([one["id"], two["id"]])
    assert client.post(f"/v1/people/{two['id']}/photos", files=files).json()["used"] == 1


# ---------------------------------------------------------------- who is it
def test_identify_names_refuses_and_keeps(serve) -> None:
    served = serve()
    anna = enrolled(served, "Anna", 1)
    enrolled(served, "Ben", 2)
    client = served.client("enroll")
    answer = client.post("/v1/identify", files={"image": fake.picture(1, 9, shot=3)}, data={"keep": "true"}).json()
    known, stranger = answer["faces"]
    assert known["decision"]["outcome"] == "accept"
    assert known["decision"]["match"]["identity_id"] == anna["id"]
    assert known["words"].startswith("Anna: ")
    assert "once in 1,000 comparisons" in known["words"]
    assert [match["name"] for match in known["candidates"]] == ["Anna", "Ben"]
    assert stranger["decision"]["outcome"] == "reject"
    assert answer["image"]["width"] == 128
    unknown = client.get("/v1/faces?unknown=true").json()["items"]
    assert {face["id"] for face in unknown} == {known["face_id"], stranger["face_id"]}
    again = client.post("/v1/identify", files={"image": fake.picture(1, 9, shot=3)}, data={"keep": "true"}).json()
    assert [face["face_id"] for face in again["faces"]] == [known["face_id"], stranger["face_id"]]
    strict = client.post("/v1/identify", files={"image": fake.picture(1, shot=4)}, data={"fpir": "0.001"}).json()
    assert strict["faces"][0]["decision"]["fmr"]["value"] == pytest.approx(5e-4, rel=0.01)
    problem(client.post("/v1/identify", files={"image": b"x"}, data={"fpir": "0.1", "fmr": "0.1"}), 422, "InputError")
    assert client.post("/v1/identify", files={"image": fake.picture()}).json()["faces"] == []


def test_untrusted_roles_learn_little(serve) -> None:
    served = serve()
    enrolled(served, "Anna", 1)
    enrolled(served, "Ben", 2)
    client = served.client("identify")
    accepted, rejected = client.post("/v1/identify", files={"image": fake.picture(1, 9, shot=3)}).json()["faces"]
    assert accepted["decision"]["score"] == accepted["candidates"][0]["score"]
    assert accepted["decision"]["score"] * 20 == pytest.approx(round(accepted["decision"]["score"] * 20))
    assert [match["name"] for match in accepted["candidates"]] == ["Anna"]
    assert rejected["decision"]["score"] is None
    assert rejected["decision"]["match"] is None
    assert rejected["candidates"] == []
    assert "Anna" not in str(rejected)
    assert "Ben" not in str(rejected)
    problem(client.post("/v1/identify", files={"image": fake.picture(1)}, data={"keep": "true"}), 403, "Forbidden")
    assert client.get("/v1/faces?unknown=true").json()["items"] == []


def test_one_person_cannot_be_tried_for_ever_and_others_still_can(serve) -> None:
    served = serve({"attempts_per_hour": 3})
    enrolled(served, "Anna", 1)
    enrolled(served, "Ben", 2)
    client = served.client("identify")
    ask = lambda client, person, shot: client.post("/v1/identify", files={"image": fake.picture(person, shot=shot)})  # noqa: E731
    assert [ask(client, 1, shot).status_code for shot in range(10, 15)] == [200, 200, 200, 429, 429]
    assert int(ask(client, 1, 20).headers["Retry-After"]) > 60
    assert ask(client, 2, 10).status_code == 200
    assert ask(served.client("enroll"), 1, 30).status_code == 200


MATCHES = st.builds(Match, st.just("id"), st.just("Anna"), st.floats(-1, 1), st.just(1))


@given(
    st.sampled_from(["accept", "reject", "abstain"]),
    st.floats(-1, 1) | st.none(),
    MATCHES | st.none(),
    st.sampled_from(["read", "identify"]),
)
def test_what_is_told_to_untrusted_roles_holds_for_any_decision(outcome, score, match, role) -> None:
    made = Decision(outcome, score, 0.4, Metric(1e-3), "c", match, "the closest, Anna, is 0.3123")
    told = views.decision(made, role)
    said = views.words(made, role)
    if outcome != "accept":
        assert told["score"] is None
        assert told["match"] is None
        assert "Anna" not in str(told) + said
    elif score is not None:
        assert told["score"] <= score + 1e-9
        assert math.isclose(told["score"] * 20, round(told["score"] * 20), abs_tol=1e-6)
    assert views.decision(made, "enroll")["score"] == score


def test_search_by_vector_and_by_picture(serve) -> None:
    served = serve()
    anna = enrolled(served, "Anna", 1)
    client = served.client("enroll")
    vector = [3.0 * float(v) for v in fake.vector_of(1)]
    assert (
        client.post("/v1/search", json={"vector": vector, "space": fake.SPACE, "k": 1}).json()["candidates"][0][
            "identity_id"
        ]
        == anna["id"]
    )
    assert client.post("/v1/search", files={"image": fake.picture(1, shot=2)}).json()["candidates"][0]["name"] == "Anna"
    problem(client.post("/v1/search", json={"vector": vector, "space": "other@000000000000"}), 409, "SpaceMismatch")
    problem(client.post("/v1/search", json={"vector": vector[:-1], "space": fake.SPACE}), 422, "InputError")
    problem(client.post("/v1/search", json={"vector": vector}), 422, "InputError")
    problem(client.post("/v1/search", json={"k": 3}), 422, "InputError")
    problem(client.post("/v1/search", files={"image": fake.picture()}), 422, "NoFace")


def test_another_space_in_the_gallery_is_a_conflict(serve) -> None:
    served = serve()
    served.services.gallery.enroll("Old", fake.vector_of(1), None, ["m" * 64], "other@000000000000")
    client = served.client("enroll")
    problem(client.post("/v1/identify", files={"image": fake.picture(1)}), 409, "SpaceMismatch")
    problem(client.post("/v1/people", data={"name": "A"}, files={"images": fake.picture(1)}), 409, "SpaceMismatch")
    problem(client.post("/v1/faces", files={"images": fake.picture(1)}), 409, "SpaceMismatch")


# ---------------------------------------------------------------- corrections
def test_correct_and_take_back(serve) -> None:
    served = serve()
    anna, ben = enrolled(served, "Anna", 1, 1), enrolled(served, "Ben", 2)
    first, second = stored(served, 1, 9)
    client = served.client("enroll")
    said = client.post(f"/v1/faces/{first['id']}/suggest").json()
    assert said["decision"]["match"]["name"] == "Anna"
    person = client.post("/v1/faces/assign", json={"face_ids": [first["id"]], "person_id": anna["id"]}).json()
    assert (person["id"], person["n_faces"]) == (anna["id"], 3)
    taken = client.post("/v1/faces/assign", json={"face_ids": [second["id"]], "person_id": anna["id"]})
    assert "picture" in problem(taken, 409, "Conflict")["message"]
    new = client.post("/v1/faces/assign", json={"face_ids": [second["id"]], "name": "Cleo"}).json()
    assert new["name"] == "Cleo"
    entry = client.get("/v1/history?limit=1").json()["items"][0]
    assert (entry["verb"], entry["can_undo"]) == ("assign", True)
    assert client.post(f"/v1/history/{entry['seq']}/undo").json()["can_undo"] is False
    problem(client.post(f"/v1/history/{entry['seq']}/undo"), 409, "Conflict")
    problem(client.post("/v1/history/999/undo"), 404, "NotFound")
    assert client.get(f"/v1/people/{new['id']}").status_code == 404
    link = client.post("/v1/links", json={"kind": "cannot", "a": first["id"], "b": person["cover_face_id"]})
    assert link.status_code in (201, 409)
    halves = client.post(f"/v1/people/{anna['id']}/split", json={"face_ids": [first["id"]], "name": "Twin"}).json()
    assert client.post(f"/v1/people/{anna['id']}/merge", json={"absorb_id": halves["id"]}).json()["n_faces"] == 3
    assert client.post("/v1/faces/unassign", json={"face_ids": [first["id"]]}).json()["faces"][0]["person_id"] is None
    never = client.post("/v1/links", json={"kind": "not_person", "a": first["id"], "b": ben["id"]}).json()
    assert client.get(f"/v1/links?key={ben['id']}").json()["items"] == [never]
    denied = client.post("/v1/faces/assign", json={"face_ids": [first["id"]], "person_id": ben["id"]})
    assert never["id"] in problem(denied, 409, "Conflict")["message"]
    assert client.delete(f"/v1/links/{never['id']}").json() == never
    problem(client.delete(f"/v1/links/{never['id']}"), 404, "NotFound")
    assert client.patch(f"/v1/people/{ben['id']}", json={"attributes": {"team": "blue", "n": 3}}).json()[
        "attributes"
    ] == {"team": "blue", "n": 3}


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/v1/people/0", None),
        ("PATCH", "/v1/people/0", {"name": "x"}),
        ("POST", "/v1/people/0/merge", {"absorb_id": "1"}),
        ("POST", "/v1/people/0/split", {"face_ids": ["1"], "name": "x"}),
        ("POST", "/v1/people/0/erase", {"confirm": "x"}),
        ("GET", "/v1/faces/0/crop", None),
        ("DELETE", "/v1/faces/0", None),
        ("POST", "/v1/faces/0/suggest", None),
        ("POST", "/v1/faces/assign", {"face_ids": ["0"], "name": "x"}),
        ("POST", "/v1/faces/unassign", {"face_ids": ["0"]}),
        ("POST", "/v1/links", {"kind": "must", "a": "0", "b": "1"}),
        ("POST", "/v1/links", {"kind": "not_person", "a": "0", "b": "1"}),
    ],
)
def test_what_is_not_there_is_404(served, method, path, body) -> None:
    problem(served.client("admin").request(method, path, json=body), 404, "NotFound")


def test_pages_of_people_and_faces(serve) -> None:
    served = serve()
    people = [enrolled(served, f"Person {i}", 100 + i) for i in range(7)]
    client = served.client("read")
    seen, cursor = [], ""
    while True:
        page = client.get(f"/v1/people?limit=3{cursor}").json()
        seen += page["items"]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert [person["id"] for person in seen] == sorted(person["id"] for person in people)
    page = client.get("/v1/people?limit=3").json()
    for path in ("/v1/faces?limit=3", "/v1/people?limit=3&q=x", "/v1/history?"):
        answer = client.get(f"{path}&cursor={page['next_cursor']}")
        problem(answer, 404, "NotFound")
    assert [person["name"] for person in client.get("/v1/people?q=SON 3").json()["items"]] == ["Person 3"]
    assert len(client.get(f"/v1/faces?person_id={people[0]['id']}").json()["items"]) == 1
    assert client.get("/v1/people?limit=0").status_code == 422
    assert client.get("/v1/people?limit=501").status_code == 422


# ---------------------------------------------------------------- pictures of faces, erasing, security, audit
def test_a_crop_is_a_small_jpeg_that_is_not_cached(serve) -> None:
    served = serve()
    (face,) = stored(served, 1)
    answer = served.client("read").get(f"/v1/faces/{face['id']}/crop")
    assert answer.headers["Content-Type"] == "image/jpeg"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.content.startswith(b"\xff\xd8\xff")


def test_erasing_needs_the_name_and_gives_a_receipt(serve) -> None:
    served = serve()
    anna = enrolled(served, "Anna", 1)
    admin = served.client("admin")
    problem(admin.post(f"/v1/people/{anna['id']}/erase", json={"confirm": "Ben"}), 409, "Conflict")
    receipt = admin.post(f"/v1/people/{anna['id']}/erase", json={"confirm": "Anna"}).json()
    assert receipt["removed"]["faces"] == 1
    assert receipt["verified"]
    assert receipt["audit_hash"] in admin.get("/v1/audit?limit=500").text
    assert admin.get(f"/v1/people/{anna['id']}").status_code == 404
    assert admin.get("/v1/audit/verify").json()["ok"]


def test_a_face_can_be_erased_but_not_the_last_one(serve) -> None:
    served = serve()
    anna = enrolled(served, "Anna", 1, 1)
    client = served.client("enroll")
    one, two = [face["id"] for face in client.get(f"/v1/faces?person_id={anna['id']}").json()["items"]]
    assert client.delete(f"/v1/faces/{one}").json()["faces"][0]["id"] == one
    problem(client.delete(f"/v1/faces/{two}"), 409, "Conflict")


def test_the_rate_in_use(serve) -> None:
    served = serve()
    enrolled(served, "Anna", 1, 1)
    admin, client = served.client("admin"), served.client("identify")
    assert client.get("/v1/security").json()["fmr"] == 1e-3
    levels = admin.put("/v1/security", json={"fmr": 1e-4}).json()
    assert levels["fmr"] == 1e-4
    assert [level["fmr"] for level in levels["levels"]] == [1e-2, 1e-3, 1e-4, 1e-5, 1e-6]
    assert all(level["words"] for level in levels["levels"])
    decision = client.post("/v1/identify", files={"image": fake.picture(1, shot=7)}).json()["faces"][0]["decision"]
    assert decision["threshold"] == pytest.approx(0.6)
    audit = admin.get("/v1/audit?limit=500").json()["items"]
    assert [(row["verb"], row["seq"]) for row in audit] == [("set_fact", 2), ("enroll", 1)]
    assert audit[0]["actor"].startswith("key:")
    page = admin.get("/v1/audit?limit=1").json()
    last = admin.get(f"/v1/audit?limit=1&cursor={page['next_cursor']}").json()
    assert [row["seq"] for row in page["items"] + last["items"]] == [2, 1]
    assert last["next_cursor"] is None


# ---------------------------------------------------------------- unknown faces, jobs
def ended(client, job: dict) -> dict:
    until(lambda: client.get(f"/v1/jobs/{job['id']}").json()["state"] not in ("queued", "running"))
    return client.get(f"/v1/jobs/{job['id']}").json()


def test_unknown_faces_are_clustered_and_named(serve) -> None:
    served = serve()
    enrolled(served, "Anna", 1)
    for shot in range(4):
        stored(served, 1, 5, shot=60 + shot)
    client, reader = served.client("enroll"), served.client("read")
    assert client.get("/v1/health").json()["store"] == {"people": 1, "faces": 9, "unknown": 8, "space": fake.SPACE}
    started = client.post("/v1/clusters", json={})
    assert started.status_code == 202
    job = ended(client, started.json())
    assert (job["state"], job["result"]) == ("done", {"clusters": 2})
    assert reader.get(f"/v1/jobs/{job['id']}").status_code == 404
    assert reader.get("/v1/jobs").json()["items"] == []
    assert served.client("admin").get("/v1/jobs").json()["items"] == [job]
    clusters = client.get("/v1/clusters").json()["items"]
    assert [cluster["size"] for cluster in clusters] == [4, 4]
    assert all(0.5 < cluster["purity"]["value"] <= 1 for cluster in clusters)
    names = [cluster["suggestion"]["name"] if cluster["suggestion"] else None for cluster in clusters]
    assert sorted(names, key=str) == ["Anna", None]
    assert all(cluster["suggestion"] is None for cluster in reader.get("/v1/clusters").json()["items"])
    new = next(cluster for cluster in clusters if cluster["suggestion"] is None)
    assert len(client.get(f"/v1/faces?cluster_id={new['id']}").json()["items"]) == 4
    named = client.post(f"/v1/clusters/{new['id']}/name", json={"name": "Eve"})
    assert (named.json()["name"], named.json()["n_faces"]) == ("Eve", 4)
    undone = client.post(f"/v1/history/{named.headers['X-History-Seq']}/undo")
    assert undone.json()["can_undo"] is False
    assert client.get("/v1/health").json()["store"]["people"] == 1
    problem(client.post("/v1/clusters/0/name", json={"name": "Eve"}), 404, "NotFound")
    problem(client.post(f"/v1/clusters/{new['id']}/name", json={}), 422, "InputError")


def test_only_the_faces_asked_for_are_kept(serve) -> None:
    served = serve()
    client = served.client("enroll")
    files = {"image": fake.picture(1, 2, 3)}
    answer = client.post("/v1/identify", files=files, data={"keep": "0,2"}).json()
    assert [face["face_id"] is None for face in answer["faces"]] == [False, True, False]
    again = client.post("/v1/identify", files=files, data={"keep": "2"}).json()
    assert again["faces"][2]["face_id"] == answer["faces"][2]["face_id"]
    assert len(client.get("/v1/faces").json()["items"]) == 2
    problem(client.post("/v1/identify", files=files, data={"keep": "3"}), 404, "NotFound")
    problem(client.post("/v1/identify", files=files, data={"keep": "x"}), 422, "InputError")


def test_a_folder_is_imported_only_below_what_the_operator_allows(serve, tmp_path) -> None:
    allowed, secret = tmp_path / "allowed", tmp_path / "secret"
    for folder, name, person in (
        (allowed / "team", "Anna", 1),
        (allowed / "team", "Ben", 2),
        (secret / "all", "Zed", 3),
    ):
        (folder / name).mkdir(parents=True)
        (folder / name / "a.png").write_bytes(fake.picture(person))
    (allowed / "team" / "Zed").symlink_to(secret / "all" / "Zed")
    (allowed / "way-out").symlink_to(secret)
    served = serve(folders=(allowed,))
    client = served.client("enroll")
    for path in (
        secret / "all",
        allowed / "../secret/all",
        allowed / "way-out/all",
        allowed / "nothing",
        "x",
        "/",
        "a\0b",
    ):
        answer = client.post("/v1/jobs", json={"kind": "import", "path": str(path)})
        assert answer.status_code in (403, 422), path
    job = ended(client, client.post("/v1/jobs", json={"kind": "import", "path": str(allowed / "team")}).json())
    assert job["state"] == "done"
    assert job["result"] == {"people": 2, "used": 2, "known": 0, "refused": 0, "outside": 1}
    assert {person["name"] for person in client.get("/v1/people").json()["items"]} == {"Anna", "Ben"}
    problem(serve().client("enroll").post("/v1/jobs", json={"kind": "import", "path": str(allowed)}), 403, "Forbidden")
    problem(client.post("/v1/jobs", json={"kind": "import"}), 422, "InputError")

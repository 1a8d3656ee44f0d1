"""The routes of the stand-in: (method, pattern, role, what answers)."""

from __future__ import annotations

import re
from typing import Any

from tests.serve.page.drawn import Photo
from tests.serve.page.mock import FMRS, NOW, Fault, Handler


def _page(it: Handler, items: list[Any]) -> dict[str, Any]:
    start, limit = int(it.query.get("cursor", 0)), int(it.query.get("limit", 100))
    after = start + limit
    return {"items": items[start:after], "next_cursor": str(after) if after < len(items) else None}


def _one_photo(it: Handler, data: bytes) -> Photo:
    photo = it.world.see(data)
    if photo is None:
        raise Fault(422, "image: expected a picture, got something else", "NotAPicture")
    return photo


def _health(it: Handler) -> dict[str, Any]:
    told = {"status": "ok", "version": "0.1.0"}
    unknown = sum(face["person_id"] is None for face in it.world.faces.values())
    return {**told, "store": {"people": len(it.world.people), "unknown": unknown}}


def _models(it: Handler) -> dict[str, Any]:
    card = {"id": "drawn", "kind": "recognizer", "method": "drawn", "sha256": "0" * 64, "license": "Apache-2.0"}
    cards = [{**card, "commercial": "yes", "training_data": "drawings"}]
    parts = {"detector": "detect.drawn", "recognizer": "recognize.drawn"}
    return {"parts": parts, "space": "drawn@000000000000", "calibration": "drawn people", "cards": cards}


def _identify(it: Handler) -> dict[str, Any]:
    values, files = it.parts()
    photo = _one_photo(it, files[0][1])
    keep = values.get("keep", "")
    kept = range(len(photo.faces)) if keep == "true" else [int(part) for part in keep.split(",") if part]
    if kept and it.caller["role"] not in ("enroll", "admin"):
        raise Fault(403, "keep: expected a key of the role enroll", "Forbidden")
    for index in kept:
        it.world.store(photo, files[0][1], index, None, "user")
    ids = {face["index"]: face["id"] for face in it.world.faces.values() if face["medium"] == photo.sha256}
    faces = []
    for index, seen in enumerate(photo.faces):
        box = dict(zip(("x1", "y1", "x2", "y2"), seen.box, strict=True))
        pixels = {edge: value * (photo.width if edge[0] == "x" else photo.height) for edge, value in box.items()}
        decision = it.world.decide(seen.who, ids.get(index))
        found = [decision["match"]] if decision["match"] else []
        face = {"box_px": pixels, "box_norm": box, "points_px": None, "score": 0.98, "quality": 0.8, "words": ""}
        faces.append({**face, "decision": decision, "candidates": found, "face_id": ids.get(index)})
    return {"image": {"sha256": photo.sha256, "width": photo.width, "height": photo.height}, "faces": faces}


def _people(it: Handler) -> dict[str, Any]:
    wanted = it.query.get("q", "").lower()
    found = [it.world.person(one) for one in it.world.people]
    return _page(it, [one for one in found if wanted in one["name"].lower()])


def _add_photos(it: Handler, person_id: str | None) -> dict[str, Any]:
    values, files = it.parts()
    refused, good, known = [], [], 0
    for name, data in files:
        photo = it.world.see(data)
        if photo is None:
            refused.append({"photo": name, "reason": "this is no picture that can be read"})
        elif len(photo.faces) != 1:
            reason = "no face was found" if not photo.faces else f"{len(photo.faces)} faces: it is not said whose it is"
            refused.append({"photo": name, "reason": reason})
        elif any(f["medium"] == photo.sha256 and f["person_id"] == person_id for f in it.world.faces.values()):
            known += 1
        else:
            good.append((name, photo, data))
    alike = []
    for name, photo, _ in good:
        made = it.world.decide(photo.faces[0].who)
        match = made["match"]
        if made["outcome"] == "accept" and match["identity_id"] != person_id and "force" not in values:
            reason = f"looks like {match['name']}"
            alike.append({"photo": name, "person_id": match["identity_id"], "name": match["name"], "reason": reason})
    if alike:
        words = "a photo looks like somebody who is enrolled already: leave it out, or send force=true"
        raise Fault(409, words, "Conflict", {"photos": alike, "refused": refused})
    if not good and not known:
        raise Fault(422, "no photo could be used", "NoFace", {"refused": refused})
    if person_id is None:
        person_id = it.world.fresh("p")
        person = {"id": person_id, "name": values["name"], "enrolled_at": NOW.format(2), "attributes": {}}
        it.world.people[person_id] = person
    for _, photo, data in good:
        it.world.store(photo, data, 0, person_id, "enroll")
    it.did("enroll", person_id, f"Enrolled {it.world.people[person_id]['name']}")
    return {"person": it.world.person(person_id), "used": len(good), "known": known, "refused": refused}


def _person(it: Handler, person_id: str) -> dict[str, Any]:
    person = it.world.person(person_id)
    faces = [it.world.face(face["id"]) for face in it.world.of(person_id)]
    template = {"space": "drawn@000000000000", "n_images": len(faces), "quality": 0.82}
    return {**person, "template": template, "faces": _page(it, faces)}


def _rename(it: Handler, person_id: str) -> dict[str, Any]:
    person, name = it.world.person(person_id), it.json()["name"]
    it.world.people[person_id]["name"] = name
    summary = f"Renamed {person['name']} to {name}"
    it.did("rename", person_id, summary, lambda: it.world.people[person_id].update(name=person["name"]))
    return it.world.person(person_id)


def _merge(it: Handler, person_id: str) -> dict[str, Any]:
    absorbed = it.world.person(it.json()["absorb_id"])
    back = it.world.move([face["id"] for face in it.world.of(absorbed["id"])], person_id)
    record = it.world.people.pop(absorbed["id"])

    def undo() -> None:
        it.world.people[record["id"]] = record
        back()

    kept = it.world.person(person_id)
    it.did("merge", person_id, f"Merged {absorbed['name']} into {kept['name']}", undo)
    return kept


def _split(it: Handler, person_id: str) -> dict[str, Any]:
    body, old = it.json(), it.world.person(person_id)
    new = it.world.someone({"name": body["name"]})
    undo = it.world.move(body["face_ids"], new)
    it.did("split", person_id, f"Split {len(body['face_ids'])} photos of {old['name']} off as {body['name']}", undo)
    return it.world.person(new)


def _erase(it: Handler, person_id: str) -> dict[str, Any]:
    person = it.world.person(person_id)
    if it.json().get("confirm") != person["name"]:
        raise Fault(422, "confirm: expected the name of the person")
    gone = [face["id"] for face in it.world.of(person_id)]
    for face_id in gone:
        del it.world.faces[face_id], it.world.crops[face_id]
    del it.world.people[person_id]
    it.did("erase", person_id, "")
    row = it.world.audit[-1]
    removed = {"people": 1, "faces": len(gone), "crops": len(gone), "vectors": len(gone)}
    checks = ["no row names the person", "no vector of the person is in an index", "the file was vacuumed"]
    receipt = {"id": it.world.fresh("r"), "person_id": person_id, "at": row["at"], "removed": removed}
    return {**receipt, "verified": checks, "audit_seq": row["seq"], "audit_hash": row["hash"]}


def _faces(it: Handler) -> dict[str, Any]:
    found = list(it.world.faces.values())
    if "person_id" in it.query:
        found = it.world.of(it.query["person_id"])
    if it.query.get("unknown") == "true":
        found = [face for face in found if face["person_id"] is None]
    if "cluster_id" in it.query:
        found = [face for face in found if face["cluster_id"] == it.query["cluster_id"]]
    return _page(it, [it.world.face(face["id"]) for face in found])


def _add_faces(it: Handler) -> dict[str, Any]:
    ids = []
    for _, data in it.parts()[1]:
        photo = _one_photo(it, data)
        ids += [it.world.store(photo, data, index, None, "import") for index in range(len(photo.faces))]
    return {"faces": [it.world.face(face_id) for face_id in ids]}


def _crop(it: Handler, face_id: str) -> bytes:
    it.world.face(face_id)
    return it.world.crops[face_id]


def _assign(it: Handler) -> dict[str, Any]:
    body = it.json()
    person_id = it.world.someone(body)
    undo = it.world.move(body["face_ids"], person_id)
    person = it.world.person(person_id)
    it.did("assign", person_id, f"Named {len(body['face_ids'])} faces {person['name']}", undo)
    return person


def _unassign(it: Handler) -> dict[str, Any]:
    ids = it.json()["face_ids"]
    undo = it.world.move(ids, None)
    it.did("unassign", ids[0], f"Moved {len(ids)} faces to unknown", undo)
    return {"faces": [it.world.face(face_id) for face_id in ids]}


def _suggest(it: Handler, face_id: str) -> dict[str, Any]:
    it.world.face(face_id)
    return {"decision": it.world.decide(it.world.faces[face_id]["who"], face_id), "words": ""}


def _remove_face(it: Handler, face_id: str) -> dict[str, Any]:
    it.world.face(face_id)
    del it.world.faces[face_id], it.world.crops[face_id]
    it.did("remove_face", face_id, "")
    return {}


def _link(it: Handler) -> dict[str, Any]:
    link = {"id": it.world.fresh("l"), "actor": it.caller["name"], "at": NOW.format(3), **it.json()}
    it.world.links[link["id"]] = link
    it.did("link", link["a"], f"Noted: {link['kind'].replace('_', ' ')}", lambda: it.world.links.pop(link["id"]))
    return link


def _history(it: Handler) -> dict[str, Any]:
    shown = [{key: value for key, value in entry.items() if key != "undo"} for entry in reversed(it.world.history)]
    return _page(it, shown)


def _undo(it: Handler, seq: str) -> dict[str, Any]:
    entry = it.world.history[int(seq) - 1]
    if not entry["can_undo"]:
        raise Fault(409, "this was undone already", "Conflict")
    entry["undo"]()
    entry |= {"can_undo": False, "undone_at": NOW.format(59)}
    return {key: value for key, value in entry.items() if key != "undo"}


def _clusters(it: Handler) -> dict[str, Any]:
    groups: dict[str, list[dict[str, Any]]] = {}
    for face in it.world.faces.values():
        if face["person_id"] is None and face["cluster_id"]:
            groups.setdefault(face["cluster_id"], []).append(face)
    items = []
    for cluster_id, faces in groups.items():
        made = it.world.decide(faces[0]["who"])
        pure = {"value": 0.97, "low": 0.9, "high": 0.99, "unit": "share", "n": len(faces), "note": ""}
        item = {"id": cluster_id, "size": len(faces), "face_ids": [face["id"] for face in faces][:12], "purity": pure}
        items.append({**item, "suggestion": made["match"] if made["outcome"] == "accept" else None})
    return _page(it, sorted(items, key=lambda one: -int(one["size"])))


def _group(it: Handler) -> dict[str, Any]:
    unknown = [face for face in it.world.faces.values() if face["person_id"] is None]
    apart = [link for link in it.world.links.values() if link["kind"] == "cannot"]
    for face in unknown:
        face["cluster_id"] = f"c{face['who']:02d}" + ("x" if any(face["id"] == link["a"] for link in apart) else "")
    job = {"id": it.world.fresh("j"), "kind": "cluster", "state": "queued", "done": 0, "total": len(unknown)}
    it.world.jobs[job["id"]] = {**job, "message": "", "result": None}
    return it.world.jobs[job["id"]]


def _job(it: Handler, job_id: str) -> dict[str, Any]:
    job = it.world.jobs[job_id]
    job["state"] = "running" if job["state"] == "queued" else "done"
    job["done"] = job["total"] // 2 if job["state"] == "running" else job["total"]
    return job


def _name_cluster(it: Handler, cluster_id: str) -> dict[str, Any]:
    ids = [f["id"] for f in it.world.faces.values() if f["cluster_id"] == cluster_id and f["person_id"] is None]
    if not ids:
        raise Fault(404, "there is no such group", "NotFound")
    person_id = it.world.someone(it.json())
    undo = it.world.move(ids, person_id)
    person = it.world.person(person_id)
    it.did("name_cluster", person_id, f"Named a group of {len(ids)} {person['name']}", undo)
    return person


def _metric(value: float | None, n: int = 0, note: str = "") -> dict[str, Any]:
    low, high = (None, None) if value is None else (0.6 * value, min(1.0, 1.5 * value + 1e-4))
    return {"value": value, "low": low, "high": high, "unit": "share", "n": n, "note": note}


def _security(it: Handler) -> dict[str, Any]:
    people = len(it.world.people)
    few = people < 3
    levels = []
    for step, fmr in enumerate(FMRS):
        chance = 1 - (1 - fmr) ** people
        none = _metric(None, note="fewer than 3 people with two or more photos")
        own = none if few else _metric((0.004, 0.011, 0.028, 0.071, 0.162)[step], 240)
        other = none if few else _metric(min(1.0, 0.8 * chance), 240)
        level = {"fmr": fmr, "threshold": 0.31 + 0.055 * step, "words": "", "fpir": _metric(chance)}
        levels.append({**level, "fpir_own": other, "fnmr_own": own})
    return {"fmr": it.world.fmr, "levels": levels}


def _set_security(it: Handler) -> dict[str, Any]:
    it.world.fmr = float(it.json()["fmr"])
    it.did("set_security", "", f"Set the level to {it.world.fmr}")
    return _security(it)


def _verify(it: Handler) -> dict[str, Any]:
    previous, problems = "0" * 64, []
    for row in it.world.audit:
        if row["previous"] != previous:
            problems.append(f"row {row['seq']}: its hash does not follow from the row before")
        previous = row["hash"]
    return {"ok": not problems, "rows": len(it.world.audit), "problems": problems}


def _make_key(it: Handler) -> dict[str, Any]:
    body = it.json()
    token = f"vlt_{it.world.fresh('k')}_secret"
    key = {"id": token.split("_")[1], "name": body["name"], "role": body["role"], "created_at": NOW.format(5)}
    it.world.keys[token] = {**key, "revoked_at": None}
    return {**it.world.keys[token], "key": token}


def _revoke(it: Handler, key_id: str) -> dict[str, Any]:
    key = next(one for one in it.world.keys.values() if one["id"] == key_id)
    key["revoked_at"] = NOW.format(6)
    return key


_TABLE = [
    ("GET", "/v1/health", "none", _health),
    (
        "GET",
        "/v1/me",
        "read",
        lambda it: {"key_id": it.caller["id"], "role": it.caller["role"], "name": it.caller["name"]},
    ),
    ("GET", "/v1/models", "read", _models),
    ("POST", "/v1/identify", "identify", _identify),
    ("GET", "/v1/people", "read", _people),
    ("POST", "/v1/people", "enroll", lambda it: _add_photos(it, None)),
    ("GET", "/v1/people/([^/]+)", "read", _person),
    ("PATCH", "/v1/people/([^/]+)", "enroll", _rename),
    ("POST", "/v1/people/([^/]+)/photos", "enroll", _add_photos),
    ("POST", "/v1/people/([^/]+)/merge", "enroll", _merge),
    ("POST", "/v1/people/([^/]+)/split", "enroll", _split),
    ("POST", "/v1/people/([^/]+)/erase", "admin", _erase),
    ("GET", "/v1/faces", "read", _faces),
    ("POST", "/v1/faces", "enroll", _add_faces),
    ("GET", "/v1/faces/([^/]+)/crop", "read", _crop),
    ("POST", "/v1/faces/assign", "enroll", _assign),
    ("POST", "/v1/faces/unassign", "enroll", _unassign),
    ("POST", "/v1/faces/([^/]+)/suggest", "identify", _suggest),
    ("DELETE", "/v1/faces/([^/]+)", "enroll", _remove_face),
    ("POST", "/v1/links", "enroll", _link),
    ("GET", "/v1/history", "read", _history),
    ("POST", "/v1/history/([0-9]+)/undo", "enroll", _undo),
    ("GET", "/v1/clusters", "read", _clusters),
    ("POST", "/v1/clusters", "enroll", _group),
    ("POST", "/v1/clusters/([^/]+)/name", "enroll", _name_cluster),
    ("GET", "/v1/jobs/([^/]+)", "read", _job),
    ("GET", "/v1/security", "read", _security),
    ("PUT", "/v1/security", "admin", _set_security),
    ("GET", "/v1/audit", "admin", lambda it: _page(it, it.world.audit[::-1])),
    ("GET", "/v1/audit/verify", "admin", _verify),
    ("GET", "/v1/keys", "admin", lambda it: _page(it, list(it.world.keys.values()))),
    ("POST", "/v1/keys", "admin", _make_key),
    ("DELETE", "/v1/keys/([^/]+)", "admin", _revoke),
]
ROUTES = [(method, re.compile(pattern), role, run) for method, pattern, role, run in _TABLE]

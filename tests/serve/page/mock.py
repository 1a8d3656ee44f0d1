"""A stand-in for `vultus serve` with drawn people: the same paths and shapes, kept in memory.

It is for states of the page that a real server is hard to bring into (a full queue, a slow answer, an altered log) and
holds no recognition: who somebody is, is the hue of a drawn face.
"""

from __future__ import annotations

import email.parser
import hashlib
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from tests.serve.page.drawn import Photo, crop, look

PAGE = Path(__file__).resolve().parents[3] / "vultus/serve/page"
POLICY = (
    "default-src 'self'; img-src 'self' blob: data:; style-src 'self'; script-src 'self'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'; object-src 'none'"
)
TYPES = {".html": "text/html; charset=utf-8", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
RANK = {"read": 0, "identify": 1, "enroll": 2, "admin": 3}
FMRS = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
NOW = "2026-11-25T10:{:02d}:00Z"


class Fault(Exception):
    """An answer that is not a success."""

    def __init__(self, status: int, message: str, code: str = "InputError", details: Any = None, retry: int = 0):
        super().__init__(message)
        self.status, self.message, self.code, self.details, self.retry = status, message, code, details or {}, retry


@dataclass
class World:
    """What the stand-in knows. `faults` are answered first: [pattern of "METHOD path", Fault, how often]."""

    see: Callable[[bytes], Photo | None] = look
    people: dict[str, dict[str, Any]] = field(default_factory=dict)
    faces: dict[str, dict[str, Any]] = field(default_factory=dict)
    crops: dict[str, bytes] = field(default_factory=dict)
    links: dict[str, dict[str, Any]] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    audit: list[dict[str, Any]] = field(default_factory=list)
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    keys: dict[str, dict[str, Any]] = field(default_factory=dict)
    fmr: float = 1e-4
    faults: list[list[Any]] = field(default_factory=list)
    slow_s: float = 0.0
    serial: int = 0
    lock: threading.RLock = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        for role in RANK:
            self.keys[f"vlt_{role}_secret"] = {
                "id": role,
                "name": f"{role} key",
                "role": role,
                "created_at": NOW.format(0),
                "revoked_at": None,
            }

    def fail(self, pattern: str, fault: Fault, times: int = 1) -> None:
        """Answer the next requests like "POST /v1/identify" with a fault."""
        self.faults.append([re.compile(pattern), fault, times])

    def fresh(self, kind: str) -> str:
        self.serial += 1
        return f"{kind}{self.serial:04d}"

    # ---------------------------------------------------------------- what is known
    def of(self, person_id: str) -> list[dict[str, Any]]:
        return [face for face in self.faces.values() if face["person_id"] == person_id]

    def person(self, person_id: str) -> dict[str, Any]:
        if person_id not in self.people:
            raise Fault(404, f"there is no person {person_id}", "NotFound")
        mine = self.of(person_id)
        return {**self.people[person_id], "n_faces": len(mine), "cover_face_id": mine[0]["id"] if mine else None}

    def face(self, face_id: str) -> dict[str, Any]:
        if face_id not in self.faces:
            raise Fault(404, f"there is no face {face_id}", "NotFound")
        face = self.faces[face_id]
        shown = {key: value for key, value in face.items() if key != "who"}
        return {**shown, "person_name": self.people[face["person_id"]]["name"] if face["person_id"] else None}

    def note(self, actor: str, verb: str, subject: str, summary: str, undo: Callable[[], None] | None) -> int | None:
        previous = self.audit[-1]["hash"] if self.audit else "0" * 64
        row = {"seq": len(self.audit) + 1, "at": NOW.format(len(self.audit) % 60), "actor": actor, "verb": verb}
        row |= {"subject": subject, "details": {}, "previous": previous}
        row["hash"] = hashlib.sha256(json.dumps(row).encode()).hexdigest()
        self.audit.append(row)
        if undo is None:
            return None
        entry = {"seq": len(self.history) + 1, "at": row["at"], "actor": actor, "verb": verb, "summary": summary}
        self.history.append({**entry, "undone_at": None, "can_undo": True, "undo": undo})
        return int(entry["seq"])

    # ---------------------------------------------------------------- recognition by hue
    def decide(self, who: int, face_id: str | None = None) -> dict[str, Any]:
        never = {link["b"] for link in self.links.values() if link["kind"] == "not_person" and link["a"] == face_id}
        bar = 0.42
        fmr = {"value": self.fmr, "low": self.fmr / 2, "high": self.fmr * 2, "unit": "share", "n": 20000, "note": ""}
        made = {"outcome": "reject", "score": 0.18, "threshold": bar, "fmr": fmr, "calibration": "drawn", "match": None}
        made["reason"] = f"nobody of {len(self.people)} is alike enough"
        near = [
            (abs(face["who"] - who), face["person_id"])
            for face in self.faces.values()
            if face["person_id"] not in never | {None}
        ]
        if near:
            distance, person_id = min(near)
            score = round(0.81 - 0.33 * distance, 3)
            match = {"identity_id": person_id, "name": self.people[person_id]["name"], "score": score, "rank": 1}
            outcome = "accept" if distance == 0 else "abstain" if distance == 1 else "reject"
            made |= {"outcome": outcome, "score": max(score, -0.1), "match": match if outcome != "reject" else None}
            if outcome == "abstain":
                made["reason"] = f"{match['name']} is close, but not close enough to be sure"
        return made

    def store(self, photo: Photo, data: bytes, index: int, person_id: str | None, by: str) -> str:
        for face_id, face in self.faces.items():
            if face["medium"] == photo.sha256 and face["index"] == index:
                return face_id
        seen, face_id = photo.faces[index], self.fresh("f")
        box = dict(zip(("x1", "y1", "x2", "y2"), seen.box, strict=True))
        pixels = {edge: value * (photo.width if edge[0] == "x" else photo.height) for edge, value in box.items()}
        quality = 0.55 + 0.4 * (int(photo.sha256[:2], 16) / 255)
        self.faces[face_id] = {
            "id": face_id,
            "medium": photo.sha256,
            "index": index,
            "person_id": person_id,
            "who": seen.who,
        }
        self.faces[face_id] |= {
            "cluster_id": None,
            "box_px": pixels,
            "box_norm": box,
            "quality": quality,
            "score": 0.98,
        }
        self.faces[face_id] |= {"assigned_by": by, "added_at": NOW.format(30)}
        self.crops[face_id] = crop(data, seen.box)
        return face_id

    def move(self, face_ids: list[str], person_id: str | None) -> Callable[[], None]:
        """Give faces to a person; what is returned takes it back."""
        before = {face_id: self.faces[face_id]["person_id"] for face_id in face_ids if self.face(face_id)}
        for face_id in face_ids:
            self.faces[face_id]["person_id"] = person_id

        def back() -> None:
            for face_id, was in before.items():
                self.faces[face_id]["person_id"] = was
            if person_id and not self.of(person_id):
                self.people.pop(person_id, None)

        return back

    def someone(self, body: dict[str, Any]) -> str:
        """The person that a body names by id or name; a new name makes a new person."""
        if body.get("person_id"):
            return str(self.person(body["person_id"])["id"])
        name = str(body.get("name", "")).strip()
        if not name:
            raise Fault(422, "name: expected a name or a person_id, got neither")
        for person_id, person in self.people.items():
            if person["name"] == name:
                return person_id
        person_id = self.fresh("p")
        self.people[person_id] = {"id": person_id, "name": name, "enrolled_at": NOW.format(1), "attributes": {}}
        return person_id


class Handler(BaseHTTPRequestHandler):
    """Requests to answers; the routes stand in routes.py."""

    world: World
    routes: list[tuple[str, re.Pattern[str], str, Callable[..., Any]]]
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the test says what went wrong."""

    def _answer(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        self.body = self.rfile.read(size)
        url = urlsplit(self.path)
        self.query = dict(parse_qsl(url.query))
        self.seq: int | None = None
        request_id = f"req-{self.world.fresh('')}"
        try:
            status, kind, data = self._routed(url.path)
            headers = {"X-History-Seq": str(self.seq)} if self.seq else {}
        except Fault as fault:
            error = {"code": fault.code, "message": fault.message, "details": fault.details}
            status, kind = fault.status, "application/json"
            data = json.dumps({"error": error, "request_id": request_id}).encode()
            headers = {"Retry-After": str(fault.retry)} if fault.retry else {}
        self.send_response(status)
        headers |= {
            "Content-Type": kind,
            "Content-Length": str(len(data)),
            "X-Request-Id": request_id,
            "Cache-Control": "no-cache",
        }
        if url.path == "/" or url.path.startswith("/page/"):
            headers["Content-Security-Policy"] = POLICY
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _answer

    def _routed(self, path: str) -> tuple[int, str, bytes]:
        if path == "/" or path.startswith("/page/"):
            file = PAGE / (path.removeprefix("/page/") if path != "/" else "index.html")
            if not file.is_file() or PAGE not in file.resolve().parents:
                raise Fault(404, "there is nothing at this path", "NotFound")
            return 200, TYPES[file.suffix], file.read_bytes()
        for rule in self.world.faults:
            if rule[2] > 0 and rule[0].fullmatch(f"{self.command} {path}"):
                rule[2] -= 1
                raise rule[1]
        if self.world.slow_s:
            time.sleep(self.world.slow_s)
        for method, pattern, role, run in self.routes:
            found = pattern.fullmatch(path)
            if found and method == self.command:
                self._allow(role)
                with self.world.lock:
                    told = run(self, *(unquote(part) for part in found.groups()))
                if isinstance(told, bytes):
                    return 200, "image/jpeg", told
                return (201 if method == "POST" else 200), "application/json", json.dumps(told).encode()
        raise Fault(404, "there is nothing at this path", "NotFound")

    def _allow(self, role: str) -> None:
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        self.caller = self.world.keys.get(token, {})
        if role == "none":
            return
        if not self.caller or self.caller["revoked_at"]:
            raise Fault(401, "this key is not known", "Unauthorized")
        if RANK[self.caller["role"]] < RANK[role]:
            raise Fault(403, f"expected a key of the role {role}, got {self.caller['role']}", "Forbidden")

    def json(self) -> dict[str, Any]:
        """The body of a JSON request."""
        return dict(json.loads(self.body or b"{}"))

    def parts(self) -> tuple[dict[str, str], list[tuple[str, bytes]]]:
        """Fields and files of a form."""
        head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
        values, files = {}, []
        for part in email.parser.BytesParser().parsebytes(head + self.body).get_payload():
            data = part.get_payload(decode=True)  # type: ignore[union-attr]
            name = part.get_filename()  # type: ignore[union-attr]
            if name is None:
                values[str(part.get_param("name", header="content-disposition"))] = data.decode()  # type: ignore
            else:
                files.append((name, data))
        return values, files

    def did(self, verb: str, subject: str, summary: str, undo: Callable[[], None] | None = None) -> None:
        """Write it down."""
        self.seq = self.world.note(self.caller["name"], verb, subject, summary, undo)


@contextmanager
def serving(world: World) -> Iterator[str]:
    """Serve a world on a free port of this machine; yields its address."""
    from tests.serve.page.routes import ROUTES

    handler = type("Bound", (Handler,), {"world": world, "routes": ROUTES})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

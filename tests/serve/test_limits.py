"""What is too much: bytes, pixels, parts, depth, speed, attempts, requests at once; and that the server goes on."""

from __future__ import annotations

import base64
import dataclasses
import io
import json
import struct
import threading
import zipfile
import zlib

import pytest

from tests.serve import fake
from vultus.errors import InputError
from vultus.serve.limits import Limits


def code(answer) -> tuple[int, str]:
    document = answer.json()
    assert set(document) == {"error", "request_id"}
    assert set(document["error"]) == {"code", "message", "details"}
    assert document["request_id"] == answer.headers["X-Request-Id"]
    return answer.status_code, document["error"]["code"]


def test_every_limit_is_a_number_with_a_reason() -> None:
    for field in dataclasses.fields(Limits):
        assert f"        {field.name}: " in (Limits.__doc__ or ""), f"{field.name} is not explained"
        with pytest.raises(InputError, match=field.name):
            Limits(**{field.name: 0})


# ---------------------------------------------------------------- bodies
def test_a_body_that_is_too_large_is_refused_before_it_is_read(serve) -> None:
    served = serve({"body_bytes": 100_000, "json_bytes": 1000})
    enroll = served.client("admin")
    assert code(enroll.post("/v1/detect", files={"image": b"x" * 200_000})) == (413, "TooLarge")
    assert code(enroll.post("/v1/keys", json={"name": "x" * 2000, "role": "read"})) == (413, "TooLarge")
    assert code(enroll.request("GET", "/v1/me", content=b"x" * 2000)) == (
        413,
        "TooLarge",
    )

    def endless():
        for _ in range(100):
            yield b"x" * 10_000

    assert code(enroll.post("/v1/detect", content=endless(), headers={"Content-Type": "application/json"})) == (
        413,
        "TooLarge",
    )
    assert served.services.memory.used == 0
    assert enroll.get("/v1/me").status_code == 200


def test_memory_of_all_bodies_together_is_bounded(serve) -> None:
    served = serve({"bodies_bytes": 50_000})
    answer = served.client("admin").post("/v1/detect", files={"image": b"x" * 60_000})
    assert code(answer) == (503, "Busy")
    assert int(answer.headers["Retry-After"]) >= 1
    assert served.services.memory.used == 0


def test_pictures_are_bounded_in_bytes_pixels_and_number(serve) -> None:
    served = serve({"picture_bytes": 20_000, "picture_pixels": 5000, "faces": 3})
    client = served.client("identify")
    assert code(client.post("/v1/detect", files={"image": b"x" * 20_001})) == (413, "TooLarge")
    text = base64.b64encode(b"x" * 30_000).decode()
    assert code(client.post("/v1/detect", json={"image_base64": text})) == (413, "TooLarge")
    assert code(client.post("/v1/detect", files={"image": fake.picture(1, size_hw=(80, 80))})) == (422, "InputError")
    many = fake.picture(1, 2, 3, 4, size_hw=(60, 80))
    assert code(client.post("/v1/detect", files={"image": many})) == (422, "InputError")
    two = [("image", fake.picture(1, size_hw=(60, 80))), ("image", fake.picture(2, size_hw=(60, 80)))]
    assert code(client.post("/v1/detect", files=two)) == (422, "TooMany")
    assert client.post("/v1/detect", files={"image": fake.picture(1, size_hw=(60, 80))}).status_code == 200


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few kilobytes that states, and would unpack to, gigapixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(3_000_000), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def zipped() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("../../etc/passwd.png", bytes(5_000_000))
    return packed.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        bomb(60_000, 60_000),
        bomb(4_000_000, 1),
        zipped(),
        b"",
        b"GIF89a",
        b"\xff\xd8\xff",
        b"<svg onload='x'/>",
        b"%PDF-1.4",
    ],
    ids=["png bomb", "long png bomb", "zip", "empty", "gif", "jpeg", "svg", "pdf"],
)
def test_bombs_and_what_is_no_picture(served, data) -> None:
    client = served.client("identify")
    assert code(client.post("/v1/detect", files={"image": ("../../x.png", data)}))[0] == 422
    assert code(client.post("/v1/detect", json={"image_base64": base64.b64encode(data).decode()}))[0] == 422


# ---------------------------------------------------------------- forms
@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"--b", 400),
        (b"--b\r\nnonsense\r\n\r\nx\r\n--b--\r\n", 400),
        (b'--b\r\nContent-Disposition: form-data; name="image"\r\n\r\nx', 400),
        (b'--b\r\nContent-Disposition: form-data; name="image"\r\n\r\nx\r\n--b--\r\n', 422),
        (b'--b\r\nContent-Disposition: form-data; name="other"\r\n\r\nx\r\n--b--\r\n', 422),
        (b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n", 422),
        (b'--b\r\nContent-Disposition: form-data; name="k"\r\n\r\n\xff\r\n--b--\r\n', 422),
        (b"--b\r\nX: " + b"y" * 5000 + b"\r\n\r\nx\r\n--b--\r\n", 400),
        (b'--b\r\nContent-Disposition: form-data; name="k"\r\n\r\n' + b"x" * 5000 + b"\r\n--b--\r\n", 413),
        (b'--b\r\nContent-Disposition: form-data; name="k"\r\n\r\nx\r\n' * 90 + b"--b--\r\n", 413),
        (b"--b\r\n" + b"A: b\r\n" * 50 + b"\r\nx\r\n--b--\r\n", 400),
    ],
)
def test_odd_forms(served, body, status) -> None:
    client = served.client("identify")
    answer = client.post("/v1/detect", content=body, headers={"Content-Type": "multipart/form-data; boundary=b"})
    assert code(answer)[0] == status


def test_too_many_parts(served) -> None:
    parts = b"".join(b'--b\r\nContent-Disposition: form-data; name="k%d"\r\n\r\nx\r\n' % i for i in range(90))
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    assert code(served.client("identify").post("/v1/detect", content=parts + b"--b--\r\n", headers=headers)) == (
        413,
        "TooLarge",
    )


@pytest.mark.parametrize("kind", ["text/plain", "multipart/form-data", "application/xml", "image/png", ""])
def test_media_types(served, kind) -> None:
    client = served.client("admin")
    status = 400 if kind.startswith("multipart") else 415
    assert code(client.post("/v1/detect", content=b"x", headers={"Content-Type": kind}))[0] == status
    assert code(client.post("/v1/keys", content=b"{}", headers={"Content-Type": kind}))[0] == 415


# ---------------------------------------------------------------- JSON
@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 422),
        (b"{", 400),
        (b"\xff", 400),
        (b"[]", 422),
        (b"null", 422),
        (b'{"name": NaN}', 400),
        (b'{"name": 1e999}', 400),
        (b'{"name": ' + b"9" * 10_000 + b"}", 400),
        (b'{"name": "a", "role": "read", "more": 1}', 422),
        (b'{"name": "\\ud800", "role": "read"}', 422),
        (b'{"name": "a\\u0000", "role": "read"}', 422),
        (b'{"name": "a", "role": "root"}', 422),
        (b"[" * 100_000, 422),
        (b'{"a":' * 100_000, 422),
        (b'"' + b"[" * 1000 + b'"', 422),
    ],
)
def test_odd_json(served, body, status) -> None:
    answer = served.client("admin").post("/v1/keys", content=body, headers={"Content-Type": "application/json"})
    assert code(answer)[0] == status


def test_what_was_sent_is_not_sent_back(served) -> None:
    secret = "a name that nobody should read"
    answer = served.client("admin").post("/v1/keys", json={"name": "x", "role": secret})
    assert answer.status_code == 422
    assert secret not in answer.text


# ---------------------------------------------------------------- speed
def test_a_key_that_asks_too_fast_waits_and_others_do_not(serve) -> None:
    served = serve({"rate_burst": 5, "rate_per_s": 0.01})
    one, other = served.client("read"), served.client("identify")
    statuses = [one.get("/v1/me").status_code for _ in range(7)]
    assert statuses == [200] * 5 + [429] * 2
    answer = one.get("/v1/me")
    assert code(answer) == (429, "TooMany")
    assert int(answer.headers["Retry-After"]) > 10
    assert other.get("/v1/me").status_code == 200


def test_wrong_keys_from_one_address_are_slowed_down_and_right_ones_are_not(serve) -> None:
    served = serve({"refusals_per_minute": 3})
    bad, good = served.client("bad"), served.client("read")
    assert [bad.get("/v1/me").status_code for _ in range(5)] == [401, 401, 401, 429, 429]
    assert good.get("/v1/me").status_code == 200


def test_one_picture_cannot_be_tried_for_ever(serve) -> None:
    served = serve({"attempts_per_hour": 3})
    client, trusted = served.client("identify"), served.client("enroll")

    def attempt(client, shot: int) -> int:
        files = {"a": fake.picture(1), "b": fake.picture(1, shot=shot)}
        return client.post("/v1/compare", files=files).status_code

    assert [attempt(client, shot) for shot in range(1, 6)] == [200, 200, 200, 429, 429]
    assert attempt(trusted, 6) == 200


def test_too_many_requests_at_once(serve) -> None:
    served = serve({"requests": 2})
    served.worker.gate.clear()
    client = served.client("identify")
    answers = []

    def ask() -> None:
        answers.append(client.post("/v1/detect", files={"image": fake.picture(1)}).status_code)

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(1000):
        if served.services.in_flight == 2:
            break
        threading.Event().wait(0.01)
    assert code(served.client("read").get("/v1/me")) == (503, "Busy")
    served.worker.gate.set()
    for thread in threads:
        thread.join(30)
    assert answers == [200, 200]
    assert served.client("read").get("/v1/me").status_code == 200


def test_work_that_takes_too_long(serve) -> None:
    served = serve({"request_s": 0.3})
    served.worker.gate.clear()
    assert code(served.client("identify").post("/v1/detect", files={"image": fake.picture(1)})) == (504, "Timeout")
    served.worker.gate.set()
    assert served.client("identify").post("/v1/detect", files={"image": fake.picture(1)}).status_code == 200


# ---------------------------------------------------------------- hosts and paths
@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example:8040", "", "[::1].x"]
)
def test_other_hosts_get_no_answer(served, host) -> None:
    assert code(served.client("read").get("/v1/me", headers={"Host": host})) == (421, "Host")
    assert served.client().get("/v1/health", headers={"Host": host}).status_code == 421


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1", "127.0.0.1:8040", "[::1]", "[::1]:8040"])
def test_this_host(served, host) -> None:
    assert served.client().get("/v1/health", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/page/../app.py",
        "/page/..%2fapp.py",
        "/page/%2e%2e/app.py",
        "/page//etc/passwd",
        "/page/....//app.py",
        "/page/%00",
        "/v1/../v1",
        "/v1/people/..%2f..%2fetc",
        "/%2e%2e",
        "/page/",
        "/v1/faces/..%2f/crop",
    ],
)
def test_paths_lead_nowhere_else(served, path) -> None:
    answer = served.client("admin").get(path)
    assert answer.status_code in (404, 422)
    assert "import" not in answer.text


def test_no_other_site_may_ask(served) -> None:
    answer = served.client("read").options(
        "/v1/me", headers={"Origin": "https://x.example", "Access-Control-Request-Method": "GET"}
    )
    assert answer.status_code == 405
    answer = served.client("read").get("/v1/me", headers={"Origin": "https://x.example"})
    assert not [name for name in answer.headers if name.startswith("access-control")]
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"


def test_json_of_every_error_is_json(served) -> None:
    for path in ("/nothing", "/v1/nothing", "/v1/me/nothing"):
        answer = served.client().get(path)
        assert code(answer) == (404, "NotFound")
        json.loads(answer.content)

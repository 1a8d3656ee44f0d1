"""The server as a process: it ends in order, survives being killed, and cuts off who dribbles bytes."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.serve import fake
from tests.serve.test_batching import until


def test_it_ends_in_order_and_finishes_what_it_has_begun(start_process) -> None:
    process = start_process("--slow", "0.5")
    with ThreadPoolExecutor(1) as pool, process.client() as client:
        asked = pool.submit(client.post, "/v1/detect", files={"image": fake.picture(1)})
        with process.client() as other:
            until(lambda: "vultus_requests_in_flight 2.0" in other.get("/metrics").text)
        code = process.stop(signal.SIGTERM)
        assert asked.result(30).status_code == 200
    assert code == 0


def test_it_does_not_wait_for_ever(start_process) -> None:
    process = start_process("--slow", "20.0", "--limit", "drain_s=1.0")
    with ThreadPoolExecutor(1) as pool, process.client() as client:
        asked = pool.submit(client.post, "/v1/detect", files={"image": fake.picture(1)})
        with process.client() as other:
            until(lambda: "vultus_requests_in_flight 2.0" in other.get("/metrics").text)
        start = time.monotonic()
        process.process.send_signal(signal.SIGTERM)
        assert asked.exception(15) is not None or asked.result().status_code >= 500
        assert time.monotonic() - start < 15


def test_killed_in_the_middle_and_started_again(start_process) -> None:
    process = start_process("--slow", "20.0")
    with ThreadPoolExecutor(1) as pool, process.client() as client:
        asked = pool.submit(client.post, "/v1/detect", files={"image": fake.picture(1)})
        with process.client() as other:
            until(lambda: "vultus_requests_in_flight 2.0" in other.get("/metrics").text)
        process.stop(signal.SIGKILL)
        assert asked.exception(30) is not None
    again = start_process(folder=process.folder)
    with again.client() as client:
        assert client.post("/v1/detect", files={"image": fake.picture(1)}).status_code == 200
        assert client.get("/v1/me", headers={"Authorization": f"Bearer {process.token}"}).status_code == 200
    assert again.stop(signal.SIGINT) == 0


def dribbled(url: str, data: bytes, seconds: float) -> float:
    """Send a byte every 50 ms until the other end closes; after how many seconds it did."""
    host, port = url.removeprefix("http://").split(":")
    start = time.monotonic()
    with socket.create_connection((host, int(port)), timeout=seconds) as sock:
        sock.settimeout(0.05)
        for i in range(int(seconds / 0.05)):
            try:
                sock.sendall(data[i % len(data) : i % len(data) + 1])
                if not sock.recv(4096):
                    break
            except TimeoutError:
                continue
            except OSError:
                break
    return time.monotonic() - start


HEAD = b"POST /v1/detect HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 90000\r\n"


def test_slowloris(start_process) -> None:
    """Headers that never end and bodies that never come are cut off; meanwhile others are served."""
    process = start_process("--limit", "header_s=1.0", "--limit", "body_s=1.0", "--limit", "connections=200")
    head = HEAD + f"Authorization: Bearer {process.token}\r\n".encode()
    with ThreadPoolExecutor(62) as pool, process.client() as client:
        slow = [
            pool.submit(dribbled, process.url, b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 1000, 20) for _ in range(30)
        ]
        # headers at once, then a body that dribbles
        slow += [pool.submit(whole_head_then_dribble, process.url, head + b"\r\n", 20) for _ in range(30)]
        for _ in range(10):
            assert client.get("/v1/health").status_code == 200
        assert max(future.result(40) for future in slow) < 15
    assert process.stop() == 0


def whole_head_then_dribble(url: str, head: bytes, seconds: float) -> float:
    host, port = url.removeprefix("http://").split(":")
    start = time.monotonic()
    with socket.create_connection((host, int(port)), timeout=seconds) as sock:
        sock.sendall(head)
        sock.settimeout(0.05)
        said = b""
        for _ in range(int(seconds / 0.05)):
            try:
                sock.sendall(b" ")
                more = sock.recv(4096)
                said += more
                if not more:
                    break
            except TimeoutError:
                continue
            except OSError:
                break
    assert not said or b"408" in said.split(b"\r\n")[0]
    return time.monotonic() - start


def test_more_connections_than_allowed_are_closed(start_process) -> None:
    process = start_process("--limit", "connections=5", "--limit", "header_s=5.0")
    host, port = process.url.removeprefix("http://").split(":")
    socks = [socket.create_connection((host, int(port)), timeout=10) for _ in range(5)]
    try:
        late = socket.create_connection((host, int(port)), timeout=10)
        with late, contextlib.suppress(ConnectionResetError):
            assert late.recv(1) == b""
    finally:
        for sock in socks:
            sock.close()
    with process.client() as client:
        until(lambda: answers(client))


def answers(client) -> bool:
    import httpx

    try:
        return client.get("/v1/health").status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\x01\x02\r\n\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"".join(b"X%d: y\r\n" % i for i in range(5000)) + b"\r\n",
        b"POST /v1/detect HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/detect HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
    ids=["noise", "long line", "many headers", "negative length", "two lengths", "tls"],
)
def test_what_is_no_http(served, data) -> None:
    host, port = served.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as sock:
        try:
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
            said = sock.recv(4096)
        except OSError:
            said = b""
    assert not said or said.startswith(b"HTTP/1.1 4")
    assert served.client().get("/v1/health").status_code == 200


def test_logs_are_json_and_name_no_one(start_process) -> None:
    process = start_process()
    with process.client() as client:
        client.get("/v1/keys?limit=3&cursor=secretquery")
        client.post("/v1/keys", json={"name": "Anna Secretname", "role": "read"})
        client.post("/v1/detect", files={"image": ("Anna Secretfile.png", fake.picture(1))})
        client.get("/secretpath")
        client.get("/v1/me", headers={"Authorization": "Bearer vlt_secrettoken"})
    assert process.stop() == 0
    until(lambda: not threading.Event().wait(0.1) and len(process.lines) >= 5)
    rows = [json.loads(line) for line in process.lines]
    assert not re.search("secret|Secret", "".join(process.lines))
    requests = [row for row in rows if row["event"] == "request"]
    assert [row["route"] for row in requests] == ["/v1/keys", "/v1/keys", "/v1/detect", "unmatched", "/v1/me"]
    assert [row["status"] for row in requests] == [404, 201, 200, 404, 401]
    assert set(requests[0]) >= {"at", "request_id", "method", "ms", "bytes_in", "bytes_out", "key_id"}
    assert process.token not in "".join(process.lines)

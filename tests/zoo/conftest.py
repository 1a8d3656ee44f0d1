"""A weight file of our own, a card for it, and a server on the loopback that can misbehave."""

import hashlib
import sys
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from vultus.zoo.cards import Card, Source, cards

sys.path.append(str(Path(__file__).parent))  # zoo_weights is also imported by the processes that tests start
from zoo_weights import tiny_model


@pytest.fixture
def tiny() -> bytes:
    return tiny_model()


@pytest.fixture
def add_card(monkeypatch):
    """Put a card of a given content among the cards for the time of a test."""

    def add(content: bytes, *, card_id="tiny", source=("file", "this test"), **fields) -> Card:
        fields = {"sha256": hashlib.sha256(content).hexdigest(), "size_bytes": len(content), **fields}
        fields = {"method": "Tiny", "kind": "embedder", "file": "tiny_published.onnx", "convert": "insight", **fields}
        made = Card(id=card_id, source=source if isinstance(source, Source) else Source(*source), **fields)
        monkeypatch.setitem(cards(), card_id, made)
        return made

    return add


class Server(ThreadingHTTPServer):
    """Serves `content`; `drop_after` bytes it closes the connection, `drops` times; counts what was asked."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.content, self.drop_after, self.drops = b"", None, 0
        self.with_length, self.with_ranges, self.status = True, True, 200
        self.asked: list[tuple[str, str | None]] = []
        self.address = f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        wanted = self.headers.get("Range")
        server.asked.append((self.path, wanted))
        if server.status != 200:
            self.send_error(server.status)
            return
        start = int(wanted[6:].rstrip("-")) if wanted and server.with_ranges else 0
        if start >= len(server.content) and start:
            self.send_error(416)
            return
        body = server.content[start:]
        self.send_response(206 if start else 200)
        if server.with_length:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if server.drops and server.drop_after is not None:
            server.drops -= 1
            body = body[: server.drop_after]
        with suppress(BrokenPipeError, ConnectionResetError):  # the client has seen too many bytes and hung up
            self.wfile.write(body)
        self.close_connection = True

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    made = Server()
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield made
    made.shutdown()
    made.server_close()
    thread.join()

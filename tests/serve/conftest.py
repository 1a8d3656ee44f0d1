"""Servers on a free port of this machine: in a thread for most tests, in a process of its own for signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import httpx
import pytest

from tests.serve import fake
from vultus.serve.app import App, Options, create_app
from vultus.serve.auth import Keys
from vultus.serve.limits import Limits
from vultus.serve.roles import Role
from vultus.serve.server import listen, server_of
from vultus.serve.services import Services

ROOT = Path(__file__).resolve().parents[2]
GENEROUS = {
    "rate_per_s": 1e6,
    "rate_burst": 1_000_000,
    "refusals_per_minute": 1_000_000,
    "attempts_per_hour": 1_000_000,
}
DEADLINE = 30.0  # seconds in which a server must start or stop


def made(folder: Path, limits: dict[str, Any] | None = None, **options: Any) -> tuple[App, fake.Worker, dict[str, str]]:
    """An application over an empty gallery in that folder, its fake models, and a key of every role."""
    pipe, worker = fake.pipeline()
    keys = Keys(folder / "keys.json")
    tokens = {role: keys.create(f"{role} of the tests", role)[1] for role in get_args(Role)}
    revoked, tokens["revoked"] = keys.create("was an admin", "admin")
    keys.revoke(revoked.id)
    tokens["bad"] = tokens["admin"][:-1] + ("A" if tokens["admin"][-1] != "A" else "B")
    app = create_app(
        folder / "people.db",
        pipe=pipe,
        keys=keys,
        limits=Limits(**{**GENEROUS, **(limits or {})}),
        options=Options(state=folder / "state", **options),
    )
    return app, worker, tokens


@dataclass
class Served:
    """A server in a thread."""

    app: App
    worker: fake.Worker
    tokens: dict[str, str]
    folder: Path
    url: str
    stop: Callable[[], None]
    clients: list[httpx.Client] = field(default_factory=list)

    def client(self, role: str | None = None) -> httpx.Client:
        """A client with a key of that role ("bad" and "revoked" are roles here), or without."""
        headers = {"Authorization": f"Bearer {self.tokens[role]}"} if role else {}
        client = httpx.Client(base_url=self.url, headers=headers, timeout=DEADLINE, trust_env=False, verify=False)
        self.clients.append(client)
        return client

    @property
    def services(self) -> Services:
        found = self.app.state.services
        assert isinstance(found, Services)
        return found


def started(folder: Path, limits: dict[str, Any] | None = None, **options: Any) -> Served:
    """Make a server and start it."""
    app, worker, tokens = made(folder, limits, **options)
    sock, ready = listen("127.0.0.1", 0), threading.Event()
    url = f"http://127.0.0.1:{sock.getsockname()[1]}"
    server = server_of(app, ready.set)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]}, daemon=True)
    thread.start()
    assert ready.wait(DEADLINE)

    def stop() -> None:
        worker.gate.set()
        for client in served.clients:
            client.close()
        server.should_exit = True
        thread.join(DEADLINE)
        assert not thread.is_alive()

    served = Served(app, worker, tokens, folder, url, stop)
    return served


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Served]]:
    """Starts servers with limits and options of the test's own; stops them."""
    running: list[Served] = []

    def start(limits: dict[str, Any] | None = None, **options: Any) -> Served:
        folder = tmp_path / f"server{len(running)}"
        folder.mkdir()
        running.append(started(folder, limits, **options))
        return running[-1]

    yield start
    for served in running:
        served.stop()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One server with generous limits for all tests of a file."""
    found = started(tmp_path_factory.mktemp("served"))
    yield found
    found.stop()


@dataclass
class Process:
    """A server in a process of its own."""

    process: subprocess.Popen[str]
    url: str
    token: str
    keys: Keys
    folder: Path
    lines: list[str]

    def stop(self, sig: int = signal.SIGTERM) -> int:
        """Send a signal; the exit code."""
        self.process.send_signal(sig)
        return self.process.wait(60)

    def client(self) -> httpx.Client:
        """A client with an admin's key."""
        headers = {"Authorization": f"Bearer {self.token}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=DEADLINE, trust_env=False, verify=False)


@pytest.fixture
def start_process(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """Starts `python -m tests.serve.fake` and waits until it answers; kills what is left."""
    running: list[Process] = []

    def start(*words: str, folder: Path | None = None) -> Process:
        running.append(process_of(folder or tmp_path, *words))
        return running[-1]

    yield start
    for found in running:
        end(found)


def process_of(folder: Path, *words: str) -> Process:
    """Start a server in a process of its own."""
    keys = Keys(folder / "keys.json")
    _, token = keys.create("admin of the tests", "admin")
    limits = [word for name, value in GENEROUS.items() for word in ("--limit", f"{name}={value}")]
    command = [sys.executable, "-m", "tests.serve.fake", "--gallery", str(folder / "people.db")]
    command += ["--keys", str(keys.path), *limits, *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=environment
    )
    lines: list[str] = []
    assert process.stdout is not None
    assert process.stderr is not None
    threading.Thread(target=lines.extend, args=(process.stderr,), daemon=True).start()
    url = process.stdout.readline().strip()  # printed when it is ready
    assert url.startswith("http://"), "".join(lines)
    return Process(process, url, token, keys, folder, lines)


def end(found: Process) -> None:
    """Kill what is left of it."""
    if found.process.poll() is None:
        found.process.kill()
    found.process.wait(30)
    for stream in (found.process.stdout, found.process.stderr):
        if stream is not None:
            stream.close()

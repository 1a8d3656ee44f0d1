"""`vultus serve` as an operator starts it, with the default models and a photograph that scikit-image brings."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.serve.conftest import ROOT
from vultus.serve.auth import Keys

START = 120.0  # seconds in which the models must be loaded


@pytest.mark.slow
@pytest.mark.models
def test_serve_identify_and_stop(tmp_path: Path, models_home: Path) -> None:
    skimage = pytest.importorskip("skimage.data")
    photo = Path(skimage.__file__).with_name("astronaut.png")
    command = [sys.executable, "-m", "vultus.cli", "serve", "--gallery", str(tmp_path / "people.db"), "--port", "0"]
    command += ["--keys", str(tmp_path / "keys.json")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "VULTUS_HOME": str(models_home)}
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=log, text=True, cwd=tmp_path, env=environment
        )
    try:
        assert process.stdout is not None
        assert select.select([process.stdout], [], [], START)[0], (tmp_path / "log").read_text()
        said = process.stdout.readline()
        url = re.search(r"http://127.0.0.1:\d+", said)
        assert url, said + (tmp_path / "log").read_text()
        first = tmp_path / "first-key.txt"
        assert first.stat().st_mode & 0o077 == 0
        assert [key.role for key in Keys.open(tmp_path / "keys.json").list()] == ["admin"]
        headers = {"Authorization": f"Bearer {first.read_text().strip()}"}
        with httpx.Client(base_url=url[0], headers=headers, timeout=START, trust_env=False) as client:
            assert client.get("/v1/health").json()["status"] == "ok"
            enrolled = client.post("/v1/people", data={"name": "Eileen"}, files={"images": photo.read_bytes()})
            assert enrolled.status_code == 201, enrolled.text
            (face,) = client.post("/v1/identify", files={"image": photo.read_bytes()}).json()["faces"]
            assert face["decision"]["outcome"] == "accept"
            assert face["words"].startswith("Eileen: ")
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(30)
        if process.stdout is not None:
            process.stdout.close()

"""`vultus claim` as people and programs use it, and a real Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vultus.cli.__main__ import EXIT_CODES, main

ROOT = Path(__file__).parents[2]
PLANTED = Path(__file__).with_name("planted.py")


@pytest.fixture
def vultus(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("VULTUS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PLANTED", str(tmp_path))

    def say(*words: object) -> tuple[int, str, str]:
        code = main(["claim", *map(str, words)])
        return code, *capsys.readouterr()

    return say


def test_the_table_is_for_people(vultus, tmp_path):
    code, out, _ = vultus(f"{PLANTED}:better", f"{PLANTED}:equal", "--scale", "nano", "--out", tmp_path / "o")
    assert code == 0
    rows = {line.split()[0]: line for line in out.splitlines() if line.strip()}
    assert " shown " in rows["better"]
    assert " not-shown " in rows["equal"]
    assert "simulated data: shows the mechanism, not field accuracy" in out
    assert (tmp_path / "o/better.nano/better.nano.json").is_file()


def test_the_document_is_for_programs(vultus):
    code, out, _ = vultus(f"{PLANTED}:better", "--json")
    assert code == 0
    (document,) = json.loads(out)["claims"]
    assert document["status"] == "wired"
    assert document["data"] == "sim"


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ((), "InputError"),
        (("--all", "better"), "InputError"),
        (("no_such_claim",), "UnknownMethod"),
        ((f"{PLANTED}:no_such_claim",), "UnknownMethod"),
        ((f"{PLANTED}:better", "--scale", "nano", "--seeds", "2"), "InputError"),
    ],
)
def test_wrong_words(vultus, words, error):
    code, _, err = vultus(*words)
    assert code == EXIT_CODES[error]
    assert error in err


def test_progress_is_a_line_on_a_terminal(vultus, tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(
        "from vultus.claims import claim\nfrom vultus.errors import Refused\n\n\n@claim(paper=0, minutes=1)\n"
        "def mine(ctx):\n    ctx.progress(3, 7, 'steps')\n    raise Refused('enough')\n"
    )
    code, out, err = vultus(tmp_path / "mine.py")
    assert (code, err) == (0, "")
    assert "refused" in out
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    err = vultus(tmp_path / "mine.py")[2]
    assert "mine: steps 3 of 7" in err
    assert err.endswith("\r\x1b[2K"), "the line is wiped at the end"


def test_all_claims_are_listed(vultus, tmp_path):
    code, out, _ = vultus("--list", "--json")
    assert code == 0
    assert all(entry["summary"] for entry in json.loads(out))
    known = {path.name.split(".")[0] for path in (ROOT / "vultus/claims/results").glob("*.nano.json")}
    assert {entry["name"] for entry in json.loads(out) if entry["status"]} == known, "not the paper's main claim alone"
    assert vultus("--list", "--page", tmp_path / "page.html")[0] == 0
    assert all(name in (tmp_path / "page.html").read_text("utf-8") for name in known)


def test_ctrl_c_and_again_goes_on_from_the_last_finished_step(tmp_path):
    (tmp_path / "hold").touch()
    words = [sys.executable, "-m", "vultus.cli", "claim", f"{PLANTED}:slow", "--json", "--out", str(tmp_path / "o")]
    env = {**os.environ, "PLANTED": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    ran = tmp_path / "ran"
    # A shell that runs the tests in the background hands on that SIGINT is ignored.
    heeds = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.default_int_handler)}
    with subprocess.Popen(
        words, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **heeds
    ) as process:
        try:
            deadline = time.monotonic() + 60
            while not (ran.is_file() and "two" in ran.read_text()):
                assert process.poll() is None, process.communicate()
                assert time.monotonic() < deadline, "the second step never began"
                time.sleep(0.02)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130
    assert json.loads(out)["error"]["code"] == "Interrupted"
    assert "Traceback" not in err
    assert not list((tmp_path / "o").rglob("*.part"))
    (tmp_path / "hold").unlink()
    done = subprocess.run(words, env=env, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    (document,) = json.loads(done.stdout)["claims"]
    assert document["kept_steps"] == 1
    assert ran.read_text().split() == ["one", "two", "two", "three"]

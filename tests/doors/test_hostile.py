"""The command line in clumsy and in hostile hands, without weights: usage, names, disks, galleries, pipes."""

from __future__ import annotations

import io
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from vultus.cli import _draw, _exits, _options, _output, _words, identify
from vultus.cli.__main__ import EXIT_CODES
from vultus.errors import InputError, NoFace, StoreError
from vultus.gallery import open_gallery
from vultus.gallery.stores import _sqlite_open
from vultus.io import images as io_images

SPACE = "toy@000000000000"
NAMES = ["[red]Eve[/red]", ":smile: Zoé", "山田　太郎", "tab\tline\nbell\x07", "\x1b[31mred", "a\u202eb", "می‌خواهم"]


@pytest.fixture
def photo(tmp_path) -> Path:
    path = tmp_path / "gray.png"
    io_images.write(path, np.full((80, 80, 3), 99, np.uint8))
    return path


@pytest.fixture
def gallery_file(tmp_path) -> Path:
    path = tmp_path / "people.db"
    with open_gallery(path) as gallery:
        gallery.enroll("Ada", np.eye(128, dtype=np.float32)[:1], None, None, SPACE)
    return path


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["detect"], "required: PHOTO"),
        (["detect", "x", "--bogus"], "--bogus"),
        (["detect", "x", "--js"], "--js"),
        (["detect", "x", "--threads", "many"], "--threads"),
        (["detect", "x", "--min-score", "high"], "--min-score"),
        (["detect", "x", "--draw", ""], "empty"),
        (["embed", "x", "--out", ""], "empty"),
        (["verify", "a"], "required: b"),
        (["verify", "a", "b", "--fmr", "1/10/2"], "rate"),
        (["verify", "a", "b", "--fmr", "inf"], "rate"),
        (["identify", "a", "--gallery", ""], "empty"),
        (["identify", "a", "-k", "x"], "-k"),
        (["calibrate", "a", "--seed", "-1"], "whole number"),
        (["evaluate"], "lfw|detection"),
        (["evaluate", "detection", "--seed", "1.5"], "whole number"),
        (["models"], "list|pull"),
        (["papers", "--status", "done"], "planned"),
        (["detct", "x"], "did you mean 'detect'"),
    ],
)
def test_wrong_usage_is_one_sentence_and_one_document(vultus, words, expected) -> None:
    plain = vultus(*words)
    assert plain.code == 2
    assert plain.out == ""
    assert expected in plain.err
    assert plain.err.count("\n") == 1
    said = vultus(*words, "--json")
    assert said.code == 2
    assert said.document["error"]["code"] == "Usage"
    assert said.document["error"]["exit_code"] == 2


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["detect", "PHOTO", "--threads", "0"], "InputError"),
        (["detect", "PHOTO", "--threads", "9999999"], "InputError"),
        (["detect", "PHOTO", "--min-score", "2"], "InputError"),
        (["detect", "PHOTO", "--min-score", "nan"], "InputError"),
        (["detect", "PHOTO", "--model", "best"], "UnknownMethod"),
        (["detect", "PHOTO", "--detector", "best"], "UnknownMethod"),
        (["detect", "PHOTO", "--detector", "dlib_resnet29"], "InputError"),
        (["detect", ""], "InputError"),
        (["detect", "EMPTY_FOLDER"], "InputError"),
        (["embed", "PHOTO", "--out", "vectors.txt"], "InputError"),
        (["embed", "PHOTO", "--out", "PHOTO/vectors.npz"], "StoreError"),
        (["detect", "PHOTO", "--draw", "PHOTO"], "StoreError"),
        (["verify", "", "PHOTO"], "InputError"),
        (["enroll", ""], "InputError"),
        (["enroll", "nowhere"], "InputError"),
        (["enroll", "PHOTO"], "InputError"),
        (["enroll", "EMPTY_FOLDER"], "InputError"),
        (["identify", "PHOTO", "-k", "0"], "InputError"),
        (["identify", "PHOTO", "--gallery", "nowhere.db"], "InputError"),
        (["identify", "PHOTO", "--gallery", "sqlite:///nowhere.db"], "InputError"),
        (["identify", "PHOTO", "--gallery", "mysql://host"], "InputError"),
        (["identify", "PHOTO", "--gallery", "EMPTY_FOLDER"], "StoreError"),
        (["calibrate", ""], "InputError"),
        (["calibrate", "nowhere"], "InputError"),
        (["calibrate", "EMPTY_FOLDER"], "InputError"),
        (["evaluate", "detection", "faces"], "InputError"),
        (["evaluate", "lfw", "--pairs", "nowhere", "--images", "EMPTY_FOLDER"], "InputError"),
        (["evaluate", "lfw", "--pairs", "PHOTO", "--images", "EMPTY_FOLDER"], "InputError"),
        (["evaluate", "lfw", "--out", "PHOTO"], "StoreError"),
        (["models", "pull", "best"], "UnknownMethod"),
        (["models", "verify", "centerface"], "MissingWeights"),
        (["models", "prune", "best"], "UnknownMethod"),
        (["models", "import", "nowhere", "--as", "sface"], "InputError"),
        (["models", "import", "EMPTY_FOLDER", "--as", "sface"], "InputError"),
        (["models", "import", "PHOTO", "--as", "sface"], "HashMismatch"),
        (["models", "import", "PHOTO", "--as", "fr_feature", "--license", "commercial"], "Refused"),
    ],
)
def test_bad_input_ends_in_its_class_and_leaves_nothing(
    vultus, tmp_home, photo, tmp_path, monkeypatch, words, error
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VULTUS_OFFLINE", "1")
    (tmp_path / "empty").mkdir()
    before = _files(tmp_path)
    words = [word.replace("PHOTO", str(photo)).replace("EMPTY_FOLDER", "empty") for word in words]
    said = vultus(*words, "--json")
    assert said.document["error"]["code"] == error, said.err
    assert said.code == said.document["error"]["exit_code"] == EXIT_CODES[error]
    assert said.err.startswith(f"vultus: {error}: ")
    assert {name for name in _files(tmp_path) - before if not name.endswith(".lock")} == set()


def test_the_license_option_ends_with_its_run(vultus, tmp_home, photo, monkeypatch) -> None:
    monkeypatch.delenv("VULTUS_LICENSE", raising=False)
    assert vultus("detect", photo, "--embedder", "x", "--license", "commercial", "--threads", "0").code == 3
    assert "VULTUS_LICENSE" not in os.environ


@pytest.mark.parametrize("name", NAMES)
def test_names_are_shown_and_not_obeyed(name) -> None:
    shown = _words.printable(name)
    assert all(c.isprintable() or c in "\u200c\u3000" for c in shown)
    table = _output.table("name")
    table.add(name)
    page = io.StringIO()
    Console(file=page, width=80, force_terminal=True, color_system=None, markup=False, emoji=False).print(table)
    assert shown in page.getvalue()
    for harmless in ("[red]Eve[/red]", ":smile: Zoé", "山田　太郎", "می‌خواهم"):
        assert _words.printable(harmless) == harmless
    assert _words.printable("\udcff") == "\\udcff"


def test_an_error_cannot_carry_control_codes_to_the_terminal(vultus, tmp_path) -> None:
    said = vultus("detect", tmp_path / "\x1b[2Jgone.jpg", "--json")
    assert "\x1b" not in said.err
    assert "\\x1b[2Jgone.jpg" in said.err
    assert "\x1b[2Jgone.jpg" in said.document["error"]["message"]


def test_annotated_copies_never_share_a_place(tmp_path) -> None:
    long = "é" * 120  # 240 bytes: a legal name, until something is added to it
    sources = ["x/a.jpg", "y/a.png", "z/a-2.jpg", "z/A.jpg", f"{long}.jpg", "x/a.jpg"]
    places = _draw.targets(sources, str(tmp_path))
    assert list(places) == list(dict.fromkeys(sources))
    assert len({str(place).casefold() for place in places.values()}) == 5
    for place in places.values():
        place.touch()
    assert _draw.targets(sources, None) == {}


def test_a_folder_that_cannot_be_written_is_found_before_the_work(tmp_path, photo) -> None:
    assert _output.writable(tmp_path / "new/deep") == tmp_path / "new/deep"
    assert not (tmp_path / "new").exists()
    with pytest.raises(StoreError, match="is a file"):
        _output.writable(photo / "deep")
    with pytest.raises(StoreError, match="file is in the way"):
        _output.make_folder(photo)


def test_one_bad_photo_does_not_cost_the_others() -> None:
    error = InputError("b: bad")
    good, bad = _output.kept([("a", 1), ("b", error), ("c", 2)])
    assert (good, bad) == ([1, 2], [("b", error)])
    assert _output.failures(bad) == [{"source": "b", "code": "InputError", "message": "b: bad"}]
    with pytest.raises(InputError, match="b: bad"):
        _output.kept([("b", error), ("c", NoFace("c"))])


def test_partly_failed_work_ends_with_the_code_of_the_first_error(capsys) -> None:
    assert _output.complain([]) == 0
    assert _output.complain([("a", StoreError("a\x1b: no")), ("b", InputError("b"))]) == EXIT_CODES["StoreError"]
    assert capsys.readouterr().err == "vultus: StoreError: a\\x1b: no\nvultus: InputError: b\n"


def test_every_subclass_has_the_code_of_its_class() -> None:
    class Closer(StoreError):
        pass

    assert _exits.exit_code(Closer("x")) == EXIT_CODES["StoreError"]


def test_rates() -> None:
    assert _options.rate("1/1000") == _options.rate("1e-3") == 0.001


def _break(kind: str, file: Path) -> None:
    data = bytearray(file.read_bytes())
    if kind == "text":
        file.write_text("a letter\n" * 200)
    elif kind == "empty":
        file.write_bytes(b"")
    elif kind == "truncated":
        file.write_bytes(data[:5000])
    elif kind == "directory":
        file.unlink()
        file.mkdir()
    else:
        sql = sqlite3.connect(file)
        sql.execute(
            {
                "newer": "PRAGMA user_version = 99",
                "other": "PRAGMA application_id = 0",
                "half": "DROP TABLE people",
                "forged": "UPDATE people SET name = 'Mallory'",
            }[kind]
        )
        sql.commit()
        sql.close()


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("text", "not a gallery"),
        ("truncated", "not a gallery"),
        ("directory", "directory"),
        ("newer", "schema 2, found 99"),
        ("other", "not a vultus gallery"),
        ("half", "damaged"),
        ("forged", "Mallory"),
    ],
)
def test_a_broken_gallery_is_a_store_error(vultus, photo, gallery_file, kind, expected) -> None:
    _break(kind, gallery_file)
    said = vultus("identify", photo, "--gallery", gallery_file, "--json")
    assert said.code == EXIT_CODES["StoreError"]
    assert expected in said.document["error"]["message"]


def test_a_gallery_without_people_is_refused(vultus, photo, gallery_file) -> None:
    _break("empty", gallery_file)
    said = vultus("identify", photo, "--gallery", gallery_file)
    assert said.code == EXIT_CODES["InputError"]
    assert "vultus enroll" in said.err
    with pytest.raises(InputError, match="nothing at"):
        identify._opened(str(gallery_file.with_name("none.db")))


def test_a_locked_gallery_is_a_store_error(gallery_file, monkeypatch) -> None:
    monkeypatch.setattr(_sqlite_open, "BUSY_SECONDS", 0.05)
    other = sqlite3.connect(gallery_file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with open_gallery(gallery_file) as gallery, pytest.raises(StoreError, match="another process"):
        gallery.enroll("Eve", np.eye(128, dtype=np.float32)[1:2], None, None, SPACE)
    other.execute("ROLLBACK")
    other.close()
    with open_gallery(gallery_file) as gallery:
        assert [person.name for person in gallery.people()] == ["Ada"]


def test_a_home_that_is_a_file_is_explained(vultus, photo, monkeypatch) -> None:
    monkeypatch.setenv("VULTUS_HOME", str(photo))
    said = vultus("detect", photo, "--json")
    assert said.code == EXIT_CODES["StoreError"]
    assert "VULTUS_HOME" in said.err
    assert vultus("doctor", "--json").document["problems"]


def test_too_few_people_for_a_rate_is_said_before_the_work(vultus, tmp_home, photo, tmp_path) -> None:
    for person in ("a", "b"):
        (tmp_path / "people" / person).mkdir(parents=True)
        shutil.copy(photo, tmp_path / "people" / person)
    said = vultus("calibrate", tmp_path / "people", "--fmr", "1e-3")
    assert said.code == EXIT_CODES["InputError"]
    assert "30 expected errors" in said.err  # and not that the weights are missing: nothing was loaded


def _shell(command: str, **env: str) -> subprocess.CompletedProcess[str]:
    line = f'set -o pipefail; vultus() {{ {sys.executable} -m vultus.cli "$@"; }}; {command}'
    return subprocess.run(
        ["bash", "-c", line], capture_output=True, text=True, check=False, env={**os.environ, **env}, timeout=60
    )


@pytest.mark.parametrize("verb", ["papers", "papers --json"])
def test_a_reader_that_leaves_is_not_an_error(verb) -> None:
    done = _shell(f"vultus {verb} | head -c 5 > {os.devnull}")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
@pytest.mark.parametrize("verb", ["papers", "papers --json"])
def test_a_full_disk_behind_stdout_is_a_store_error(verb) -> None:
    done = _shell(f"vultus {verb} > /dev/full")
    assert done.returncode == EXIT_CODES["StoreError"]
    assert done.stderr.count("\n") == 1
    assert "No space left" in done.stderr


def test_a_closed_stdout_and_an_ascii_one() -> None:
    done = _shell("vultus papers face >&-; echo $?; vultus detect nö.jpg", PYTHONIOENCODING="ascii")
    assert done.stdout == "0\n"
    assert done.returncode == EXIT_CODES["InputError"]
    assert "Traceback" not in done.stderr


def test_a_defect_gives_programs_their_document_and_people_the_traceback(vultus, monkeypatch, capsys) -> None:
    from vultus.cli import papers

    def broken(args: object) -> int:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr(papers, "run", broken)
    with pytest.raises(ZeroDivisionError):
        vultus("papers", "--json")
    assert '"code": "Defect"' in capsys.readouterr().out


@pytest.mark.parametrize("stop", [KeyboardInterrupt, MemoryError, OSError(28, "No space left on device")])
def test_what_stops_a_run_is_one_document(vultus, monkeypatch, stop) -> None:
    from vultus.cli import papers

    def stopped(args: object) -> int:
        raise stop

    monkeypatch.setattr(papers, "run", stopped)
    said = vultus("papers", "--json")
    assert said.code == (130 if stop is KeyboardInterrupt else EXIT_CODES["StoreError"])
    assert said.document["error"]["exit_code"] == said.code


def test_progress_is_for_terminals_only(capsys) -> None:
    assert list(_output.progress([1, 2], 2, "work")) == [1, 2]
    assert capsys.readouterr().err == ""


def _files(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}

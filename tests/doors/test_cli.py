"""The command line: help, one JSON document, exit codes by error class, and every bad input in words."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.io.corpus import bad_pictures, odd_pictures
from vultus import errors
from vultus.cli.__main__ import EXIT_CODES, VERBS, main
from vultus.io import images as io_images


def run(capsys, *words: str | Path) -> tuple[int, str, str]:
    code = main([str(word) for word in words])
    out = capsys.readouterr()
    return code, out.out, out.err


@pytest.fixture(scope="module")
def photographs(tmp_path_factory) -> Path:
    from examples.demo import shipped_photographs

    folder = tmp_path_factory.mktemp("photographs")
    try:
        shipped_photographs(folder)
    except errors.InputError as error:
        pytest.skip(str(error))
    return folder


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(capsys, verb) -> None:
    code, out, _ = run(capsys, verb, "--help")
    assert code == 0
    assert out.startswith(f"usage: vultus {verb}")


def test_the_help_names_every_verb(capsys) -> None:
    code, out, _ = run(capsys, "--help")
    assert code == 0
    assert all(f"  {verb}" in out for verb in VERBS)


def test_a_misspelt_verb_is_suggested(capsys) -> None:
    code, _, err = run(capsys, "detct")
    assert code == 2
    assert "did you mean 'detect'" in err


def test_every_error_class_has_an_exit_code() -> None:
    classes = {name for name in errors.__all__}
    assert classes == set(EXIT_CODES)
    assert all(code not in (0, 2, 130) for code in EXIT_CODES.values())


def test_papers_lists_all_140(capsys) -> None:
    code, out, _ = run(capsys, "papers", "--json")
    assert code == 0
    assert len(json.loads(out)) == 140


def test_models_list_is_one_document(capsys, tmp_home) -> None:
    code, out, _ = run(capsys, "models", "list", "--json")
    cards = json.loads(out)
    assert code == 0
    assert {"centerface", "dlib_resnet29"} <= {c["id"] for c in cards}
    assert {c["state"] for c in cards} == {"absent"}
    assert {c["commercial"] for c in cards} == {"yes", "no", "unclear"}


def test_offline_without_weights_says_what_to_do(capsys, tmp_home, monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("VULTUS_OFFLINE", "1")
    picture = tmp_path / "gray.png"
    io_images.write(picture, np.full((80, 80, 3), 99, np.uint8))
    code, out, err = run(capsys, "detect", picture, "--json")
    assert code == EXIT_CODES["MissingWeights"]
    assert json.loads(out)["error"]["code"] == "MissingWeights"
    assert "vultus models" in err or "VULTUS_OFFLINE" in err


def test_license_filter_refuses(capsys, models_home) -> None:
    code, _, err = run(capsys, "models", "pull", "accurate", "--license", "commercial")
    assert code == EXIT_CODES["Refused"]
    assert "license" in err


@pytest.mark.parametrize("value", ["0", "1", "-0.1", "x", "1/0", "nan"])
def test_a_rate_is_a_rate(capsys, value) -> None:
    code, _, err = run(capsys, "verify", "a.jpg", "b.jpg", f"--fmr={value}")
    assert code == 2
    assert "rate" in err


@pytest.mark.models
def test_bad_pictures_end_in_an_input_error_with_words(capsys, models_home, tmp_path) -> None:
    for name, path in bad_pictures(tmp_path).items():
        for words in (("detect", path), ("verify", path, path), ("embed", path)):
            code, out, err = run(capsys, *words, "--json")
            assert code == EXIT_CODES["InputError"], (name, words, err)
            assert json.loads(out)["error"]["message"], name
            assert "Traceback" not in err, name


@pytest.mark.models
def test_odd_pictures_are_read(capsys, models_home, tmp_path) -> None:
    for name, path in odd_pictures(tmp_path).items():
        code, out, err = run(capsys, "detect", path, "--json")
        assert code == 0, (name, err)
        assert len(json.loads(out)["photos"]) == 1, name


@pytest.mark.models
def test_no_face(capsys, models_home, tmp_path) -> None:
    blank = tmp_path / "blank.png"
    io_images.write(blank, np.full((200, 200, 3), 127, np.uint8))
    assert run(capsys, "detect", blank)[0] == 0
    assert run(capsys, "verify", blank, blank)[0] == EXIT_CODES["NoFace"]


@pytest.mark.models
def test_the_main_job(capsys, models_home, photographs, tmp_path, monkeypatch) -> None:
    """Enroll, identify with pictures drawn, verify: as a person would, and as a program would."""
    monkeypatch.chdir(tmp_path)
    code, out, _ = run(capsys, "enroll", photographs / "people", "--json")
    assert code == 0
    assert [(p["name"], p["used"]) for p in json.loads(out)["people"]] == [("Barack Obama", 2), ("Eileen Collins", 1)]
    probe, stranger = photographs / "probes/blue-room.jpg", photographs / "probes/a-stranger.jpg"
    code, out, err = run(capsys, "identify", probe, stranger, "--draw", "drawn", "--json")
    assert (code, err) == (0, "")
    document = json.loads(out)
    named, refused = [p["faces"][0]["decision"] for p in document["photos"]]
    assert named["outcome"] == "accept"
    assert named["match"]["name"] == "Barack Obama"
    assert refused["outcome"] == "reject"
    assert refused["fmr"]["value"] == pytest.approx(1e-3)
    for name in document["drawn"]:
        assert io_images.read(name).pixels.shape[:2] in ((2333, 1434), (2204, 970))
    code, out, _ = run(capsys, "identify", probe)
    assert code == 0
    assert "Barack Obama" in out
    code, out, _ = run(capsys, "verify", probe, stranger, "--exit-code", "--draw", "drawn")
    assert code == 1
    assert "reject" in out
    code, out, _ = run(capsys, "embed", probe, "--out", "v.npz", "--json")
    assert code == 0
    with np.load("v.npz") as saved:
        assert saved["vectors"].shape == (1, 128)
        assert str(saved["space"]) == json.loads(out)["space"]


@pytest.mark.models
def test_identify_needs_a_gallery(capsys, models_home, photographs, tmp_path) -> None:
    code, _, err = run(capsys, "identify", photographs / "probes/blue-room.jpg", "--gallery", tmp_path / "none.db")
    assert code == EXIT_CODES["InputError"]
    assert "vultus enroll" in err
    assert not (tmp_path / "none.db").exists()


@pytest.mark.models
def test_a_gallery_of_another_space_is_refused(capsys, models_home, photographs, tmp_path) -> None:
    from vultus.gallery import open_gallery

    with open_gallery(tmp_path / "people.db") as gallery:
        gallery.enroll("A", np.eye(128, dtype=np.float32)[:1], None, None, "other@000000000000")
    code, _, err = run(capsys, "identify", photographs / "probes/blue-room.jpg", "--gallery", tmp_path / "people.db")
    assert code == EXIT_CODES["SpaceMismatch"]
    assert "other@000000000000" in err


def test_a_closed_pipe_is_not_an_error(tmp_path) -> None:
    """`vultus papers | head` ends quietly."""
    command = f"{sys.executable} -m vultus.cli papers --json | head -c 10"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"], capture_output=True, text=True, check=False, env=dict(os.environ)
    )
    assert "Traceback" not in done.stderr


@pytest.mark.models
def test_calibrate_refuses_what_the_photos_cannot_support_and_is_then_used(
    capsys, models_home, data_dir, tmp_path, monkeypatch
) -> None:
    """Eight actors with five crops each: 700 non-mated comparisons carry a rate of 5 %, and none of 1 in 1000."""
    monkeypatch.setenv("VULTUS_HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    (tmp_path / "home/models").symlink_to((models_home / "models").resolve())
    people = tmp_path / "people"
    people.mkdir()
    for actor in sorted(p for p in (data_dir / "bbt_faceapi").iterdir() if p.is_dir() and p.name != "group"):
        (people / actor.name).symlink_to(actor)
    code, _, err = run(capsys, "calibrate", people, "--fmr", "1e-3")
    assert code == EXIT_CODES["InputError"]
    assert "30 expected errors" in err or "30" in err
    assert not (tmp_path / "home/calibration").exists()
    code, out, _ = run(capsys, "calibrate", people, "--fmr", "0.05", "--json")
    fitted = json.loads(out)
    assert code == 0
    assert Path(fitted["file"]).is_file()
    assert fitted["calibration"]["origin"]["tier"] == "user"
    assert fitted["fmr"]["low"] <= 0.05 <= fitted["fmr"]["high"]
    a, b = sorted((people / "amy").iterdir())[:2]
    code, out, _ = run(capsys, "verify", a, b, "--fmr", "0.05", "--json")
    decision = json.loads(out)["decision"]
    assert code == 0
    assert decision["threshold"] == pytest.approx(fitted["threshold"])
    assert decision["calibration"].startswith("user: people")

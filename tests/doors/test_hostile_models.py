"""The command line in clumsy and in hostile hands, with the default weights: folders, interruptions, disks, weights."""

from __future__ import annotations

import errno
import os
import shutil
import unicodedata
from pathlib import Path

import numpy as np
import pytest

from tests.io.corpus import bad_pictures
from vultus.cli.__main__ import EXIT_CODES
from vultus.gallery import calibrate, open_gallery
from vultus.gallery.gallery import Gallery
from vultus.io import images as io_images
from vultus.pipeline import Pipeline

pytestmark = pytest.mark.models


@pytest.fixture(scope="module")
def portrait(tmp_path_factory) -> Path:
    """One face, from scikit-image."""
    data = pytest.importorskip("skimage.data")
    path = tmp_path_factory.mktemp("portrait") / "portrait.png"
    shutil.copyfile(Path(data.__file__).parent / "astronaut.png", path)
    return path


@pytest.fixture
def actors(data_dir) -> list[Path]:
    """A folder of five face crops each."""
    return sorted(p for p in (data_dir / "bbt_faceapi").iterdir() if p.is_dir() and p.name != "group")


@pytest.fixture
def own_home(models_home, tmp_path, monkeypatch) -> Path:
    """A home whose models and calibrations a test may change."""
    home = tmp_path / "home"
    (home / "models").mkdir(parents=True)
    for card in ("centerface", "dlib_resnet29"):
        (home / "models" / card).symlink_to((models_home / "models" / card).resolve())
    monkeypatch.setenv("VULTUS_HOME", str(home))
    return home


def test_a_bad_photo_among_many_is_named_and_the_others_are_done(vultus, models_home, portrait, tmp_path) -> None:
    people = tmp_path / "people/Eileen"
    people.mkdir(parents=True)
    shutil.copy(portrait, people)
    gallery, drawn, out = tmp_path / "g.db", tmp_path / "drawn", tmp_path / "v.npz"
    assert vultus("enroll", tmp_path / "people", "--gallery", gallery).code == 0
    bad = tmp_path / "letter.jpg"
    bad.write_text("a letter")
    for words in (("detect",), ("embed", "--out", out), ("identify", "--gallery", gallery, "--draw", drawn)):
        said = vultus(words[0], bad, portrait, tmp_path / "gone.jpg", *words[1:], "--json")
        assert said.code == EXIT_CODES["InputError"]
        assert [p["source"] for p in said.document["photos"]] == [str(portrait)]
        assert [f["code"] for f in said.document["failed"]] == ["InputError", "InputError"]
        assert said.err.count("vultus: InputError: ") == 2
    assert [p.name for p in drawn.iterdir()] == ["portrait.annotated.jpg"]
    with np.load(out) as saved:
        assert saved["vectors"].shape == (1, 128)


def test_enrolling_a_dirty_folder(vultus, models_home, portrait, actors, tmp_path) -> None:
    """Damaged files, copies, pipes, circles of links, one name in two spellings: each used or refused in words."""
    people = tmp_path / "people"
    bad = bad_pictures(people / "Eileen")  # holds a pipe and a folder too
    shutil.copy(portrait, people / "Eileen/good.png")
    shutil.copy(portrait, people / "Eileen/same.png")
    (people / "Eileen/loop.jpg").symlink_to("loop.jpg")
    (people / "Eileen/endless.png").symlink_to("/dev/zero")
    for form, n in (("NFC", 0), ("NFD", 1)):
        folder = people / unicodedata.normalize(form, "Zoé")
        folder.mkdir(exist_ok=True)
        shutil.copy(sorted(actors[0].iterdir())[n], folder)
    (people / "[red]Eve").symlink_to(actors[1])
    said = vultus("enroll", people, "--gallery", tmp_path / "g.db", "--json")
    assert said.code == 0
    found = {person["name"]: person for person in said.document["people"]}
    assert {name: person["used"] for name, person in found.items()} == {"Eileen": 1, "Zoé": 2, "[red]Eve": 5}
    reasons = {Path(r["photo"]).name: r["reason"] for r in found["Eileen"]["refused"]}
    assert "same file" in reasons["same.png"]
    assert {name for name, path in bad.items() if path.is_file()} - {"missing.jpg"} <= set(reasons)
    assert {"loop.jpg", "endless.png"} <= set(reasons)
    again = vultus("enroll", people, "--gallery", tmp_path / "g.db")
    assert "[red]Eve" in again.out


def test_a_folder_named_in_no_letters_is_refused(vultus, models_home, portrait, tmp_path) -> None:
    folder = os.fsencode(tmp_path) + b"/people/\xff\xfe"
    try:
        os.makedirs(folder)
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    shutil.copy(portrait, folder + b"/a.png")
    said = vultus("enroll", tmp_path / "people", "--gallery", tmp_path / "g.db", "--json")
    assert said.code == EXIT_CODES["InputError"]
    assert "rename" in said.err
    assert not (tmp_path / "g.db").exists()
    said = vultus("detect", os.fsdecode(folder), "--draw", tmp_path / "drawn")
    assert said.code == 0
    assert "\\udcff" in said.out


def test_ctrl_c_between_people_keeps_the_finished_ones(vultus, models_home, actors, tmp_path, monkeypatch) -> None:
    people, file = tmp_path / "people", tmp_path / "g.db"
    people.mkdir()
    for actor in actors[:3]:
        (people / actor.name).symlink_to(actor)
    whole = Gallery.enroll_faces

    def second_is_interrupted(self, name, *args, **options):
        if name == actors[1].name:
            raise KeyboardInterrupt
        return whole(self, name, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Gallery, "enroll_faces", second_is_interrupted)
        said = vultus("enroll", people, "--gallery", file, "--json")
    assert said.code == 130
    assert said.document["error"]["code"] == "Interrupted"
    with open_gallery(file) as gallery:
        assert [p.name for p in gallery.people()] == [actors[0].name]
    said = vultus("enroll", people, "--gallery", file, "--json")
    assert [(p["used"], p["known"]) for p in said.document["people"]] == [(0, 5), (5, 0), (5, 0)]


@pytest.mark.parametrize("verb", ["embed", "identify", "detect"])
def test_ctrl_c_leaves_no_half_written_file(vultus, models_home, portrait, tmp_path, monkeypatch, verb) -> None:
    with open_gallery(tmp_path / "g.db") as gallery:
        Pipeline().enroll("Eileen", portrait, gallery)

    def interrupted(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    options = {"embed": ["--out", "v.npz"], "identify": ["--gallery", "g.db", "--draw", "d"], "detect": ["--draw", "d"]}
    monkeypatch.chdir(tmp_path)
    assert vultus(verb, portrait, *options[verb]).code == 130
    assert [p.name for p in tmp_path.rglob("*") if p.is_file() and not p.name.startswith("g.db")] == []


def test_a_full_disk_leaves_nothing(vultus, own_home, portrait, actors, tmp_path, monkeypatch) -> None:
    people = tmp_path / "people"
    people.mkdir()
    for actor in actors:
        (people / actor.name).symlink_to(actor)

    def full(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    runs = [
        ("detect", portrait, "--draw", tmp_path / "drawn"),
        ("embed", portrait, "--out", tmp_path / "v.npz"),
        ("calibrate", people, "--fmr", "0.05"),
    ]
    for words in runs:
        said = vultus(*words, "--json")
        assert said.code == EXIT_CODES["StoreError"], words
        assert said.document["error"]["message"]
    made = [p for place in (tmp_path / "drawn", own_home / "calibration") for p in place.rglob("*")]
    assert [*made, *tmp_path.glob("*.npz")] == []


def test_changed_weights_are_never_run(vultus, own_home, models_home, portrait) -> None:
    place = own_home / "models/centerface"
    place.unlink()
    shutil.copytree((models_home / "models/centerface").resolve(), place)
    file = place / "centerface.onnx"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    for words in (("detect", portrait), ("models", "verify")):
        said = vultus(*words, "--json")
        assert said.code == EXIT_CODES["HashMismatch"]
        assert "models pull centerface" in said.err
    assert any("centerface" in problem for problem in vultus("doctor", "--json").document["problems"])


def test_without_a_calibration_the_way_to_one_is_shown(vultus, own_home, portrait, tmp_path, monkeypatch) -> None:
    with open_gallery(tmp_path / "g.db") as gallery:
        Pipeline().enroll("Eileen", portrait, gallery)
    monkeypatch.setattr(calibrate, "_PACKAGED", tmp_path / "none")
    for words in (("identify", portrait, "--gallery", tmp_path / "g.db"), ("verify", portrait, portrait)):
        said = vultus(*words, "--json")
        assert said.code == EXIT_CODES["StoreError"]
        assert "vultus calibrate FOLDER" in said.err
        assert "same model options" in said.err


def test_a_damaged_calibration_of_the_user_is_named(vultus, own_home, portrait) -> None:
    file = own_home / "calibration" / f"{Pipeline().space}.json"
    file.parent.mkdir()
    for text in ("", "[", "[]", "{}", '{"format": "vultus-calibration-1"}'):
        file.write_text(text)
        said = vultus("verify", portrait, portrait, "--json")
        assert said.code == EXIT_CODES["StoreError"], text
        assert str(file) in said.err


def test_a_crowd(vultus, models_home, actors, tmp_path) -> None:
    """Forty faces on one picture: each is found, and each gets a decision and a box."""
    crops = [io_images.read(p).pixels for actor in actors for p in sorted(actor.iterdir())[:5]]
    rows = [np.concatenate([crop[:128, :128] for crop in crops[i : i + 8]], axis=1) for i in range(0, 40, 8)]
    crowd = tmp_path / "crowd.png"
    io_images.write(crowd, np.concatenate(rows))
    people = tmp_path / "people"
    people.mkdir()
    for actor in actors:
        (people / actor.name).symlink_to(actor)
    assert vultus("enroll", people, "--gallery", tmp_path / "g.db").code == 0
    said = vultus("identify", crowd, "--gallery", tmp_path / "g.db", "--draw", tmp_path / "drawn", "--json")
    faces = said.document["photos"][0]["faces"]
    assert 36 <= len(faces) <= 44
    assert sum(face["decision"]["outcome"] == "accept" for face in faces) >= 20

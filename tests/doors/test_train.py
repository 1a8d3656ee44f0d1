"""Training on the command line: runs, what they leave, where they are named again, and every bad input in words."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.zoo.test_runs import WEIGHTS, written
from vultus import catalogue
from vultus.cli import _training
from vultus.cli.__main__ import main
from vultus.io import images
from vultus.io.datasets.insight_bin import write_insight_bin
from vultus.io.tensors import unpack
from vultus.pipeline import Pipeline
from vultus.testing.pictures import drawn_crops, drawn_scene
from vultus.types import CropSpec, Detections

ROOT = Path(__file__).parents[2]
PEOPLE = "sim:8x4"
TINY = ("--scale", "tiny")


@pytest.mark.models
def test_a_run_is_taken_where_an_embedder_is_named(vultus, tmp_path):
    run = written(tmp_path / "run")
    photo = tmp_path / "a.png"
    images.write(photo, drawn_scene(np.random.default_rng(0), n=1)[0])
    said = vultus("embed", photo, "--embedder", run, "--min-score", 0.1, "--json")
    assert said.code == 0, said.err
    assert said.document["space"] == f"my.run-1@{WEIGHTS[:12]}"
    assert len(said.document["photos"][0]["faces"][0]["vector"]) == 48
    said = vultus("verify", photo, photo, "--embedder", run / "card.toml", "--min-score", 0.1)
    assert (said.code, said.out) == (11, "")
    assert f"no calibration for my.run-1@{WEIGHTS[:12]}" in said.err
    assert "`vultus calibrate FOLDER`" in said.err


def test_what_is_no_run_is_said_in_words(vultus, tmp_path):
    (tmp_path / "recipe.toml").write_text("")
    photo = tmp_path / "a.png"
    images.write(photo, drawn_scene(np.random.default_rng(0), n=1)[0])
    said = vultus("embed", photo, "--embedder", tmp_path)
    assert said.code == 3
    assert f"run `vultus export {tmp_path}`" in said.err
    said = vultus("verify", photo, photo, "--embedder", "runs/nothing")
    assert (said.code, "there is none at this path" in said.err) == (3, True)


# -- a run -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def simulated(session_home):
    """Pictures are drawn once, in the home of this run of the tests."""
    from vultus.train.sources import training_set

    return training_set(PEOPLE, (32, 32))


@pytest.fixture(scope="module")
def pairs_bin(tmp_path_factory) -> Path:
    """40 pairs of drawn faces; mated ones are one picture twice."""
    path = tmp_path_factory.mktemp("bin") / "drawn.bin"
    faces = [images.encode(crop, ".png") for crop in drawn_crops(np.random.default_rng(0), n=60, size_hw=(32, 32))]
    pictures, same = [], []
    for k in range(40):
        same.append(k % 2 == 0)
        pictures += [faces[k], faces[k] if same[-1] else faces[k + 20]]
    write_insight_bin(path, pictures, same)
    return path


@pytest.fixture(scope="module")
def trained(simulated, pairs_bin, tmp_path_factory) -> Path:
    """A finished run, with what it said on stdout and told on stderr beside it."""
    run = tmp_path_factory.mktemp("runs") / "my first"
    said, told = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(told):
        code = main(["train", "arcface", "--data", PEOPLE, "--out", str(run), *TINY, "--verify", str(pairs_bin)])
    assert code == 0, told.getvalue()
    (run.parent / "said").write_text(said.getvalue())
    (run.parent / "told").write_text(told.getvalue())
    return run


def started(words, **options) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, "-m", *words], cwd=ROOT, env=environment, **pipes, **options)


def test_a_run_says_what_it_does_and_what_comes_next(trained):
    said, told = ((trained.parent / name).read_text() for name in ("said", "told"))
    assert "arcface at scale tiny on sim_fr: 32 pictures of 8 people, sim" in told
    assert re.search(r"step 20 of 20  loss \d+\.\d{4}  lr [\d.e-]+  \d+ pictures/s", told)
    assert "after step 20: sim_fr.eer" in told
    assert re.search(r"sim_fr +eer +0\.\d{4} +0\.\d{4} to \d\.\d{4} +4 +24 mated", said)
    assert re.search(r"drawn +accuracy +\d\.\d{4} .*the set does not say who", said)
    assert said.splitlines()[-1] == f"next: vultus export '{trained}'"


def test_the_folder_of_a_run(trained):
    names = {path.name for path in trained.iterdir()}
    assert {"recipe.toml", "run.json", "log.jsonl", "summary.csv", "verification.json", "model.safetensors"} <= names
    head, *rows = (trained / "summary.csv").read_text().splitlines()
    assert set(head.split(",")) == {"step", "sim_fr.eer", "drawn.accuracy", "drawn.eer"}
    assert rows[-1].startswith("20,")
    told = json.loads((trained / "verification.json").read_text())
    assert told["sim_fr"]["eer"]["value"] == pytest.approx(
        float(dict(zip(head.split(","), rows[-1].split(","), strict=True))["sim_fr.eer"])
    )


def test_an_exported_run_is_the_trained_network(vultus, trained):
    said = vultus("export", trained, "--json")
    assert said.code == 0, said.err
    assert said.document["space"].startswith("my-first@")
    assert said.document["parity"] < 1e-4
    arrays, _ = unpack((trained / "model.safetensors").read_bytes())
    net = catalogue.load("iresnet.10", dim=16, widths=(4, 4, 8, 8), input_hw=(32, 32))
    mine = {
        name.removeprefix("backbone."): torch.from_numpy(a.copy()) for name, a in arrays.items() if "backbone" in name
    }
    net.load_state_dict(mine)
    crops = drawn_crops(np.random.default_rng(1), n=3, size_hw=(32, 32))
    with torch.no_grad():
        want = net.eval()(torch.from_numpy(crops).permute(0, 3, 1, 2) / 127.5 - 1).unit.numpy()
    embedder = catalogue.load(trained)
    np.testing.assert_allclose(embedder.embed(crops).vec, want, atol=1e-5)
    assert embedder.space == said.document["space"]
    text = (trained / "card.toml").read_text()
    assert 'training_data = "sim_fr: 32 pictures of 8 people, sim"' in text
    assert 'commercial = "yes"' in text
    named = vultus("export", trained, "--name", "other", "--json")
    assert named.document["space"] == said.document["space"].replace("my-first", "other")


def test_a_run_that_is_there_is_not_written_over(vultus, trained):
    before = {path: path.stat().st_mtime_ns for path in trained.rglob("*")}
    said = vultus("train", "arcface", "--data", PEOPLE, "--out", trained, *TINY)
    assert said.code == 3
    assert "expected a new folder for the run, got a run: go on with --resume" in said.err
    assert before == {path: path.stat().st_mtime_ns for path in trained.rglob("*")}


def test_ctrl_c_says_how_to_go_on(vultus, simulated, tmp_path):
    run = tmp_path / "run"
    steps = ("--set", "schedule.steps=150", "--set", "schedule.log_every=5")
    # A shell that runs the tests in the background hands on that SIGINT is ignored.
    heeds = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.default_int_handler)}
    going = started(["vultus", "train", "arcface", "--data", PEOPLE, *TINY, *steps, "--out", str(run)], **heeds)
    try:
        for line in going.stderr:
            if line.startswith("step 5 "):
                break
        going.send_signal(signal.SIGINT)
        _, told = going.communicate(timeout=120)
    finally:
        going.kill()
        going.wait()
    assert going.returncode == 130, told
    found = re.search(r"stopped and saved after step (\d+).*go on with `vultus (train --resume --out \S+)`", told)
    assert found, told
    assert 5 <= int(found[1]) < 150
    said = vultus(*found[2].split(), "--json")
    assert said.code == 0, said.err
    assert said.document["steps"] == 150
    assert [row["step"] for row in said.document["evals"]] == [150]
    assert said.document["results"]["sim_fr"]["eer"]["n"] == 4


def test_what_was_killed_before_its_first_checkpoint_starts_again(vultus, simulated, trained, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    for name in ("recipe.toml", "run.json"):
        (run / name).write_bytes((trained / name).read_bytes())
    said = vultus("train", "--resume", "--out", run, "--json")
    assert said.code == 0, said.err
    whole = json.loads((trained / "verification.json").read_text())
    assert said.document["results"] == whole  # also with the .bin file, which the run knew


def test_two_processes_of_torchrun_are_one_run(vultus, simulated, tmp_path):
    run = tmp_path / "run"
    words = ["train", "arcface", "--data", PEOPLE, "--out", str(run), *TINY, "--set", "data.batch=4", "--json"]
    both = started(["torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "vultus", *words])
    try:
        out, told = both.communicate(timeout=240)
    finally:
        both.kill()
        both.wait()
    assert both.returncode == 0, told
    document = json.loads(out)  # one document, from the first process
    assert document["steps"] == 20
    assert document["loss"]["last"] < document["loss"]["first"]
    shards = {path.name for path in (run / "checkpoint").rglob("rank*.safetensors")}
    assert shards == {"rank0.safetensors", "rank1.safetensors"}
    assert vultus("export", run).code == 0


def test_a_folder_of_people_is_trained_on_and_measured_on(vultus, tmp_path):
    rng = np.random.default_rng(0)
    for who in range(4):
        (tmp_path / "people" / f"p{who}").mkdir(parents=True)
        for k, crop in enumerate(drawn_crops(rng, n=3, size_hw=(40, 40))):
            images.write(tmp_path / "people" / f"p{who}" / f"{k}.png", crop)
    (tmp_path / "people/p0/broken.png").write_bytes(b"no picture")
    data = ("--data", tmp_path / "people", *TINY, "--set", "schedule.steps=8", "--set", "data.batch=4")
    said = vultus("train", "arcface", *data, "--out", tmp_path / "a")
    assert (said.code, "nobody is held out" in said.out) == (0, True), said.err
    assert re.search(r"replaced by another picture: .*broken\.png", said.err)
    said = vultus("train", "arcface", *data, "--out", tmp_path / "b", "--verify", tmp_path / "people", "--json")
    assert said.document["results"]["people"]["eer"]["note"].startswith("12 mated and 54 non-mated pairs")
    assert "people: 4 of its 4 people are trained on too (p0, p1, p2, p3): its figures are not" in said.err
    assert (said.document["tier"], said.document["n_faults"]) == ("real", 1)


# -- crops -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    """Drawn faces of two people, two photos called alike, one without a face and one that is none."""
    folder = tmp_path_factory.mktemp("photos")
    for k, name in enumerate(("Ann/1.png", "Ann/1.jpg", "Bo/1.png", "Bo/deep/2.png")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        images.write(folder / name, drawn_scene(np.random.default_rng(k), n=1)[0])
    images.write(folder / "Bo/empty.png", np.full((120, 160, 3), 90, np.uint8))
    (folder / "Ann/none.jpg").write_bytes(b"no picture")
    return folder


@pytest.mark.models
def test_photos_become_the_crops_that_training_wants(vultus, photos, tmp_path):
    crops = tmp_path / "crops"
    words = ("align", photos, "--out", crops, "--size", 64, "--min-score", 0.1)
    said = vultus(*words, "--json")
    assert said.code == 3  # of the file that is no picture, which is named; the others are there
    assert [Path(one["source"]).name for one in said.document["failed"]] == ["none.jpg", "empty.png"]
    assert (said.document["crops"], said.document["known"], said.document["people"]) == (4, 0, 2)
    made = sorted(path.relative_to(crops).as_posix() for path in crops.rglob("*.*"))
    assert made == ["Ann/1-2.png", "Ann/1.png", "Bo/1.png", "Bo/2.png"]
    pixels = images.read(photos / "Bo/1.png").pixels
    points = Pipeline(min_score=0.1).detect(photos / "Bo/1.png").points
    crop = catalogue.load("similarity5").align(pixels, points, CropSpec("arcface112", (64, 64)))[0][0]
    np.testing.assert_array_equal(images.read(crops / "Bo/1.png").pixels, crop)
    before = (crops / "Bo/1.png").stat().st_mtime_ns
    again = vultus(*words)
    assert "0 crops of 2 people, 4 were there already, 2 photos gave none" in again.out
    assert (crops / "Bo/1.png").stat().st_mtime_ns == before
    data = ("--data", crops, *TINY, "--set", "schedule.steps=2", "--set", "data.batch=4", "--out", tmp_path / "run")
    assert vultus("train", "arcface", *data).code == 0


@pytest.fixture(scope="module")
def two_faces(tmp_path_factory) -> Path:
    """A large face at the side and a small one near the middle."""
    canvas = np.full((240, 480, 3), 80, np.uint8)
    canvas[:, :240] = drawn_scene(np.random.default_rng(0), n=1, size_hw=(240, 240))[0]
    canvas[60:180, 250:370] = drawn_scene(np.random.default_rng(1), n=1, size_hw=(120, 120))[0]
    folder = tmp_path_factory.mktemp("two")
    (folder / "Ann").mkdir()
    images.write(folder / "Ann/1.png", canvas)
    return folder


@pytest.mark.models
@pytest.mark.parametrize("turn", [1, -1])
@pytest.mark.parametrize(("which", "left_half"), [("largest", True), ("central", False)])
def test_which_face_of_a_photo_is_the_persons(vultus, two_faces, tmp_path, monkeypatch, which, left_half, turn):
    real = Pipeline.detect

    def detect(self, picture):  # the detector's order, which is that of its scores, does not decide
        (found,) = real(self, [picture])
        return Detections(found.boxes[::turn], found.scores[::turn], found.points[::turn])

    monkeypatch.setattr(Pipeline, "detect", detect)
    said = vultus("align", two_faces, "--out", tmp_path / "crops", "--which", which, "--min-score", 0.1)
    assert said.code == 0, said.err
    pixels = images.read(two_faces / "Ann/1.png").pixels
    (found,) = real(Pipeline(min_score=0.1), [two_faces / "Ann/1.png"])
    mine = np.flatnonzero((found.boxes[:, 2] < 245) == left_half)
    assert len(mine) == 1
    crop = catalogue.load("similarity5").align(pixels, found.points[mine], CropSpec("arcface112", (112, 112)))[0][0]
    np.testing.assert_array_equal(images.read(tmp_path / "crops/Ann/1.png").pixels, crop)


@pytest.mark.models
def test_the_refiner_moves_the_points_before_the_cut(vultus, two_faces, tmp_path, monkeypatch):
    class Shift:
        def refine(self, image, points):
            return points + np.float32([10, 0])

    real = catalogue.load
    monkeypatch.setattr(catalogue, "load", lambda name, **more: Shift() if name == "facemesh" else real(name, **more))
    said = vultus("align", two_faces, "--out", tmp_path / "a", "--min-score", 0.1, "--refiner", "facemesh")
    assert said.code == 0, said.err
    found = Pipeline(min_score=0.1).detect(two_faces / "Ann/1.png")
    points = found.points[found.boxes[:, 2] < 245] + np.float32([10, 0])
    pixels = images.read(two_faces / "Ann/1.png").pixels
    crop = real("similarity5").align(pixels, points, CropSpec("arcface112", (112, 112)))[0][0]
    np.testing.assert_array_equal(images.read(tmp_path / "a/Ann/1.png").pixels, crop)


def test_what_cannot_be_aligned_is_said_in_words(vultus, photos, tmp_path):
    for words, said in (
        ((photos, "--out", tmp_path / "x", "--size", 8), "--size: expected a side from 32 to 512"),
        ((photos, "--out", photos / "crops"), "expected a folder outside"),
        ((tmp_path / "nothing", "--out", tmp_path / "x"), "expected a folder with one folder of photos per person"),
    ):
        found = vultus("align", *words)
        assert (found.code, said in found.err) == (3, True), found.err


# -- what is wrong, in words -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("arcfase", "--data", "sim", "--out", "x"), 6, "unknown recipe 'arcfase'; near names: arcface"),
        (("nothing.toml", "--data", "sim", "--out", "x"), 3, "nothing.toml"),
        (("arcface", "--data", "peple", "--out", "x"), 3, "there is nothing at 'peple'; near names: people"),
        (("arcface", "--data", "sim:3", "--out", "x"), 3, "expected sim:PEOPLExPICTURES"),
        (("arcface", "--data", "people", "--out", "x"), 3, "found"),
        (("arcface", "--data", "sim"), 3, "--out: expected the folder of the run"),
        (("arcface", "--out", "x"), 3, "--data: expected one, got none, as in `vultus train arcface --data sim"),
        (("--out", "x", "--data", "sim"), 3, "RECIPE: expected one"),
        (("arcface", "--data", "sim", "--out", "file"), 11, "is a file"),
        (("arcface", "--data", "sim", "--out", "x", "--set", "optimizer.lrr=1"), 3, "'lr'"),
        (("arcface", "--data", "sim", "--out", "x", "--set", "lr"), 2, "expected KEY=VALUE"),
        (("arcface", "--data", PEOPLE, "--out", "x", "--verify", "gone.bin", *TINY), 3, "--verify: expected"),
        (("arcface", "--data", PEOPLE, "--out", "x", "--verify", "file.bin", *TINY), 3, "file.bin"),
        (("arcface", "--data", PEOPLE, "--out", "x", "--device", "cuda:99", *TINY), 3, "cuda:99"),
        (("arcface", "--data", "sim", "--out", "x", "--threads", "0"), 3, "threads: expected a whole number from 1"),
        (("--resume", "--out", "x"), 3, "expected the folder of a run"),
        (("--resume", "--out", "people"), 3, "expected the folder of a run"),
        (("arcface", "--resume", "--data", PEOPLE, "--out", "x", *TINY), 3, "expected the folder of a run"),
    ],
)
def test_what_is_wrong_is_said_in_words(vultus, simulated, tmp_path, monkeypatch, words, code, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "people").mkdir()
    (tmp_path / "file").write_text("")
    (tmp_path / "file.bin").write_text("no pickle")
    found = vultus("train", *words)
    assert (found.code, said in found.err) == (code, True), found.err
    assert "Traceback" not in found.err
    assert not (tmp_path / "x").exists() or not any((tmp_path / "x").iterdir())


def test_a_recipe_can_be_looked_up(vultus):
    listed = vultus("train", "--list", "--json").document
    assert {"arcface", "triplet"} <= {row["recipe"] for row in listed}
    assert all(row["purpose"] for row in listed)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda run: (run / "model.safetensors").unlink(), "expected a finished run"),
        (lambda run: (run / "model.safetensors").write_bytes(b"no tensors"), "safetensors"),
        (lambda run: (run / "run.json").write_text("{}"), "could not read it"),
        (lambda run: (run / "recipe.toml").unlink(), "expected the folder of a run"),
        (lambda run: widened(run / "recipe.toml"), "differs"),
    ],
)
def test_what_is_no_finished_run_is_not_exported(vultus, trained, tmp_path, spoil, said):
    run = tmp_path / "run"
    run.mkdir()
    for name in ("recipe.toml", "run.json", "model.safetensors"):
        (run / name).write_bytes((trained / name).read_bytes())
    spoil(run)
    found = vultus("export", run)
    assert (found.code in (3, 11), said in found.err) == (True, True), found.err
    assert not (run / "card.toml").exists()


def widened(recipe: Path) -> None:
    text = recipe.read_text()
    assert "[4, 4, 8, 8]" in text
    recipe.write_text(text.replace("[4, 4, 8, 8]", "[4, 4, 8, 16]"))


def test_a_terminal_gets_a_table(monkeypatch):
    """The same numbers as the lines: mean loss, rate, pictures a second by the clock, time to go."""
    clock = iter(range(1000))
    monkeypatch.setattr(time, "monotonic", lambda: float(next(clock)))
    watch = _training.Watch(steps=100, pictures=64, every=10)
    run = type("Run", (), {"rows": [], "evals": [{"step": 5, "a.eer": 0.25}]})
    run.rows = [{"loss": 2.0, "lr": 0.1, "norm": 3.0}, {"loss": 4.0, "lr": 0.1, "norm": 3.0}]
    watch._began = (0, 0.0)
    next(clock)
    line = watch._line(10, run)  # nine steps since the first, at one look at the clock a second
    assert line.startswith("step 10 of 100  loss 3.0000  lr 0.1  ")
    speed = float(re.search(r"(\d+) pictures/s", line)[1])
    assert speed == pytest.approx(9 * 64 / 1, rel=0.5)
    drawn, *evaluations = watch._table(10, run).renderables
    cells = [cell for column in drawn.columns for cell in column.cells]
    assert {"10 of 100", "3.0000", "3"} <= set(cells)
    assert [text.plain for text in evaluations] == ["after step 5: a.eer 0.2500"]
    watch._began = None  # before the second step nothing is known of the pace
    assert watch._line(1, run) == "step 1 of 100  loss 3.0000  lr 0.1"
    assert _training._clock(3671) == "1:01:11"

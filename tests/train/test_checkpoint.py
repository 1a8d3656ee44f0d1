"""A run that was cut off goes on as if it had not been, to the bit, whatever ended it; others are refused in words."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.train.drawn import Drawn, recognizer
from tests.train.one_run import KINDS, STEPS, STOP, Noisy, settings_of, train
from vultus.errors import InputError, StoreError, WeightsError
from vultus.io.tensors import unpack
from vultus.train.checkpoint import found
from vultus.train.loops.supervised import Settings, fit


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Kind -> the folder and the history of a run in one go, made once."""
    made = {}

    def of(kind):
        if kind not in made:
            folder = tmp_path_factory.mktemp(f"whole-{kind}")
            made[kind] = folder, train(folder, kind)
        return made[kind]

    return of


def tensors(path: Path):
    return unpack(path.read_bytes())[0]


def lines(folder: Path):
    rows = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


def assert_same(one: Path, other: Path) -> None:
    last = f"checkpoint/{STEPS:08d}"
    for name in (f"{last}/run.safetensors", f"{last}/rank0.safetensors", "model.safetensors"):
        left, right = tensors(one / name), tensors(other / name)
        assert set(left) == set(right)
        for key in set(left) - {"rows/seconds"}:
            assert left[key].tobytes() == right[key].tobytes(), key
    assert len(lines(one)) == STEPS
    assert lines(one) == lines(other)
    assert (one / "summary.csv").read_text() == (other / "summary.csv").read_text()
    assert sorted(path.name for path in (other / "checkpoint").iterdir()) == ["00000009", "00000012"]


@pytest.mark.parametrize(("kind", "stop"), [*((kind, STOP) for kind in KINDS), ("sgd", 1), ("adamw", 6), ("sgd", 8)])
def test_a_run_that_was_told_to_stop_goes_on_to_the_bit(kind, stop, whole, tmp_path):
    before = np.random.get_state(legacy=False)["state"]["key"].copy()  # noqa: NPY002
    handler = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt, match=f"saved after step {stop}: resume the run in"):
        train(tmp_path / "run", kind, Noisy(stop))
    assert signal.getsignal(signal.SIGTERM) is handler
    history = train(tmp_path / "run", kind, resume=True)
    folder, once = whole(kind)
    assert_same(folder, tmp_path / "run")
    assert set(history.parts) == set(once.parts)
    for name, column in once.parts.items():
        np.testing.assert_array_equal(column, history.parts[name])
    np.testing.assert_array_equal(once.loss, history.loss)
    assert once.evals == history.evals
    assert [row["step"] for row in once.evals] == [3, 6, 9, 12]
    np.testing.assert_array_equal(before, np.random.get_state(legacy=False)["state"]["key"])  # noqa: NPY002


def test_a_run_that_was_killed_goes_on_to_the_bit(whole, tmp_path):
    out = tmp_path / "run"
    root = Path(__file__).resolve().parents[2]
    env = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    words = [sys.executable, "-m", "tests.train.one_run", str(out), "adamw"]
    with subprocess.Popen(words, cwd=root, env=env, stderr=subprocess.PIPE, text=True) as child:
        end = time.monotonic() + 150
        while not (out / "waiting").exists() and child.poll() is None and time.monotonic() < end:
            time.sleep(0.05)
        child.kill()
        _, said = child.communicate()
    assert (out / "waiting").exists(), said
    (out / "checkpoint/.00000008.part").mkdir()  # as if it had been killed while it wrote
    assert len(lines(out)) == 7  # the step it was in is in no log yet
    train(out, "adamw", resume=True)
    (out / "checkpoint/.00000008.part").rmdir()
    assert_same(whole("adamw")[0], out)


def test_a_run_that_is_done_is_done(whole, tmp_path):
    folder, once = whole("sgd")
    trainable = recognizer(**KINDS["sgd"][0])
    before = (folder / "model.safetensors").read_bytes()
    history = fit(trainable, Drawn(), settings_of("sgd"), out=folder, hooks=[Noisy()], resume=True)
    np.testing.assert_array_equal(history.loss, once.loss)
    assert (folder / "model.safetensors").read_bytes() == before
    kept = tensors(folder / "model.safetensors")
    for name, value in trainable.state().items():  # it holds the means
        np.testing.assert_array_equal(value.numpy(), kept[name])
    with pytest.raises(InputError, match="got one that holds a run: resume it"):
        train(folder, "sgd")


def test_a_checkpoint_of_another_run_is_refused_by_the_first_difference(whole):
    folder, _ = whole("sgd")
    with pytest.raises(InputError, match=r"settings, lr: expected 0.3, the checkpoint has 0.2: go on with that"):
        train(folder, "sgd", resume=True, lr=0.3)
    with pytest.raises(InputError, match=r"hooks, with a state: expected \[\], the checkpoint has \['hook 0 Noisy'\]"):
        fit(recognizer("adaface"), Drawn(), settings_of("sgd"), out=folder, resume=True)
    other = recognizer("adaface", sample_rate=0.5)
    with pytest.raises(InputError, match=r"about, centers: expected 6, sample_rate=0.5.*has 6, sample_rate=1.0"):
        fit(other, Drawn(), settings_of("sgd"), out=folder, hooks=[Noisy()], resume=True)
    other = recognizer("adaface")
    other.backbone.conv1 = other.backbone.layer1[0].conv1
    with pytest.raises(
        InputError, match=r"network, backbone.conv1.weight: expected \[4, 4, 3, 3\], the checkpoint has"
    ):
        fit(other, Drawn(), settings_of("sgd"), out=folder, hooks=[Noisy()], resume=True)


def test_a_damaged_checkpoint_is_passed_over_and_two_are_refused(whole, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "run", "sgd", Noisy(STOP))
    newest = tmp_path / "run/checkpoint/00000007/run.safetensors"
    data = bytearray(newest.read_bytes())
    data[-9] ^= 1
    newest.write_bytes(data)
    with pytest.warns(UserWarning, match=r"run.safetensors: its size or sha256.*going on from step 6"):
        train(tmp_path / "run", "sgd", resume=True)
    assert_same(whole("sgd")[0], tmp_path / "run")
    for path in (tmp_path / "run/checkpoint").glob("*/state.json"):
        path.write_text("[]")
    with pytest.raises(StoreError, match="all are damaged"):
        train(tmp_path / "run", "sgd", resume=True)


def test_a_full_disk_loses_nothing(whole, tmp_path):
    class Full:
        """Lets no file grow beyond what is already written, from a step on."""

        def on_step(self, step, run):
            if step == 5:
                soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
                self.before = soft
                resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))

    full = Full()
    try:
        with pytest.raises(StoreError, match="cannot be written"):
            fit(recognizer("adaface"), Drawn(), settings_of("sgd"), out=tmp_path, hooks=[Noisy(), full])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (full.before, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    assert [path.name for path in (tmp_path / "checkpoint").iterdir()] == ["00000003"]
    train(tmp_path, "sgd", resume=True)
    assert_same(whole("sgd")[0], tmp_path)


def test_numbers_that_are_none_leave_the_last_checkpoint(tmp_path):
    settings = Settings(steps=6, lr=0.1, save_every=2)
    with pytest.raises(WeightsError, match=r"step 4: .*'image'.*pictures 35 of.*00000004 is as it was"):
        fit(recognizer(), Drawn(broken=4), settings, out=tmp_path)
    fit(recognizer(), Drawn(), settings, out=tmp_path, resume=True)


def test_nothing_to_resume():
    with pytest.raises(InputError, match="there is none at"):
        train(Path("no such folder"), "sgd", resume=True)
    with pytest.raises(InputError, match="got None"):
        train(None, "sgd", resume=True)


def test_only_folders_with_the_name_of_a_step_are_checkpoints(tmp_path):
    for name in ("7", "\u00b2", "\u0663" * 8, "0000001x", ".00000003.part"):
        (tmp_path / "checkpoint" / name).mkdir(parents=True)
    assert found(tmp_path) == ({}, None)

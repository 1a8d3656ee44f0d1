"""A whole run by one call: hooks of the recipe are in it, checkpoints are made, the plan is told before it begins."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from vultus.errors import InputError
from vultus.train import launch
from vultus.train.launch import Job, train

PEOPLE = "sim:8x4"


@pytest.fixture
def job(session_home, tmp_path):
    return Job("arcface", PEOPLE, tmp_path / "run", "tiny", {"schedule.steps": "6"})


def test_checkpoints_are_made_where_the_recipe_names_none(job, monkeypatch):
    monkeypatch.setattr(launch, "_SAVE", 2)
    told = []
    done = train(job, begin=lambda plan: told.append(plan) or ())
    assert [plan.settings.save_every for plan in told] == [2]
    assert sorted(path.name for path in (job.out / "checkpoint").iterdir()) == ["00000004", "00000006"]  # the last two
    assert (told[0].recipe, told[0].scale, told[0].pictures, told[0].parameters) == ("arcface", "tiny", 8, 3624)
    assert done.results["sim_fr"]["eer"].value == done.history.evals[-1]["sim_fr.eer"]


def test_hooks_of_the_recipe_take_part(job):
    steps = []

    class Count:
        def on_step(self, step, run):
            steps.append(step)

    named = Job("symface", PEOPLE, job.out, "tiny", {"schedule.steps": "2", "schedule.log_every": "1"})
    train(named, begin=lambda plan: (Count(),))
    assert steps == [1, 2]
    rows = [json.loads(line) for line in (job.out / "log.jsonl").read_text().splitlines()]
    assert all(any("sym" in name for name in row) for row in rows), rows[0]


def test_a_run_goes_on_with_its_own_recipe_and_data_only(job):
    train(job)
    again = replace(job, resume=True)
    with pytest.raises(InputError, match=r"data: expected Batching.*batch=8.*got Batching.*batch=4"):
        train(replace(again, set={**job.set, "data.batch": "4"}))
    with pytest.raises(InputError, match=r"data: expected sim_fr: 32 pictures of 8 people.*got sim_fr: 40 pictures"):
        train(replace(again, data="sim:8x5"))
    train(replace(again, set={**job.set, "data.workers": "2"}))


@pytest.mark.parametrize("others", [False, True])
def test_what_refuses_its_first_batch_leaves_no_run(job, others):
    class Refuses:
        def on_batch(self, batch, step, trainable):
            if step == self.at:
                raise InputError("not this one")
            return batch

    hook = Refuses()
    hook.at = 0

    def begin(plan):
        if others:
            (job.out / "notes").touch()
        return (hook,)

    with pytest.raises(InputError, match="not this one"):
        train(job, begin=begin)
    assert sorted(path.name for path in job.out.parent.rglob("*")) == (["notes", "run"] if others else [])
    if others:
        (job.out / "notes").unlink()
    hook.at, others = 1, False
    with pytest.raises(InputError, match="not this one"):
        train(job, begin=begin)
    assert (job.out / launch.RUN).is_file()  # a step was taken: the run can go on
    train(replace(job, resume=True))


def test_a_folder_of_a_run_that_was_killed_before_it_began_is_taken(job, monkeypatch):
    def killed(path, document):
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(launch, "_keep", killed)
        with pytest.raises(SystemExit):
            train(job)
    assert [path.name for path in job.out.iterdir()] == ["recipe.toml"]
    train(job)
    with pytest.raises(InputError, match="got a run: go on with --resume"):
        train(job)

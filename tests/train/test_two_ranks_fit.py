"""Two processes that train together: what one process makes of both halves, in steps, checkpoints, stops and errors."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tests.train.pair_of_ranks import ran
from tests.train.two_ranks_fit import KINDS, SETTINGS, STEPS, Half, Stop, numbers, recognizer, train
from vultus.train.loops.supervised import Settings, fit


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    """What two processes found that train over gloo, what they said, and their folder."""
    folder = tmp_path_factory.mktemp("ranks")
    found = ran("tests.train.two_ranks_fit", folder, timeout=300)
    said = [json.loads((folder / f"said{rank}.json").read_text()) for rank in (0, 1)]
    return found, said, folder


@pytest.mark.parametrize("kind", KINDS)
def test_two_halves_train_as_one_whole(kind, ranks):
    alone = numbers(*train(kind, (0, 1)))
    for found in ranks[0]:
        for name, value in alone.items():
            if name not in ("centers", "momentum", "begin"):
                np.testing.assert_allclose(found[f"{kind} {name}"], value, rtol=1e-5, atol=1e-5, err_msg=name)
    for name in ("centers", "momentum"):
        both = np.concatenate([found[f"{kind} {name}"] for found in ranks[0]])
        np.testing.assert_allclose(both, alone[name], rtol=1e-5, atol=1e-5)
    assert [int(found[f"{kind} begin"]) for found in ranks[0]] == [0, 3]


def test_a_polite_kill_of_one_rank_stops_both_and_they_go_on_to_the_bit(ranks):
    found, said, folder = ranks
    for rank in (0, 1):
        assert said[rank]["stopped"].startswith("KeyboardInterrupt: stopped and saved after step 3")
        same = [name for name in found[rank] if name.startswith("resumed ") and (rank == 0 or name != "resumed loss")]
        for name in same:  # the log is that of the first rank
            once = found[rank]["both " + name.removeprefix("resumed ")]
            np.testing.assert_array_equal(found[rank][name], once, err_msg=name)
    names = sorted(path.name for path in (folder / "stopped/checkpoint/00000006").iterdir())
    assert names == ["rank0.safetensors", "rank1.safetensors", "run.safetensors", "state.json"]
    assert (folder / "stopped/summary.csv").read_text() == "step,rank\n6,0.0\n"  # the first rank writes
    assert len((folder / "stopped/log.jsonl").read_text().splitlines()) == STEPS


def test_one_process_goes_on_where_two_were(ranks):
    folder = ranks[2] / "both"
    last = folder / "checkpoint/00000006"
    last.rename(folder / "later")
    try:
        trainable = recognizer("both")
        history = fit(trainable, Half(), Settings(STEPS, **SETTINGS), out=folder, hooks=[Stop()], resume=True)
    finally:
        (folder / "later").rename(folder / "later-kept")
    alone = numbers(*train("both", (0, 1)))
    for name, value in numbers(trainable, history).items():
        np.testing.assert_allclose(value, alone[name], rtol=1e-5, atol=1e-5, err_msg=name)


def test_what_one_rank_meets_ends_both(ranks):
    first, second = ranks[1]
    assert second["broken"].startswith("WeightsError: step 2: expected finite numbers in 'image'")
    assert "pictures 19 of the source" in second["broken"]
    assert first["broken"] == (
        "WeightsError: rank 1 met numbers that are not finite, see its message; nothing was stepped"
    )
    assert second["full"] == "StoreError: the disk is full"
    assert "rank 1 could not write its part of the checkpoint" in first["full"]
    assert [path.name for path in (ranks[2] / "full/checkpoint").iterdir()] == ["00000002"]

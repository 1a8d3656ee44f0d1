"""A run on a Ray of this machine: two workers are one run, and what a worker says comes back in words.

A minute or more, nearly all of it Ray's start: run with VULTUS_RAY=1.
"""

from __future__ import annotations

import os
import warnings

import pytest

from vultus.errors import InputError, StoreError, UnknownMethod
from vultus.train.cluster import train_on_ray
from vultus.train.launch import Job, export_run

PEOPLE = "sim:8x4"

long = pytest.mark.skipif(not os.environ.get("VULTUS_RAY"), reason="VULTUS_RAY is not set: starts a Ray, takes minutes")


@pytest.fixture
def ray(monkeypatch):
    pytest.importorskip("ray")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Ray's own processes, sockets and files
        yield


@long
@pytest.mark.slow
def test_two_workers_are_one_run(ray, tmp_path):
    found = train_on_ray(Job("arcface", PEOPLE, tmp_path / "run", "tiny", {"data.batch": "4"}), workers=2)
    assert found["sim_fr"]["eer"]["n"] == 4
    shards = {path.name for path in (tmp_path / "run" / "checkpoint").rglob("rank*.safetensors")}
    assert shards == {"rank0.safetensors", "rank1.safetensors"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]
    assert export_run(tmp_path / "run").parity < 1e-4
    with pytest.raises(StoreError, match=r"the run failed on Ray: InputError: .*there is nothing at 'gone'"):
        train_on_ray(Job("arcface", "gone", tmp_path / "other", "tiny"), workers=1)


def test_what_is_wrong_is_said_before_anything_is_started(tmp_path):
    with pytest.raises(UnknownMethod, match="arcface"):
        train_on_ray(Job("arcfase", PEOPLE, tmp_path / "run"), workers=2)
    with pytest.raises(InputError, match="workers, cores: expected at least 1"):
        train_on_ray(Job("arcface", PEOPLE, tmp_path / "run"), workers=0)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "notes").write_text("")
    with pytest.raises(InputError, match="expected a new folder"):
        train_on_ray(Job("arcface", PEOPLE, tmp_path / "run", "tiny"), workers=2)

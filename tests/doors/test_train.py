"""Training on the command line: runs, what they leave, where they are named again, and every bad input in words."""

from __future__ import annotations

import numpy as np
import pytest

from tests.zoo.test_runs import WEIGHTS, written
from vultus.io import images
from vultus.testing.pictures import drawn_scene


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

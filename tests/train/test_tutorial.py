"""The tutorial: its example runs, and the code on the page is that of the example."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from examples.train_recognizer import accepted, main
from vultus.io import images

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/tutorials/train-your-own-recognizer.md"


def test_the_example_runs(tmp_path, capsys):
    run = tmp_path / "mine"
    assert main([str(run), "--data", "sim:16x6", "--scale", "tiny", "--steps", "20"]) == 0
    said = capsys.readouterr().out
    assert "sim_fr: 96 pictures of 16 people, sim; 3,624 parameters" in said
    assert re.search(r"^eer: 0\.\d{4} \(0\.\d{4} to \d\.\d{4}\)$", said, re.M)
    assert re.search(r"^mine@[0-9a-f]{12}: ", said, re.M)
    assert re.search(r"^threshold -?\d\.\d{3} at FMR 0\.139 .* set on 4 people$", said, re.M)  # 30 of 216 comparisons
    assert re.search(r"^other people: 0\.\d{4} of strangers and \d\.\d{4} of the same people are accepted$", said, re.M)
    assert images.read(run / "pairs.jpg").pixels.shape[1] > 6 * 150


def test_shares_by_hand():
    vectors = np.array([[1, 0], [0.6, 0.8], [0, 1], [-1, 0]], np.float32)
    false, true = accepted(vectors, np.array([0, 0, 1, 1]), 0.6)
    assert (false, true) == (0.25, 0.5)  # 0.8 of 0, 0.8, -1, -0.6; 0.6 of 0.6, 0


@pytest.mark.parametrize("block", re.findall(r"^```python\n(.*?)^```", PAGE.read_text("utf-8"), re.M | re.S))
def test_code_on_the_page_is_that_of_the_example(block):
    example = " ".join((ROOT / "examples/train_recognizer.py").read_text("utf-8").split())
    for line in block.splitlines():
        assert " ".join(line.split()) in example, line

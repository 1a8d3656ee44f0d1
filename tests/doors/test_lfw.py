"""LFW View 2 through the command line, on the real pictures: the figure that says alignment and color are right.

The default runs on all 6,000 pairs. The others run on the pairs of two folds, where a wrong channel order, template or
flip shows as well (below 98 %); their figures on all pairs are measured by tools/figures.py.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vultus.cli.__main__ import main


def evaluate(capsys, *options: str) -> dict:
    assert main(["evaluate", "lfw", "--json", *options]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.fixture
def two_folds(data_dir, tmp_path) -> Path:
    lines = (data_dir / "lfw_meta/pairs.txt").read_text().splitlines()
    path = tmp_path / "pairs.txt"
    path.write_text("\n".join(["2\t300", *lines[1:1201]]) + "\n")
    return path


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.models
def test_default_reaches_its_figure(capsys, models_home, data_dir, tmp_path) -> None:
    report = evaluate(capsys, "--out", str(tmp_path))
    metrics = report["metrics"]
    assert metrics["pairs.accuracy"]["value"] >= 0.989
    assert metrics["pairs.accuracy"]["low"] <= metrics["pairs.accuracy"]["value"] <= metrics["pairs.accuracy"]["high"]
    assert metrics["enroll.failure_to_enroll"]["value"] == 0.0
    assert metrics["all.tar_at_far_1e-4"]["value"] >= 0.74
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<svg" in page
    assert "http" not in page.replace("http://www.w3.org", "").split("</style>")[1]


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.models("default", "accurate")
@pytest.mark.parametrize("model", ["accurate", "fused"])
def test_other_pipelines(capsys, models_home, two_folds, model) -> None:
    metrics = evaluate(capsys, "--model", model, "--pairs", str(two_folds))["metrics"]
    assert metrics["pairs.accuracy"]["value"] >= 0.985


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.models("default", cards=["mobilefacenet_casia"])
def test_mobilefacenet_casia(capsys, models_home, two_folds) -> None:
    metrics = evaluate(capsys, "--embedder", "mobilefacenet_casia", "--pairs", str(two_folds))["metrics"]
    assert metrics["pairs.accuracy"]["value"] >= 0.98

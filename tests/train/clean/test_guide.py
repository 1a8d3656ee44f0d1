"""The guide to cleaning: its code runs as it stands, and its figures are those that were measured."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

import vultus
from tests.train.clean.crowd import Reddest, drawn, people

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/guides/collections.md").read_text("utf-8")


@pytest.fixture
def folders(tmp_path, monkeypatch):
    people(tmp_path / "people")
    for k, channels in enumerate(((0,), (1,), (2,), (1, 2)), 1):
        drawn(tmp_path / "archive" / f"{k:04d}.png", *channels, seed=k)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(vultus, "Pipeline", Reddest, raising=False)


def test_the_code_runs(folders, capsys):
    given: dict[str, object] = {}
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE, re.M | re.S)
    said = []
    for block in blocks:
        exec(block, given)
        said.append(capsys.readouterr().out.splitlines())
    assert said[0] == [
        "7 keep",
        "2 reject: the person has no picture to start from",
        "1 reject: no face is like the person",
        "7 pictures of 2 people",
    ]
    assert said[1] == [
        "archive/0001.png 0 nm1", "archive/0002.png 0 nm2", "archive/0003.png 0 nm3",
        "archive/0004.png 1 nm3", "archive/0004.png 0 nm2",
    ]  # fmt: skip
    assert said[2] == [
        "[('nm3', \"1 edits from 'Bo_Parc' of the test set\"), ('nm3', \"1 edits from 'Bo_Parc' of the test set\")]"
    ]
    assert given["scores"].shape == (5, 10)
    own = given["scores"][:, :5][~np.eye(5, dtype=bool)]
    assert own.mean() > 0 > given["scores"][:, 5:].mean()


@pytest.mark.parametrize(
    "why", ["no face was found", "no face is like the person", "another name fits the face better"]
)
def test_the_reasons_of_the_page_are_those_of_the_code(why):
    source = "\n".join(path.read_text("utf-8") for path in sorted((ROOT / "vultus/train/clean").glob("*.py")))
    assert f'"{why}"' in source
    assert f"`{why}`" in PAGE


def result(name):
    return json.loads((ROOT / f"vultus/claims/results/{name}.nano.json").read_text("utf-8"))


def table_of_names():
    found = result("casia_webface")
    lines = ["| names go to faces | precision | recall | F1 (mean of people) |", "|---|---|---|---|"]
    for arm in ("by size", "by likeness to the portrait alone", "by likeness"):
        values = [
            found["extra"][f"{arm}: precision"],
            found["extra"][f"{arm}: recall"],
            np.mean(found["per_seed"][arm]),
        ]
        lines.append(f"| {arm} | {' | '.join(f'{value:.3f}' for value in values)} |")
    return "\n".join([*lines, "", f"{words(found)}."])


def table_of_training():
    found = result("casia_webface_training")
    lines = ["| labels | pictures | right | accepted |", "|---|---|---|---|"]
    for arm in ("raw", "raw, as few as cleaned", "cleaned", "truth"):
        pictures, right = found["extra"][f"{arm}: pictures"], found["extra"][f"{arm}: share of right labels"]
        lines.append(f"| {arm} | {pictures:,.0f} | {right:.3f} | {np.mean(found['per_seed'][arm]):.3f} |")
    few = found["controls"]["raw, as few as cleaned"]
    gain = f"{few['value']:+.3f} [{few['low']:+.3f}, {few['high']:+.3f}]"
    said = f"{words(found)}; pictures and right labels are of the first seed. The control gains as well, {gain}"
    return "\n".join([*lines, "", f"{said}:"])


def pair_words():
    found = result("casia_webface_contrastive")
    return f"Pairs beside people, in training of the same network (`casia_webface_contrastive`): {words(found)}."


def joint_words():
    found = result("casia_webface_joint_bayes")
    arms = {arm: np.mean(values) for arm, values in found["per_seed"].items()}
    return (
        f"On a small network and 32 axes, learned of 60 people, Joint Bayes accepts {arms['joint bayes']:.3f} of mated "
        f"pairs at a false match rate of 1 % and the cosine {arms['cosine']:.3f} (`casia_webface_joint_bayes`): "
        f"{words(found)}."
    )


def words(found):
    effect = found["effect"]
    interval = f"{effect['value']:+.3f} [{effect['low']:+.3f}, {effect['high']:+.3f}]"
    return f"{found['method'].capitalize()} against {found['baseline']}: {interval}, {found['status']}"


def told():
    return [table_of_names(), table_of_training(), pair_words(), joint_words()]


@pytest.mark.parametrize("number", range(4))
def test_the_figures_are_those_that_were_measured(number):
    told_now = " ".join(told()[number].split())
    assert told_now in " ".join(PAGE.split())

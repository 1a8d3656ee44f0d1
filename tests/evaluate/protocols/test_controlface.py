"""The protocol on made-up vectors: rates of the plain way, dev people apart, planted order found."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest
import scipy.stats

from vultus.errors import InputError
from vultus.evaluate import report
from vultus.evaluate.fairness import Settings
from vultus.evaluate.protocols import controlface as protocol
from vultus.evaluate.protocols.controlface import controlface, kendall_tau, similarity_of_trends, split_people
from vultus.io.datasets.controlface import Faceted
from vultus.io.datasets.records import Dataset, indexed
from vultus.types import Embedded, Metric, Report

QUICK = Settings(n_boot=100, n_perm=99, min_errors=1)
RARE = Settings(n_boot=100, n_perm=99, min_errors=0)
RACES, GENDERS, POSES = ("A", "B", "C", "D"), ("female", "male"), ("frontal", "left")


def a_set(per_cell: int = 12, seed: int = 0, alike: float = 1.2, turned: float = 0.5):
    """Vectors of a set in which people of D look alike and left pictures are worse; a picture in 50 has no face."""
    rng = np.random.default_rng(seed)
    rows, vectors = [], []
    toward = rng.normal(size=(len(RACES), 24))
    for number, (race, gender, _) in enumerate(product(RACES, GENDERS, range(per_cell))):
        center = rng.normal(size=24) + alike * (race == "D") * toward[3]
        for pose in POSES:
            rows.append((f"{number:03d}", race, gender, pose))
            vectors.append(center + rng.normal(size=24) * (0.25 + turned * (pose == "left")))
    subjects, names = indexed([row[0] for row in rows])
    paths = tuple(Path("_".join(row) + ".png") for row in rows)
    columns = {facet: indexed([row[k] for row in rows]) for k, facet in enumerate(("race", "gender", "pose"), 1)}
    faces = Faceted(
        Dataset("made up", paths, subjects, names, tier="sim"),
        {f: v for f, (_, v) in columns.items()},
        {f: i for f, (i, _) in columns.items()},
    )
    vec = np.array(vectors)
    vec /= np.linalg.norm(vec, axis=1, keepdims=True)
    found = rng.random(len(vec)) > 0.02
    return faces, lambda paths: (Embedded(vec[found], "made-up@000000000000"), found), vec, found


def test_groups_and_poses_stand_in_the_planted_order(tmp_path):
    faces, embed, *_ = a_set()
    got = controlface(faces, embed, fmr_target=0.02, settings=Settings(n_boot=100, n_perm=999, min_errors=1))
    m = got.metrics
    fmr = {race: m[f"race-fmr_0_02.{race}.fmr"].value or 0 for race in RACES}
    assert max(fmr, key=fmr.get) == "D"
    assert any("race: D, FMR" in alarm and "above" in alarm for alarm in got.provenance["alarms"])
    assert m["pose.frontal with left, fnmr"].value > 0
    assert m["separation.race D, d_prime"].value < m["separation.race A, d_prime"].value
    assert "pose.left with left, fnmr" not in m  # one picture per pose: nothing to miss
    _, page = report.write(got, tmp_path)
    assert "race: FMR 0.02: both policies" in page.read_text("utf-8")


def test_rates_are_those_of_the_plain_way():
    faces, embed, vec, found = a_set(seed=1)
    got = controlface(faces, embed, fmr_target=0.05, settings=QUICK, rng=4)
    dev = split_people(faces, ["race", "gender"], np.random.default_rng(4))
    tau = got.provenance["thresholds"][0]["value"]
    who, pose = faces.dataset.subjects, faces.of["pose"]
    scores = np.where(found[:, None] & found, vec.astype(np.float32) @ vec.astype(np.float32).T, -1)
    i, j = np.triu_indices(len(who), 1)
    test = ~dev[who[i]] & ~dev[who[j]]
    cross = test & (pose[i] != pose[j]) & (who[i] == who[j])
    assert got.metrics["pose.frontal with left, fnmr"].value == pytest.approx((scores[i, j][cross] < tau).mean())
    within = dev[who[i]] & dev[who[j]] & (who[i] != who[j])
    assert (scores[i, j][within] >= tau).mean() <= 0.05
    both = test & (pose[i] == 1) & (pose[j] == 1)
    assert got.metrics["pose.left with left, fmr"].value == pytest.approx((scores[i, j][both] >= tau).mean())


def test_halves_are_even_in_every_cell():
    faces, *_ = a_set(per_cell=7)
    dev = split_people(faces, ["race", "gender"], np.random.default_rng(0))
    cells = list(zip(faces.of_people("race"), faces.of_people("gender"), strict=True))
    for cell in set(cells):
        assert abs(int(sum(dev[k] for k, c in enumerate(cells) if c == cell)) - 3.5) == 0.5
    with pytest.raises(InputError, match="two people in each half"):
        split_people(Faceted(Dataset("one", (Path("a"),), np.array([0]), ("a",)), {}, {}), [], np.random.default_rng(0))


def test_trends_of_two_sets_agree_where_the_same_is_planted():
    reports = [controlface(*a_set(seed=k, per_cell=20)[:2], fmr_target=0.05, settings=RARE) for k in (2, 3)]
    found = similarity_of_trends(*reports)
    assert found["fmr"].value > 0.3
    assert found["fmr"].n == 6  # four races and two genders
    same = similarity_of_trends(reports[0], reports[0])
    assert same["fmr"].value == pytest.approx(1)
    few = Report("x", "y", "sim", {"fmr_0_01.A.fmr": Metric(0.1)})
    assert similarity_of_trends(few, few)["fmr"].value is None


def test_kendalls_tau_is_scipys():
    rng = np.random.default_rng(0)
    for _ in range(20):
        x, y = rng.integers(0, 5, (2, 9))
        expected = scipy.stats.kendalltau(x, y).statistic
        assert kendall_tau(x, y) == pytest.approx(0 if np.isnan(expected) else expected)


def test_flags_and_vectors_have_to_fit():
    faces, _, vec, found = a_set()
    with pytest.raises(InputError, match="embed"):
        controlface(faces, lambda paths: (Embedded(vec, "x@0"), found))


def test_too_many_comparisons_are_drawn_and_not_written_out(monkeypatch):
    who = np.random.default_rng(0).integers(0, 40, 300)
    every = {tuple(pair) for pair in np.stack(protocol._pairs(who, np.random.default_rng(1))).T.tolist()}
    assert len(every) == 300 * 299 // 2
    monkeypatch.setattr(protocol, "MAX_PAIRS", 5000)
    i, j = protocol._pairs(who, np.random.default_rng(1))
    drawn = {(a, b) for a, b in zip(i.tolist(), j.tolist(), strict=True)}
    mated = {(a, b) for a, b in every if who[a] == who[b]}
    assert len(drawn) == len(i)
    assert (i < j).all()
    assert mated <= drawn <= every
    assert 4000 < len(drawn) - len(mated) < 5000
    counts = np.bincount(np.concatenate([i, j]), minlength=300)
    assert counts.min() > 10  # nobody is left out

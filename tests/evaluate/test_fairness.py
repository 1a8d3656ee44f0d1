"""Rates of groups against scikit-learn and a slow bootstrap, planted differences found, equal groups left alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix

from tests.evaluate.group_worlds import world
from vultus.errors import InputError, UnknownMethod
from vultus.evaluate import _group_counts, report
from vultus.evaluate.fairness import About, Groups, Settings, disparity_along_security, fairness
from vultus.evaluate.metrics import inequity
from vultus.ops import roc
from vultus.types import ComparisonTable, Metric

ABOUT = About("made-up vectors", "sim", ("made-up@000000000000",))
QUICK = Settings(n_boot=100, n_perm=199, min_errors=1)


def groups_of(labels, **options) -> Groups:
    return Groups.of(labels, "simulated", **options)


def inside(table: ComparisonTable, labels: list[str], name: str) -> tuple[np.ndarray, np.ndarray]:
    """Mated and non-mated scores inside a group, the plain way."""
    of = np.array(labels)
    both = (of[table.ref_subject] == name) & (of[table.probe_subject] == name)
    return table.score[both & table.mated], table.score[both & ~table.mated]


def test_rates_are_those_of_scikit_learn():
    table, labels = world(np.random.default_rng(0))
    tau = 0.55
    got = fairness(table, groups_of(labels), ABOUT, taus=[tau], settings=QUICK)
    of = np.array(labels)
    for name in ("g0", "g3"):
        both = (of[table.ref_subject] == name) & (of[table.probe_subject] == name)
        (tn, fp), (fn, tp) = confusion_matrix(table.mated[both], table.score[both] >= tau)
        assert got.metrics[f"tau_0_55.{name}.fmr"].value == pytest.approx(fp / (fp + tn))
        assert got.metrics[f"tau_0_55.{name}.fnmr"].value == pytest.approx(fn / (fn + tp))
    pooled = got.metrics["tau_0_55.pooled.fmr"].value
    assert pooled == pytest.approx(roc.fmr(table.score[~table.mated], tau))
    matrix = next(t for t in got.provenance["tables"] if "between groups" in t["title"])
    cell = matrix["rows"][1][3]  # g1 with g2
    cross = ((of[table.ref_subject] == "g1") & (of[table.probe_subject] == "g2")) | (
        (of[table.ref_subject] == "g2") & (of[table.probe_subject] == "g1")
    )
    assert cell.value == pytest.approx((table.score[cross] >= tau).mean())
    assert matrix["rows"][2][2] == cell


def test_measures_are_those_of_the_rates_and_both_policies_stand_beside_each_other():
    table, labels = world(np.random.default_rng(1), alike=(0, 0, 0.6, 0))
    got = fairness(table, groups_of(labels), ABOUT, fmr_targets=[0.05], settings=QUICK).metrics
    names = ("g0", "g1", "g2", "g3")
    fmr, fnmr = ([got[f"fmr_0_05.{g}.{kind}"].value for g in names] for kind in ("fmr", "fnmr"))
    assert got["fmr_0_05.garbe"].value == pytest.approx(inequity.garbe(fmr, fnmr))
    assert got["fmr_0_05.fdr"].value == pytest.approx(inequity.fdr(fmr, fnmr))
    assert got["fmr_0_05.max_to_min_fmr"].value == pytest.approx(max(fmr) / min(fmr))
    assert got["fmr_0_05.max_to_min_fmr"].low <= got["fmr_0_05.max_to_min_fmr"].value
    own = [got[f"own_fmr_0_05.{g}.fmr"].value for g in names]
    assert max(own) <= 0.05  # a threshold per group brings every group to the same rate
    assert got["own_fmr_0_05.max_to_min_fmr"].value < got["fmr_0_05.max_to_min_fmr"].value
    mated, nonmated = inside(table, labels, "g2")
    assert got["own_fmr_0_05.g2.fnmr"].value == pytest.approx(roc.fnmr(mated, roc.threshold_at_fmr(nonmated, 0.05)))


def test_a_draw_is_the_table_with_people_repeated():
    table, labels = world(np.random.default_rng(2), people=7, groups=3)
    of = groups_of(labels)
    c = _group_counts.cast(table, of.labels, 3)
    w = _group_counts.draw(c.edges, 3, np.random.default_rng(5))
    assert [w[a:b].sum(0).tolist() for a, b in zip(c.edges[:-1], c.edges[1:], strict=True)] == [[7.0] * 3] * 3
    hit = table.score[c.nonmated] >= 0.3
    pairs = _group_counts.pair_counts(c.left[hit], c.right[hit], c.n)
    got = _group_counts.quadratic(pairs, c.edges, w)
    of_person, weight = np.array(of.labels), w[c.rank]
    a, b = table.ref_subject[c.nonmated][hit], table.probe_subject[c.nonmated][hit]
    for g in range(3):
        for h in range(3):
            used = ((of_person[a] == g) & (of_person[b] == h)) | ((of_person[a] == h) & (of_person[b] == g))
            np.testing.assert_allclose(got[g, h], (weight[a[used]] * weight[b[used]]).sum(0))


def test_counts_by_matrix_and_by_list_are_the_same(monkeypatch):
    rng = np.random.default_rng(3)
    left, right = np.sort(rng.integers(0, 40, (2, 4000)), axis=0)
    left, right = left[left != right], right[left != right]
    edges, labels = np.array([0, 15, 40]), rng.integers(0, 2, (40, 5))
    w = rng.integers(0, 4, (40, 6)).astype(float)
    results = []
    for limit in (1 << 25, 0):
        monkeypatch.setattr(_group_counts, "DENSE", limit)
        pairs = _group_counts.pair_counts(left, right, 40)
        results.append((pairs.count, _group_counts.quadratic(pairs, edges, w), _group_counts.inside(pairs, labels, 2)))
    for fast, plain in zip(*results, strict=True):
        np.testing.assert_allclose(fast, plain)
    same = labels[left] == labels[right]
    np.testing.assert_allclose(results[0][2].sum(0), 2 * same.sum(0))


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1000))
def test_the_order_of_people_and_comparisons_does_not_matter(seed):
    table, labels = world(np.random.default_rng(seed), people=6, groups=2)
    rng = np.random.default_rng(seed + 1)
    new, rows = rng.permutation(len(labels)), rng.permutation(len(table))
    renamed = ComparisonTable(
        table.score[rows], table.mated[rows], new[table.probe_subject[rows]], new[table.ref_subject[rows]], "dev"
    )
    moved = np.empty(len(labels), object)
    moved[new] = labels
    a, b = (
        fairness(t, groups_of(g), ABOUT, taus=[0.4], settings=QUICK).metrics
        for t, g in ((table, labels), (renamed, list(moved)))
    )
    assert {k: m.value for k, m in a.items()} == pytest.approx({k: m.value for k, m in b.items()})


def test_a_planted_difference_is_found_and_the_right_one():
    table, labels = world(np.random.default_rng(4), people=30, alike=(0, 0, 0, 1.2))
    got = fairness(table, groups_of(labels), ABOUT, fmr_targets=[0.02], settings=Settings(n_boot=200, n_perm=999))
    assert any(alarm.startswith("g3, FMR") for alarm in got.provenance["alarms"])
    gap = got.metrics["fmr_0_02.g3.gap_fmr"]
    assert gap.value > 0
    assert gap.low > 0
    assert gap.note.startswith("differs")
    table, labels = world(np.random.default_rng(5), people=30, noisy=(1, 1.8, 1, 1))
    got = fairness(table, groups_of(labels), ABOUT, fmr_targets=[0.02], settings=Settings(n_boot=200, n_perm=999))
    assert [a for a in got.provenance["alarms"] if a.startswith("g1, FNMR")]
    assert not [a for a in got.provenance["alarms"] if ", FMR" in a and not a.startswith("g1")]


@pytest.mark.parametrize("kin", [0.0, 0.8])
def test_equal_groups_raise_an_alarm_in_one_report_of_twenty_at_most(kin):
    """Also where people of one group are more alike than people of two, so that labels cannot simply be exchanged.

    The long run is `tools/fairness_null.py`.
    """
    worlds = [world(np.random.default_rng(100 + k), kin=kin) for k in range(60)]
    alarms = sum(
        "no gap is shown"
        not in fairness(
            t, groups_of(g), ABOUT, fmr_targets=[0.02], settings=Settings(n_boot=100, n_perm=199)
        ).provenance["alarms"]
        for t, g in worlds
    )
    assert alarms <= 6  # of 60, seeded; more than 6 has a probability of 3 % at 5 % each


def test_failures_to_enroll():
    table, labels = world(np.random.default_rng(6), people=20, groups=2)
    whose = np.repeat(np.arange(40), 10)
    found = np.ones(400, bool)
    found[whose >= 20] = np.arange(200) % 5 > 0  # one of five pictures of the second group
    of = groups_of(labels, pictures=(whose, found))
    got = fairness(table, of, ABOUT, taus=[0.5], settings=Settings(n_boot=100, n_perm=499)).metrics
    assert got["enroll.g1.fte"].value == pytest.approx(0.2)
    assert got["enroll.g0.fte"].value is None
    assert got["enroll.g0.fte"].high == pytest.approx(3 / 20)
    assert "smoothed rate" in got["enroll.g0.fte"].note
    assert got["enroll.g1.gap_fte"].note.startswith("differs")


def test_too_few_errors_are_no_number_and_no_ratio_is_infinite():
    table, labels = world(np.random.default_rng(7), people=8, groups=2)
    got = fairness(table, groups_of(labels), ABOUT, taus=[0.93], settings=Settings(n_boot=100, n_perm=99))
    ratio = got.metrics["tau_0_93.max_to_min_fmr"]
    assert ratio.value is None
    assert "insufficient" in ratio.note
    assert "smoothed" in ratio.note
    assert np.isfinite([ratio.low, ratio.high]).all()
    assert any("insufficient" in line for line in got.missing)


def test_disparity_along_security_is_paired_and_relative():
    table, labels = world(np.random.default_rng(8), people=40, groups=2, noisy=(1, 1.5), pictures=4)
    got = disparity_along_security(table, groups_of(labels), [0.1, 0.01], settings=Settings(n_boot=300, min_errors=10))
    assert got.levels == (0.1, 0.01)
    rates = [
        [
            roc.fnmr(inside(table, labels, g)[0], roc.threshold_at_fmr(table.score[~table.mated], level))
            for g in ("g0", "g1")
        ]
        for level in got.levels
    ]
    for (a, b), gap, share in zip(rates, got.absolute, got.relative, strict=True):
        assert gap.value == pytest.approx(abs(a - b))
        assert share.value == pytest.approx(abs(a - b) / ((a + b) / 2))
    assert got.growth.value == pytest.approx(got.absolute[1].value - got.absolute[0].value)
    assert got.growth.low > 0  # absolute gaps grow with the rate itself
    width = got.growth.high - got.growth.low
    alone = sum((m.high - m.low) ** 2 for m in got.absolute) ** 0.5
    assert width < alone  # the same draws at both levels
    with pytest.raises(InputError, match="30 expected errors"):
        disparity_along_security(table, groups_of(labels), [0.1, 1e-5])


def test_thresholds_come_from_dev_people_only():
    test, labels = world(np.random.default_rng(9), split="test")
    dev, dev_labels = world(np.random.default_rng(10))
    with pytest.raises(InputError, match="tagged test"):
        fairness(test, groups_of(labels), ABOUT, settings=QUICK)
    got = fairness(test, groups_of(labels), ABOUT, fmr_targets=[0.05], dev=(dev, groups_of(dev_labels)), settings=QUICK)
    tau = got.provenance["thresholds"][0]["value"]
    assert tau == roc.threshold_at_fmr(dev.score[~dev.mated], 0.05)
    assert got.metrics["fmr_0_05.pooled.fmr"].value == pytest.approx(roc.fmr(test.score[~test.mated], tau))
    with pytest.raises(InputError, match="tagged test"):
        fairness(test, groups_of(labels), ABOUT, dev=(test, groups_of(labels)), settings=QUICK)


def test_labels_say_where_they_come_from():
    table, labels = world(np.random.default_rng(11), people=5, groups=2)
    with pytest.raises(InputError, match="one source"):
        Groups.of(labels, ["annotator"] * 9 + ["model"])
    mixed = Groups.of(labels, ["annotator"] * 9 + ["model"], mix_sources=True)
    assert mixed.source == "annotator + model"
    with pytest.raises(InputError, match="trust_model_labels"):
        fairness(table, mixed, ABOUT, taus=[0.5], settings=QUICK)
    trusting = About("made-up", "sim", trust_model_labels=True)
    got = fairness(table, mixed, trusting, taus=[0.5], settings=QUICK)
    assert got.provenance["labels of the groups"] == "group: annotator + model"
    with pytest.raises(UnknownMethod, match="annotator"):
        Groups.of(labels, "anotator")


def test_who_has_no_group_or_stands_alone_is_left_out_and_said():
    table, labels = world(np.random.default_rng(12), people=6, groups=3)
    labels[0], labels[17] = None, "alone"
    got = fairness(table, groups_of(labels), ABOUT, taus=[0.5], settings=QUICK)
    assert any("alone: 1 people" in line for line in got.missing)
    assert any("1 people without a group" in line for line in got.missing)
    assert got.provenance["counts"]["comparisons left out"] > 0
    with pytest.raises(InputError, match="two groups"):
        fairness(table, groups_of(["g"] * 18), ABOUT, taus=[0.5], settings=QUICK)
    with pytest.raises(InputError, match="every subject"):
        fairness(table, groups_of(labels[:5]), ABOUT, taus=[0.5], settings=QUICK)


def test_the_report_is_written_and_read(tmp_path):
    table, labels = world(np.random.default_rng(13), groups=5)
    got = fairness(table, groups_of(labels), ABOUT, fmr_targets=[0.1, 0.02], settings=QUICK)
    _, page = report.write(got, tmp_path)
    text = page.read_text("utf-8")
    assert "both policies" in text
    assert "FMR between groups" in text
    assert text.count("<figure>") == 4 + 1 + 5  # rates at two points, DET, scores of five groups
    again = report.read(tmp_path)
    assert again.metrics == dict(got.metrics)
    assert report.html(again) == text
    assert isinstance(got.metrics["security.growth"], Metric)


def test_points_and_groups_have_names_of_their_own():
    table, labels = world(np.random.default_rng(14), people=5, groups=2)
    for wanted in ({"fmr_targets": []}, {"taus": [0.5, 0.50001]}, {"fmr_targets": [0.2, 0.20001]}):
        with pytest.raises(InputError, match="no two that have one name"):
            fairness(table, groups_of(labels), ABOUT, settings=QUICK, **wanted)
    with pytest.raises(InputError, match="pooled"):
        groups_of(["pooled" if name == "g1" else name for name in labels])

"""The judge rule: each of its seven sentences is enforced, and its numbers are right on planted networks."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from vultus.errors import InputError, Refused
from vultus.evaluate import report as reports
from vultus.evaluate.panel import Background, Panel, eligible, same_weights
from vultus.ops import roc
from vultus.ops.vectors import unit
from vultus.sim.faces import people
from vultus.types import ComparisonTable, CropSpec, Embedded, Provenance

SIDE = 6
DEV, TEST = range(2600, 2660), range(2800, 2824)


class Toy:
    """A network: what a person is, seen through a matrix of its own; `blur` is what it adds by itself."""

    dim = 12
    crop = CropSpec("box", (SIDE, SIDE))

    def __init__(self, name: str, seed: int, blur: float = 0.0) -> None:
        self.space = f"{name}@{seed:012x}"
        self.rng = np.random.default_rng(seed)
        self.matrix, self.blur = self.rng.standard_normal((SIDE * SIDE * 3, self.dim)), blur

    def embed(self, crops: np.ndarray) -> Embedded:
        seen = (crops.reshape(len(crops), -1).astype(float) - 127.5) @ self.matrix
        seen /= np.linalg.norm(seen, axis=1, keepdims=True)
        return Embedded(unit(seen + self.blur * self.rng.standard_normal(seen.shape)).astype(np.float32), self.space)


def crops(seeds: list[int], take: int) -> np.ndarray:
    """One picture of each person; another `take` is another picture of the same people."""
    faces = [np.random.default_rng(s).integers(0, 256, (SIDE, SIDE, 3)) for s in seeds]
    noise = np.random.default_rng(take).normal(0, 12, (len(seeds), SIDE, SIDE, 3))
    return np.clip(np.array(faces) + noise, 0, 255).astype(np.uint8)


def pairs(split: range) -> tuple[np.ndarray, np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """Every person with everybody, two pictures each."""
    ref, probe = (side.ravel() for side in np.meshgrid(list(split), list(split), indexing="ij"))
    return crops(ref.tolist(), 1), crops(probe.tolist(), 2), (ref, probe)


JUDGE, LOSS = Toy("f_eval", 1), Toy("f_train", 2)
KNOWN = {
    JUDGE.space: Background("mobilefacenet", "sim judge", people("judge")),
    LOSS.space: Background("iresnet", "sim base", people("base")),
}


def made_with(spaces) -> Provenance:
    return Provenance("toy", loss_spaces=frozenset(spaces))


FREE = made_with(())


def panel(judges=(JUDGE,), surrogates=(LOSS,), **options) -> Panel:
    known = KNOWN | options.pop("backgrounds", {})
    return Panel(list(surrogates), list(judges), backgrounds=known, **options)


def calibrated(**options) -> Panel:
    made = panel(**options)
    made.calibrate(made.compare(*pairs(DEV), "dev"))
    return made


# ---------------------------------------------------------------- the seven rules
def test_rule_1_a_judge_is_no_surrogate_and_in_no_loss():
    with pytest.raises(Refused, match="surrogate as well"):
        panel(judges=(JUDGE,), surrogates=(JUDGE,))
    with pytest.raises(Refused, match="rule 1"):
        panel().check(made_with({JUDGE.space}), TEST)
    renamed = made_with({"another_name@" + JUDGE.space.split("@")[1]})
    with pytest.raises(Refused, match="loss, reward, filter or sorter"):
        panel().check([FREE, renamed], TEST)
    with pytest.raises(InputError, match="Provenance, got dict"):
        panel().check([{"loss_spaces": []}], TEST)
    assert panel().check([FREE, made_with({LOSS.space})], TEST) is None


def test_rule_1_warns_of_a_shared_family_or_training_data():
    cousin = Toy("cousin", 3)
    shared = {cousin.space: Background("mobilefacenet", "sim judge")}
    made = calibrated(backgrounds=shared)
    assert not [line for line in made.warnings() if "shares" in line]
    made.check(made_with({cousin.space}), TEST)
    said = "\n".join(made.warnings())
    assert f"shares its family with {cousin.space}" in said
    assert f"shares its training data with {cousin.space}" in said


@pytest.mark.parametrize(
    "options",
    [
        {"people_evaluated": people("judge")[:5]},
        {"people_base": people("judge")[-1:]},
        {"backgrounds": {LOSS.space: Background("iresnet", "sim judge", people("judge"))}},
        {"backgrounds": {JUDGE.space: Background("mobilefacenet", "?")}},
    ],
    ids=["evaluated", "base", "surrogate", "unknown"],
)
def test_rule_2_a_judge_never_saw_these_people(options):
    with pytest.raises(Refused, match="rule 2"):
        panel(**options)


def test_rule_2_reads_the_people_that_a_network_states():
    judge = Toy("f_eval", 8)
    judge.train_ids = people("judge")
    made = Panel([], [judge])
    assert made.background(judge.space).people == people("judge")
    with pytest.raises(Refused, match="rule 2"):
        made.check(FREE, people("judge")[:1])


def test_rule_2_holds_for_what_is_checked_and_for_dev_pairs():
    with pytest.raises(Refused, match=r"was trained on 2 people .*\(rule 2\)"):
        panel().check(FREE, [*people("judge")[:2], *TEST])
    made = panel()
    with pytest.raises(Refused, match="rule 2"):
        made.calibrate(made.compare(*pairs(people("judge")[:20]), "dev"))


def test_rule_2_holds_for_networks_that_are_in_a_loss_alone():
    filter_ = Toy("filter", 3)
    made = panel(backgrounds={filter_.space: Background(people=people("judge")[:3])})
    with pytest.raises(Refused, match=r"was trained on 3 people .* was trained, which is optimized against \(rule 2\)"):
        made.check(made_with({filter_.space}), TEST)
    made = panel()
    made.check(made_with({filter_.space}), TEST)
    unknown = [line for line in made.warnings() if "training people unknown" in line]
    assert unknown == [f"{filter_.space}, which was optimized against: training people unknown"]


def test_rule_2_real_weights_with_unknown_people_are_said_to_be():
    made = Panel([LOSS], [Toy("dlib_resnet29", 5), Toy("sface", 6)], data="real", backgrounds=KNOWN)
    assert sum("training people unknown" in line for line in made.warnings()) == 2
    known = KNOWN | {"sface@000000000006": Background(people=range(40))}
    made = Panel([LOSS], [Toy("dlib_resnet29", 5), Toy("sface", 6)], data="real", backgrounds=known)
    with pytest.raises(Refused, match="rule 2"):
        made.check(FREE, [39, 40])


def test_rule_3_a_judge_that_fails_makes_the_run_invalid():
    good = calibrated()
    assert (good.invalid, good.eer(JUDGE.space) < 0.02) == ("", True)
    bad = Toy("f_eval", 9, blur=0.15)
    made = panel(judges=(bad,), backgrounds={bad.space: KNOWN[JUDGE.space]})
    made.calibrate(made.compare(*pairs(DEV), "dev"))
    assert 0.02 <= made.eer(bad.space) < 0.1
    assert "below 2% is needed" in made.invalid
    written = made.report(made.compare(*pairs(TEST), "test"), provenance=FREE, dataset="toy")
    assert written.provenance["invalid"] == made.invalid
    assert written.missing[0].startswith("invalid: judge f_eval")
    fresh = panel()
    with pytest.raises(InputError, match="call calibrate"):
        fresh.eer(JUDGE.space)


def test_rule_4_thresholds_come_from_dev_pairs_alone():
    made = panel(people_evaluated=TEST)
    tables = made.compare(*pairs(DEV), "dev")
    taus = made.calibrate(tables)
    table = tables[JUDGE.space]
    assert taus[JUDGE.space] == {1e-2: pytest.approx(roc.threshold_at_fmr(table.score[~table.mated], 1e-2, force=True))}
    with pytest.raises(Refused, match="tagged dev, got 'test'"):
        made.calibrate(made.compare(*pairs(DEV), "test"))
    with pytest.raises(Refused, match="evaluated too"):
        made.calibrate(made.compare(*pairs(TEST), "dev"))
    with pytest.raises(Refused, match="tagged test, got 'dev'"):
        made.report(tables, provenance=FREE, dataset="toy")
    with pytest.raises(Refused, match="in the dev pairs too"):
        made.report(made.compare(*pairs(DEV), "test"), provenance=FREE, dataset="toy")
    with pytest.raises(InputError, match="every judge"):
        made.calibrate({LOSS.space: table})
    with pytest.raises(InputError, match="unknown"):
        made.calibrate({**tables, "stranger@0": table})


def test_rule_5_judges_come_first_and_surrogates_are_white_box(tmp_path):
    made = calibrated()
    written = made.report(made.compare(*pairs(TEST), "test"), provenance=FREE, dataset="24 toy people")
    names = list(written.metrics)
    assert [name.split(".")[0] for name in names] == sorted(name.split(".")[0] for name in names)
    assert written.spaces == (JUDGE.space, LOSS.space)
    for name, metric in written.metrics.items():
        role = "judge f_eval" if name.startswith("judge") else "white-box: surrogate f_train"
        assert metric.note.startswith(role)
        assert "EER " in metric.note
    page = reports.html(written)
    assert "white-box" in page.lower()
    assert reports.write(written, tmp_path)[0].is_file()
    with pytest.raises(Refused, match="rule 1"):
        made.report(made.compare(*pairs(TEST), "test"), provenance=made_with([JUDGE.space]), dataset="toy")


def test_rule_6_real_weights_need_two_judges_and_two_families():
    dlib, mobile = Toy("dlib_resnet29", 5), Toy("mobilefacenet_casia", 6)
    known = {s.space: Background(f) for s, f in ((dlib, "dlib"), (mobile, "mobile"), (LOSS, "dlib"))}
    with pytest.raises(Refused, match="at least two"):
        Panel([LOSS], [dlib], data="real", backgrounds=known)
    assert Panel([LOSS], [dlib, mobile], data="real", backgrounds=known).invalid == ""
    with pytest.raises(Refused, match="another family"):
        Panel([LOSS], [dlib, mobile], data="real", backgrounds=known | {mobile.space: Background("dlib")})


def test_rule_6_the_attribute_judge_is_in_no_loss_either():
    attributes = SimpleNamespace(space="simfeat_judge@00000000000a")
    made = panel(attribute_judge=attributes)
    with pytest.raises(Refused, match="simfeat_judge"):
        made.check(made_with(["simfeat_judge@00000000000a"]), TEST)


def test_rule_7_other_judges_than_those_of_the_house_are_said_to_be():
    assert not [line for line in panel().warnings() if "not a judge of the house" in line]
    other = Toy("mine", 7)
    made = panel(judges=(other,), backgrounds={other.space: KNOWN[JUDGE.space]})
    assert [line for line in made.warnings() if "mine@" in line and "f_eval" in line]
    dlib, mobile = Toy("dlib_resnet29", 5), Toy("mobilefacenet_casia", 6)
    assert eligible([dlib, mobile], [made_with([dlib.space])]) == [mobile]
    assert eligible([dlib, mobile], [FREE]) == [dlib, mobile]


# ---------------------------------------------------------------- the numbers
def test_numbers_and_intervals():
    made = calibrated()
    tables = made.compare(*pairs(TEST), "test")
    table, (tau,) = tables[JUDGE.space], made.calibrate(made.compare(*pairs(DEV), "dev"))[JUDGE.space].values()
    metrics = made.report(tables, provenance=FREE, dataset="toy").metrics
    accepted = metrics["judge1.accepted_at_1e-2"]
    assert accepted.value == pytest.approx((table.score[table.mated] >= tau).mean())
    assert accepted.n == len(TEST)
    similarity = metrics["judge1.similarity"]
    assert similarity.low <= similarity.value <= similarity.high
    assert "judge1.fmr_at_1e-2" in metrics


def test_numbers_by_hand():
    """Four people with two pictures each; thresholds of two rates lie between the scores."""
    made = panel()
    dev = made.compare(*pairs(DEV), "dev")
    taus = made.calibrate(dev, fmr=(1e-1, 1e-2))[JUDGE.space]
    loose, strict = taus[1e-1], taus[1e-2]
    assert loose < strict
    between = (loose + strict) / 2
    mated = [strict + 0.01, strict + 0.02, strict, strict + 0.01, between, between, between, loose - 0.01]
    who = np.repeat([2800, 2801, 2802, 2803], 2)
    table = ComparisonTable(np.array(mated), who == who, who, who, "test")
    found = made.report({JUDGE.space: table}, provenance=FREE, dataset="toy").metrics
    accepted = {rate: found[f"judge1.accepted_at_{rate}"] for rate in ("1e-1", "1e-2")}
    assert {rate: metric.value for rate, metric in accepted.items()} == {"1e-1": 7 / 8, "1e-2": 4 / 8}
    assert accepted["1e-2"].n == found["judge1.similarity"].n == 4, "people, not pairs"
    assert (accepted["1e-2"].low, accepted["1e-2"].high) == (0, 1), "each of the four is accepted always or never"
    taus = made.calibrate(dev, fmr=(2e-1, 1e-1))[JUDGE.space]
    tables = made.compare(*pairs(TEST), "test")
    found, table = made.report(tables, provenance=FREE, dataset="toy").metrics, tables[JUDGE.space]
    for rate, words in ((2e-1, "2e-1"), (1e-1, "1e-1")):
        share = (table.score[~table.mated] >= taus[rate]).mean()
        assert found[f"judge1.fmr_at_{words}"].value == pytest.approx(share), rate


@pytest.mark.parametrize("side", [0, 1])
def test_one_person_on_either_side_counts(side):
    made = panel(people_evaluated=TEST)
    made.calibrate(made.compare(*pairs(DEV), "dev"))
    people_of = [np.array([2800, 2801]), np.array([2800, 2801])]
    people_of[side] = np.array([2800, DEV[0]])
    table = ComparisonTable(np.array([0.9, 0.1]), np.array([True, False]), *people_of, "test")
    with pytest.raises(Refused, match=r"1 people .* in the dev pairs too"):
        made.report({JUDGE.space: table}, provenance=FREE, dataset="toy")
    dev = ComparisonTable(np.array([0.9, 0.1]), np.array([True, False]), *people_of, "dev")
    with pytest.raises(Refused, match="evaluated too"):
        made.calibrate({JUDGE.space: dev})


def test_similarity_is_the_cosine_and_takes_crops_for_each_network():
    a, b = crops([1, 2], 1), crops([1, 2], 2)
    made = panel()
    plain = made.similarity(a, b)
    assert list(plain) == [JUDGE.space, LOSS.space]
    want = (JUDGE.embed(a).vec * JUDGE.embed(b).vec).sum(1)
    assert plain[JUDGE.space] == pytest.approx(want, abs=1e-6)
    mixed = made.similarity({JUDGE.space: b, LOSS.space: a}, b)
    assert mixed[JUDGE.space] == pytest.approx(1.0)
    assert mixed[LOSS.space] == pytest.approx(plain[LOSS.space])


def test_what_is_missing_is_said():
    made = calibrated()
    rows = np.array([2800, 2801])
    one = ComparisonTable(np.array([0.5, 0.6]), np.array([True, True]), rows, rows, "test")
    written = made.report({JUDGE.space: one}, provenance=FREE, dataset="toy")
    assert any("no false match rate" in line for line in written.missing)
    assert any("no threshold at FMR 0.001: 3,540 dev" in line for line in written.missing)
    with pytest.raises(InputError, match="of every judge"):
        made.report({LOSS.space: one}, provenance=FREE, dataset="toy")
    with pytest.raises(InputError, match="stranger@0"):
        made.report({JUDGE.space: one, "stranger@0": one}, provenance=FREE, dataset="toy")


@pytest.mark.parametrize("options", [{"judges": ()}, {"judges": (JUDGE, JUDGE)}, {"data": "lab"}])
def test_a_panel_that_is_none(options):
    with pytest.raises(InputError):
        panel(**options)


def test_weights_are_told_apart_by_their_hash():
    assert same_weights("a@123456789abc", "b@123456789abc")
    assert not same_weights("a@123456789abc", "a@abcdef123456")
    assert same_weights("a", "a")
    assert not same_weights("a", "b")

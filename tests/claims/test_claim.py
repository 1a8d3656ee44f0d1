"""The harness on planted claims: what is shown, what is not, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from vultus.claims import Claim, ClaimResult, Context, OverBudget, claim, find, run
from vultus.claims import _kept as kept
from vultus.claims import _run as running
from vultus.claims._verdict import gain, verdict
from vultus.errors import InputError, Refused, StoreError, UnknownMethod
from vultus.ops.stats import paired_bootstrap
from vultus.types import Provenance

PEOPLE = 30


def made(**options: object) -> ClaimResult:
    rng = np.random.default_rng(0)
    base = rng.standard_normal((3, PEOPLE))
    given = {
        "arms": {"b": base, "m": base + 0.4 + 0.1 * rng.standard_normal(base.shape), "c": base},
        "method": "m",
        "baseline": "b",
        "units": range(PEOPLE),
        "unit": "person",
        "metric": "score",
        "higher_is_better": True,
        "data": "sim",
    }
    return ClaimResult(**{**given, **options})  # type: ignore[arg-type]


def of(function, **options: object) -> Claim:
    """A claim of this test's own."""
    return claim(**{"paper": 0, "minutes": 1.0, **options})(function)  # type: ignore[arg-type]


# ---------------------------------------------------------------- the verdict
def test_a_planted_gain_is_shown_and_its_mirror_is_not():
    result = made()
    answer = verdict(result, "nano")
    assert answer.status == "shown"
    assert answer.effect.value == pytest.approx(0.4, abs=0.05)
    assert answer.effect.low <= answer.effect.value <= answer.effect.high
    swapped = verdict(made(method="b", baseline="m"), "nano")
    assert swapped.status == "not-shown"
    assert "worse" in swapped.why
    lower = verdict(made(higher_is_better=False), "nano")
    assert (lower.status, lower.effect.value) == ("not-shown", -answer.effect.value)


def test_the_interval_is_the_paired_one_over_people():
    result = made()
    means = {name: values.mean(0) for name, values in result.arms.items()}
    direct = paired_bootstrap(means["m"], means["b"], np.arange(PEOPLE), rng=np.random.default_rng(0))
    found = gain(result, "m")
    assert (found.value, found.low, found.high) == pytest.approx((direct.value, direct.low, direct.high))


@pytest.mark.parametrize(
    ("options", "status", "why"),
    [
        ({"min_effect": 0.6}, "not-shown", "smaller than the 0.6"),
        ({"min_effect": 0.385}, "shown", "excludes 0"),  # the gain is held to it, not the end of its interval
        ({"controls": ("c",)}, "shown", "excludes 0"),
        ({"invalid": "judge f_eval: EER 4 %"}, "invalid", "EER 4 %"),
    ],
)
def test_the_rules(options, status, why):
    answer = verdict(made(**options), "nano")
    assert answer.status == status
    assert why in answer.why


@pytest.mark.parametrize("gains", [0.1, 1.4])
def test_a_control_that_gains_fails_the_claim(gains):
    """However little: it need not be as good as the method."""
    result = made()
    answer = verdict(made(arms={**result.arms, "c": result.arms["b"] + gains}, controls=("c",)), "nano")
    assert answer.status == "not-shown"
    assert "control c gains" in answer.why


def test_tiny_concludes_nothing():
    assert verdict(made(), "tiny").status == "wired"


def test_few_units_carry_no_interval():
    arms = {"b": np.zeros((3, 5)), "m": np.ones((3, 5))}
    answer = verdict(made(arms=arms, units=range(5)), "nano")
    assert answer.status == "not-shown"
    assert "5 persons, at least 6" in answer.why
    assert verdict(made(arms={k: v[:, :1].repeat(6, 1) for k, v in arms.items()}, units=range(6)), "nano").status == (
        "shown"
    )


def test_where_the_unit_is_the_seed_seeds_are_drawn():
    arms = {"b": np.zeros(6), "m": np.array([1.0, 1, 1, 1, 1, -9])}
    assert verdict(made(arms=arms, units=(), unit="seed"), "nano").status == "not-shown"
    assert verdict(made(arms={"b": np.zeros(6), "m": np.ones(6)}, units=(), unit="seed"), "nano").status == "shown"
    assert (
        "3 seeds, at least 6"
        in verdict(made(arms={"b": np.zeros(3), "m": np.ones(3)}, units=(), unit="seed"), "nano").why
    )


def test_units_of_one_id_are_drawn_together():
    result = made(units=[i % 6 for i in range(PEOPLE)])
    assert gain(result, "m").n == 6


@pytest.mark.parametrize("space", ["judge@aaaaaaaaaaaa", "other_name@aaaaaaaaaaaa"])
def test_a_judge_that_was_in_a_loss_is_refused(space):
    loss = Provenance("toy", loss_spaces=frozenset({space}))
    answer = verdict(made(judges=("judge@aaaaaaaaaaaa",), provenance=(loss,)), "nano")
    assert answer.status == "refused"
    assert "was in a loss" in answer.why
    assert verdict(made(judges=("judge@bbbbbbbbbbbb",), provenance=(loss,)), "nano").status == "shown"


def test_under_no_gain_little_is_shown():
    """2.5 % of claims without any effect are shown by luck; more than 7 of 100 come once in 200 batches."""
    rng = np.random.default_rng(5)
    shown = 0
    for _ in range(100):
        person = rng.standard_normal((1, 40))
        arms = {name: person + rng.standard_normal((3, 40)) for name in ("b", "m")}
        shown += verdict(made(arms=arms, units=range(40)), "nano").status == "shown"
    assert shown <= 7


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"method": "x"}, "expected arms among b, m, c; got x"),
        ({"method": "b"}, "different arms"),
        ({"controls": ("m",)}, "different arms"),
        ({"arms": {"b": np.zeros((3, 4)), "m": np.zeros((3, 5))}}, "same seeds and units"),
        ({"units": range(3)}, "units: expected 30"),
        ({"arms": {"b": np.zeros((3, 30)), "m": np.full((3, 30), np.nan)}}, "finite"),
        ({"data": "lab"}, "sim or real"),
        ({"metric": ""}, "words"),
        ({"provenance": ({"loss_spaces": []},)}, "Provenance"),
        ({"judges": ("f_eval@aaaaaaaaaaaa",)}, "what the judges judged"),
        ({"min_effect": -1.0}, "min_effect"),
        ({"picture": np.zeros((4, 4), np.uint8)}, "picture"),
    ],
)
def test_a_malformed_result_is_refused_in_words(options, said):
    with pytest.raises(InputError, match=said):
        made(**options)


# ---------------------------------------------------------------- declaring and finding
@pytest.mark.parametrize("options", [{"scale": "tiny"}, {"seeds": 2}, {"minutes": 0.0}, {"minutes": 26.0}])
def test_a_declaration_is_checked(options):
    with pytest.raises(InputError):
        of(lambda ctx: made(), **options)


def test_claims_are_found_by_name_and_by_file(planted, tmp_path):
    assert list(planted) == ["better", "equal", "slow"]
    assert planted["better"].summary == "The method is better by half a point for everybody."
    with pytest.raises(UnknownMethod, match="unknown claim"):
        find("no_such_claim")
    with pytest.raises(InputError, match="no such file"):
        find(str(tmp_path / "none.py"))
    (tmp_path / "empty.py").write_text("from vultus.claims import claim\n")
    with pytest.raises(InputError, match="found none"):
        find(str(tmp_path / "empty.py"))


# ---------------------------------------------------------------- running
def test_a_run_is_written_with_everything_that_made_it(planted, tmp_path):
    outcome = run(planted["better"], scale="nano", folder=tmp_path)
    assert outcome.status == "shown"
    document = json.loads((outcome.folder / "better.nano.json").read_text())
    assert document == outcome.document
    assert document["seeds"] == [0, 1, 2]
    assert document["effect"]["low"] > 0
    assert {"code", "commit", "version", "device", "libraries", "python", "date"} <= set(document)
    with np.load(outcome.folder / "arms.npz") as arms:
        assert arms["arm_method"].shape == (3, 40)
    again = run(planted["better"], scale="nano", folder=tmp_path / "again")
    assert again.effect == outcome.effect
    equal = run(planted["equal"], scale="nano", folder=tmp_path)
    assert (equal.status, equal.document["why"]) == ("not-shown", "the interval of the gain holds 0")
    assert run(planted["better"], folder=tmp_path).status == "wired"


@pytest.mark.parametrize(("scale", "seeds"), [("nano", 2), ("nano", (1, 1, 2)), ("tiny", 0), ("paper", None)])
def test_scales_and_seeds_are_checked(planted, tmp_path, scale, seeds):
    with pytest.raises(InputError):
        run(planted["better"], scale=scale, seeds=seeds, folder=tmp_path)


def test_a_refusal_is_an_answer(tmp_path):
    def nosy(ctx: Context) -> ClaimResult:
        raise Refused("the judge was in the loss")

    outcome = run(of(nosy), scale="nano", folder=tmp_path)
    assert (outcome.status, outcome.document["why"]) == ("refused", "the judge was in the loss")


def test_what_is_no_result_is_refused(tmp_path):
    with pytest.raises(InputError, match="expected a ClaimResult, got int"):
        run(of(lambda ctx: 3), folder=tmp_path)
    with pytest.raises(InputError, match="expected 2 rows, one per seed; got 3"):
        run(of(lambda ctx: made()), folder=tmp_path)


class Clock:
    """Seconds that pass when somebody works."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_over_its_minutes_it_stops_and_goes_on_with_more(tmp_path):
    clock, ran = Clock(), []

    def work(name: str) -> np.ndarray:
        ran.append(name)
        clock.now += 25.0
        return np.arange(8.0)

    def hungry(ctx: Context) -> ClaimResult:
        rows = [ctx.step(f"work-{seed}", work, seed) for seed in ctx.seeds]
        base = np.stack(rows)
        return made(arms={"b": base, "m": base + 1}, units=range(8))

    hungry_claim = of(hungry)
    first = run(hungry_claim, scale="nano", folder=tmp_path, clock=clock)
    assert first.status == "budget"
    assert first.document["minutes"] == pytest.approx(75 / 60, abs=1e-3)
    assert first.effect is None
    assert "1 were declared" in first.document["why"]
    again = run(hungry_claim, scale="nano", folder=tmp_path, clock=clock)
    assert again.status == "budget", "time that an earlier run has spent counts"
    more = run(hungry_claim, scale="nano", minutes=2, folder=tmp_path, clock=clock)
    assert more.status == "shown"
    assert more.document["kept_steps"] == 3
    assert more.document["minutes"] == pytest.approx(75 / 60, abs=1e-3)
    assert ran == [0, 1, 2]
    run(hungry_claim, scale="nano", minutes=2, folder=tmp_path, clock=clock, fresh=True)
    assert ran == [0, 1, 2, 0, 1, 2]
    run(hungry_claim, scale="nano", minutes=2, seeds=(0, 1, 3), folder=tmp_path, clock=clock)
    assert ran[6:] == [0, 1, 3], "steps are those of the seeds"


def test_steps_are_those_of_the_code(tmp_path, monkeypatch):
    text = (
        "import numpy as np\nfrom vultus.claims import ClaimResult, claim\n\n\n@claim(paper=0, minutes=1)\n"
        "def mine(ctx):\n    base = ctx.step('one', np.arange, 8.0)\n"
        "    arms = {'b': [base] * 2, 'm': [base + 1] * 2}\n"
        "    return ClaimResult(arms, 'm', 'b', range(8), 'person', 'score', True, 'sim')\n"
    )
    (tmp_path / "mine.py").write_text(text)

    def once() -> tuple[int, str]:
        outcome = run(*find(str(tmp_path / "mine.py")), folder=tmp_path)
        assert len(list((outcome.folder / "steps").iterdir())) == 1, "steps of older code are forgotten"
        return outcome.document["kept_steps"], outcome.document["code"]

    (kept_first, first), again = once(), once()
    assert (kept_first, again) == (0, (1, first))
    (tmp_path / "mine.py").write_text(text + "# changed\n")
    kept_second, second = once()
    assert (kept_second, second != first) == (0, True)
    (tmp_path / "package").mkdir()
    (tmp_path / "package/a.py").write_text("x = 1\n")
    monkeypatch.setattr(running, "_ROOT", tmp_path / "package")
    running._package_code.cache_clear()
    kept_third, third = once()
    (tmp_path / "package/a.py").write_text("x = 2\n")
    running._package_code.cache_clear()
    try:
        assert once()[1] != third
        assert kept_third == 0
    finally:
        running._package_code.cache_clear()


def test_progress_is_told_and_held_to_the_budget(tmp_path):
    clock, told = Clock(), []

    def endless(ctx: Context) -> ClaimResult:
        for done in range(10_000):
            clock.now += 7.0
            try:
                ctx.progress(done, 10_000, "steps")
            except ValueError:
                pytest.fail("a claim must not catch the end of its budget by accident")
        raise AssertionError("the budget did not stop it")

    outcome = run(of(endless), scale="nano", folder=tmp_path, clock=clock, tell=lambda *words: told.append(words))
    assert outcome.status == "budget"
    assert told[-1] == (8, 10_000, "steps")
    assert not issubclass(OverBudget, (InputError, ValueError))


def test_a_result_that_comes_too_late_is_none(tmp_path):
    clock = Clock()

    def silent(ctx: Context) -> ClaimResult:
        clock.now += 61.0
        return made()

    outcome = run(of(silent), scale="nano", folder=tmp_path, clock=clock)
    assert (outcome.status, outcome.effect) == ("budget", None)
    assert "arms" not in outcome.document


def test_a_step_is_named_once(tmp_path):
    def twice(ctx: Context) -> ClaimResult:
        ctx.step("a", int)
        ctx.step("a", int)
        return made()

    with pytest.raises(InputError, match="twice"):
        run(of(twice), folder=tmp_path)
    with pytest.raises(InputError, match="expected a name"):
        run(of(lambda ctx: ctx.step("a/b", int)), folder=tmp_path)


def test_random_numbers_follow_the_words(tmp_path):
    ctx = Context("tiny", (0,), 1.0, tmp_path)
    assert ctx.rng("a", 1).integers(1 << 30) == ctx.rng("a", 1).integers(1 << 30)
    assert ctx.rng("a", 1).integers(1 << 30) != ctx.rng("a", 2).integers(1 << 30)
    assert ctx.rng("a", 1).integers(1 << 30) != ctx.rng("a1").integers(1 << 30)


# ---------------------------------------------------------------- what is kept
PLAIN = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
)
VALUES = st.recursive(
    PLAIN,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.sampled_from(["v", "a", "d", "name"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(
    value=VALUES,
    array=arrays_of.arrays(np.float32, arrays_of.array_shapes(max_side=3), elements=st.floats(-1, 1, width=32)),
)
def test_what_is_kept_comes_back(tmp_path_factory, value, array):
    path = tmp_path_factory.getbasetemp() / "kept" / "step.npz"
    kept.write(path, {"value": value, "array": [array]}, 1.5)
    back, seconds = kept.read(path)
    assert seconds == 1.5
    assert back["value"] == value
    assert type(back["value"]) is type(value)
    assert np.array_equal(back["array"][0], array)
    assert back["array"][0].dtype == np.float32
    assert kept.copy(value, "step") == value


def test_what_cannot_be_kept_is_named(tmp_path):
    with pytest.raises(InputError, match="got set"):
        kept.write(tmp_path / "a.npz", {"x": {1, 2}}, 0.0)
    with pytest.raises(InputError, match="got ndarray"):
        kept.write(tmp_path / "a.npz", np.array([{}]), 0.0)
    (tmp_path / "b.npz").write_bytes(b"PK\x03\x04 damaged")
    with pytest.raises(StoreError, match="--fresh"):
        kept.read(tmp_path / "b.npz")
    assert kept.read(tmp_path / "none.npz") is None

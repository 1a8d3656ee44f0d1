"""Simulated raters: what was planted is what is measured."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vultus.errors import InputError
from vultus.sim import faces, raters
from vultus.sim.raters import Questions, RaterWorld

SKIN = ("light", "dark")


def verification(rng, count, *, factors=2.0, **strata):
    """As many mated as non-mated pairs; non-mated ones as far apart as strangers are."""
    mated = np.arange(count) % 2 == 0
    person = np.where(mated, 0.0, np.clip(rng.normal(5.0, 1.0, count), 0.5, None))
    return Questions(person, rng.uniform(0, factors, count), mated, "verify", strata)


def logistic(design, right, cluster):
    """Coefficients and cluster-robust deviations of a logistic model, by Newton's method."""
    beta = np.zeros(design.shape[1])
    for _ in range(25):
        p = 1 / (1 + np.exp(-design @ beta))
        hessian = design.T @ (design * (p * (1 - p))[:, None])
        beta = beta + np.linalg.solve(hessian, design.T @ (right - p))
    scores = design * (right - p)[:, None]
    sums = np.zeros((cluster.max() + 1, design.shape[1]))
    np.add.at(sums, cluster, scores)
    bread = np.linalg.inv(hessian)
    return beta, np.sqrt(np.diag(bread @ (sums.T @ sums) @ bread))


def test_a_planted_bias_is_recovered_inside_its_interval():
    world = RaterWorld(groups={"skin=dark": -0.4}, own_group=0.3, lapse=0.0, task={"verify": -0.5}, width=3.0)
    inside, found = 0, []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        questions = verification(rng, 400, skin=np.array(SKIN)[rng.integers(0, 2, 400)])
        workers = raters.draw_workers(rng, 40, world, SKIN)
        got = raters.answer(questions, workers, rng, world, per_question=12)
        perceived = np.hypot(questions.person, world.nuisance * questions.factors)[got.question]
        mated = questions.mated[got.question]
        dark = questions.strata["skin"][got.question] == "dark"
        own = questions.strata["skin"][got.question] == workers.group[got.worker]
        design = np.column_stack([np.ones(len(dark)), dark, own, mated, np.where(mated, -perceived, perceived)])
        beta, spread = logistic(design.astype(float), got.correct.astype(float), got.question)
        inside += abs(beta[1] - got.bias["skin=dark"]) < 1.96 * spread[1]
        found.append(beta[1:3])
    assert inside >= 17
    assert np.mean(found, axis=0) == pytest.approx([-0.4, 0.3], abs=0.08)


def test_more_distance_makes_mated_pairs_look_different_and_others_too():
    rng = np.random.default_rng(1)
    world = RaterWorld(worker_sd=0, question_sd=0, lapse=0)
    workers = raters.draw_workers(rng, 200, world)
    for mated, sense in ((True, -1), (False, 1)):
        share = []
        for far in np.linspace(0.0, 8.0, 6):
            person = np.full(30, 0.0 if mated else max(far, 0.1))
            factors = np.full(30, far if mated else 0.0)
            share.append(
                raters.answer(Questions(person, factors, np.full(30, mated)), workers, rng, world).correct.mean()
            )
        assert (np.diff(share) * sense > 0).all()
    at_threshold = Questions(np.full(30, world.threshold), np.zeros(30), np.full(30, False))
    assert raters.answer(at_threshold, workers, rng, world).correct.mean() == pytest.approx(0.5, abs=0.03)


@given(lapse=st.floats(0, 0.9), options=st.sampled_from([2, 9]), seed=st.integers(0, 99))
def test_a_lapse_is_right_by_chance_alone(lapse, options, seed):
    rng = np.random.default_rng(seed)
    world = RaterWorld(threshold=100, worker_sd=0, question_sd=0, lapse=lapse)
    task = "verify" if options == 2 else "identify"
    questions = Questions(np.zeros(100), np.zeros(100), np.full(100, True), task, options=options)
    got = raters.answer(questions, raters.draw_workers(rng, 40, world), rng, world)
    assert got.lapsed.mean() == pytest.approx(lapse, abs=0.05)
    assert got.correct[~got.lapsed].all()  # nobody errs on what is clear
    assert got.correct.mean() == pytest.approx(1 - lapse + lapse / options, abs=0.05)
    assert got.value.min() >= 0
    assert got.value.max() < options


def test_a_guess_bounds_from_below():
    rng = np.random.default_rng(2)
    world = RaterWorld(threshold=-100, guess=1 / 9, lapse=0)
    questions = Questions(np.zeros(100), np.zeros(100), np.full(100, True), "identify", options=9)
    assert raters.answer(questions, raters.draw_workers(rng, 60, world), rng, world).correct.mean() == pytest.approx(
        1 / 9, abs=0.02
    )


def test_ratings_tell_mated_from_non_mated_and_scatter_around_the_doubtful():
    rng = np.random.default_rng(3)
    questions = verification(rng, 300, factors=1.0)
    got = raters.rate(questions, raters.draw_workers(rng, 30), rng, per_question=9)
    assert set(np.unique(got.value)) == {1, 2, 3, 4, 5}
    confidence = np.bincount(got.question, (got.value - 1) / 4, 300) / 9
    assert confidence[questions.mated].mean() > 0.8
    assert confidence[~questions.mated].mean() < 0.4
    order = np.argsort(questions.person[~questions.mated])
    near, far = confidence[~questions.mated][order[:40]].mean(), confidence[~questions.mated][order[-40:]].mean()
    assert near > far + 0.1  # look-alikes are rated higher


def test_a_leaning_raises_ratings_and_three_is_on_neither_side():
    world, questions = RaterWorld(lapse=0, question_sd=0), Questions([3.0] * 200, [0.0] * 200, [False] * 200)
    given = {}
    for leaning in (-2.0, 2.0):
        workers = raters.Workers(np.zeros(5), np.full(5, leaning), np.full(5, ""))
        got = raters.rate(questions, workers, np.random.default_rng(0), world)
        assert (got.correct == (got.value < 3)).all()
        given[leaning] = got.value.mean()
    assert given[2.0] > given[-2.0] + 1


def test_a_task_a_question_and_a_close_call_have_their_effects():
    rng, still = np.random.default_rng(1), RaterWorld(worker_sd=0, question_sd=0, lapse=0)
    workers = raters.draw_workers(rng, 60, still)
    doubtful = ([still.threshold + 1.5] * 200, [0.0] * 200, [False] * 200)
    share = {}
    for task in ("verify", "identify"):
        got = raters.answer(Questions(*doubtful, task, options=5), workers, rng, still)
        share[task] = got.correct.mean()
        assert (got.correct == (got.value == 0)).all()  # 0 is different, and the right one of five
    assert share["verify"] == pytest.approx(1 / (1 + np.exp(-1)), abs=0.02)
    assert share["identify"] == pytest.approx(1 / (1 + np.exp(-0.2)), abs=0.02)
    uneven = raters.answer(Questions(*doubtful), workers, rng, replace(still, question_sd=1.0))
    of_each = [uneven.log_odds[uneven.question == k] for k in range(200)]
    assert max(np.ptp(odds) for odds in of_each) < 1e-12
    assert np.std([odds[0] for odds in of_each]) == pytest.approx(1.0, abs=0.15)
    far = raters.answer(Questions([12.0] * 200, [0.0] * 200, [False] * 200), workers, rng, still)
    assert np.median(far.rt_s) < 0.7 * np.median(got.rt_s)


def test_every_question_is_seen_by_different_workers_and_the_same_seed_says_the_same():
    questions = verification(np.random.default_rng(4), 50)
    one, other = (
        raters.answer(questions, raters.draw_workers(rng, 20), rng, per_question=7)
        for rng in (np.random.default_rng(5), np.random.default_rng(5))
    )
    assert np.bincount(one.question).tolist() == [7] * 50
    assert len(set(zip(one.worker.tolist(), one.question.tolist(), strict=True))) == 350
    for name in ("worker", "question", "value", "correct", "rt_s", "lapsed", "log_odds"):
        assert np.array_equal(getattr(one, name), getattr(other, name))
    assert (one.rt_s > 0).all()


def test_distances_of_drawn_people_and_pictures():
    rng = np.random.default_rng(6)
    people = [faces.person_of(seed) for seed in range(12)]
    apart = [raters.person_distance(a, b) for k, a in enumerate(people) for b in people[:k]]
    assert min(apart) > 2.5
    assert np.mean(apart) == pytest.approx(4.0, abs=0.5)
    assert raters.person_distance(people[0], people[0]) == 0
    one, other = faces.sample_factors(rng), faces.sample_factors(rng)
    assert raters.factor_distance(one, one) == 0
    assert raters.factor_distance(one, other) == raters.factor_distance(other, one) > 0
    turned = replace(one, pose_deg=one.pose_deg + np.array([30, 0, 0], np.float32))
    assert raters.factor_distance(one, turned) == pytest.approx(1.0, abs=1e-5)


@given(error=st.floats(0, 1), classes=st.integers(2, 9))
def test_an_annotator_errs_as_often_as_told(error, classes):
    true = np.arange(3000) % classes
    said = raters.noisy_labels(true, classes, error, np.random.default_rng(7))
    assert (said != true).mean() == pytest.approx(error, abs=0.04)
    assert said.min() >= 0
    assert said.max() < classes


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: RaterWorld(lapse=1.0), "lapse: expected a share"),
        (lambda: RaterWorld(cuts=(1, 0, 2, 3)), "cuts: expected four rising"),
        (lambda: Questions([1.0], [0.0], [True]), "a distance of 0 between the persons of mated pairs"),
        (lambda: Questions([1.0, 2.0], [0.0], [False, False]), "columns of one length"),
        (lambda: Questions([np.nan], [0.0], [False]), "distances of 0 or more"),
        (lambda: raters.draw_workers(np.random.default_rng(0), 0), "at least one worker"),
        (lambda: raters.noisy_labels([2], 2, 0.1, np.random.default_rng(0)), "labels of 0 to classes - 1"),
        (lambda: ask(task="sing"), "task: expected one of verify, identify"),
        (lambda: ask(per_question=3), "per_question: expected 1 to 2 workers"),
    ],
)
def test_refusals(call, said):
    with pytest.raises(InputError, match=said):
        call()


def ask(task="verify", per_question=None):
    rng = np.random.default_rng(0)
    questions = Questions([0.0], [0.0], [True], task)
    return raters.answer(questions, raters.draw_workers(rng, 2), rng, per_question=per_question)

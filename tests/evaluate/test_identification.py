"""Identification: searches worked by hand, an independent slow form, draws as repeated people, templates by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vultus.errors import InputError
from vultus.evaluate.metrics.identification import (
    Searches,
    _draws,
    closed_set,
    mean_average_precision,
    open_set,
    search,
)
from vultus.evaluate.metrics.templates import pooled

DRAWS = 20


def rng(seed=0):
    return np.random.default_rng(seed)


def plane(*degrees):
    """Unit vectors of the plane by their angle."""
    angle = np.deg2rad(np.array(degrees, float))
    return np.stack([np.cos(angle), np.sin(angle)], 1).astype(np.float32)


def by_hand():
    """Gallery: person 1 at 0 and 90 degrees, 2 at 60, 3 at 180; probes: 1 at 10 and 70, 2 at 200, 9 at 61 and 120."""
    return search(plane(10, 70, 200, 61, 120), [1, 1, 2, 9, 9], plane(0, 90, 60, 180), [1, 1, 2, 3])


def test_a_search_by_hand():
    found = by_hand()
    assert found.mated.tolist() == [True, True, True, False, False]
    assert found.n_gallery == 4
    # probe at 70: person 1 is 20 degrees away (entry at 90), person 2 is 10: second place
    assert found.rank.tolist() == [1, 2, 3, 0, 0]  # at 200: 3 is 20 degrees away, 1 is 110, 2 is 140
    np.testing.assert_allclose(found.mate[:3], np.cos(np.deg2rad([10, 20, 140])), atol=1e-6)
    np.testing.assert_allclose(found.best, np.cos(np.deg2rad([10, 10, 20, 1, 30])), atol=1e-6)
    assert np.isneginf(found.mate[3:]).all()
    # probe at 10: places 1 (at 0) and 3 (at 90, after 2 at 60): trapezoids (1 + 1) / 2 and (2/3 + 1/2) / 2
    # probe at 70: places 2 (at 90) and 3 (at 0): (1/2 + 0) / 2 and (2/3 + 1/2) / 2; probe at 200: place 3, (1/3) / 2
    want = [(1 + 7 / 12) / 2, (1 / 4 + 7 / 12) / 2, 1 / 6]
    np.testing.assert_allclose(found.precision[:3], want)


def test_rates_by_hand():
    found = by_hand()
    one, two, three = closed_set([found], (1, 2, 3), rng=rng(), n_boot=DRAWS)
    assert (one.value, two.value, three.value) == pytest.approx((1 / 3, 2 / 3, 1))
    assert (one.unit, one.n) == ("share", 3)
    precision = mean_average_precision([found], rng=rng(), n_boot=DRAWS)
    assert precision.value == pytest.approx(((1 + 7 / 12) / 2 + (1 / 4 + 7 / 12) / 2 + 1 / 6) / 3)
    # alarms score cos 1 and cos 30: half of them at the first, all at the second
    rates = open_set([found], [0.4, 0.5, 1.0], rank=None, rng=rng(), n_boot=DRAWS)
    np.testing.assert_allclose(rates.thresholds[0], np.cos(np.deg2rad([1, 1, 30])), atol=1e-6)
    assert rates.thresholds[0, 0] > rates.thresholds[0, 1]
    # of the mates at 10, 20 and 140 degrees none reaches cos 1, two reach cos 30, one of them is first
    assert [m.value for m in rates.tpirs] == pytest.approx([0, 0, 2 / 3])
    first = open_set([found], [1.0], rank=1, rng=rng(), n_boot=DRAWS)
    assert first.tpirs[0].value == pytest.approx(1 / 3)
    assert "2 false alarms expected" in first.tpirs[0].note


def test_ties_count_against_the_probe():
    found = search(plane(0), [1], plane(0, 0, 0), [1, 2, 3])
    assert found.rank.tolist() == [3]


def test_what_was_not_detected_is_missed_and_raises_no_alarm():
    probes = np.concatenate([np.zeros((2, 2), np.float32), plane(0)])
    found = search(probes, [1, 9, 2], np.concatenate([plane(0, 5), np.zeros((1, 2), np.float32)]), [1, 3, 2])
    assert found.best.tolist()[:2] == [-1, -1]
    assert found.mate.tolist() == [-1, -np.inf, -1]
    assert found.rank.tolist() == [3, 0, 3]


def test_nobody_is_the_mate_of_a_distractor():
    found = search(plane(0, 10), [-1, 1], plane(0, 10), [-1, 1])
    assert found.mated.tolist() == [False, True]


def test_two_galleries_are_averaged():
    """One gallery finds all of two probes, the other one of four: the mean is of the galleries, not of the probes."""
    a = search(plane(0, 90), [1, 2], plane(0, 90), [1, 2])
    b = search(plane(0, 90, 91, 92), [1, 1, 1, 1], plane(0, 90), [1, 2])
    assert closed_set([a, b], (1,), rng=rng(), n_boot=DRAWS)[0].value == pytest.approx((1 + 1 / 4) / 2)


def slow(scores, who, whose, fpir, rank):
    """The definitions, one probe at a time."""
    alarms = sorted((max(row) for row, p in zip(scores, who, strict=True) if p not in whose), reverse=True)
    allowed = max((k for k in range(len(alarms) + 1) if k / len(alarms) <= fpir + 1e-12), default=0)
    bars = [t for t in [*alarms, np.nextafter(alarms[0], 9)] if sum(a >= t for a in alarms) <= allowed]
    hits, mated = 0, 0
    for row, p in zip(scores, who, strict=True):
        own = [s for s, g in zip(row, whose, strict=True) if g == p]
        if own:
            mated += 1
            place = 1 + sum(s >= max(own) for s, g in zip(row, whose, strict=True) if g != p)
            hits += max(own) >= min(bars) and place <= rank
    return hits / mated


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.1, 0.3, 0.5, 1.0]), st.integers(1, 3))
def test_equals_the_slow_form(seed, fpir, rank):
    chance = rng(seed)
    whose, who = np.repeat(np.arange(4), 2), chance.integers(0, 8, 14)
    who[:2] = 0, 7
    gallery, probes = (np.round(chance.normal(size=(n, 3)), 1) + 0.05 for n in (len(whose), len(who)))
    gallery, probes = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (gallery, probes))
    found = search(probes, who, gallery, whose, block=5)
    scores = probes.astype(np.float32) @ gallery.astype(np.float32).T
    got = open_set([found], [fpir], rank=rank, rng=rng(), n_boot=2).tpirs[0]
    assert got.value == pytest.approx(slow(scores.tolist(), who.tolist(), whose.tolist(), fpir, rank))


@pytest.mark.parametrize("seed", [0, 1, 3, 4, 5, 7])
def test_a_draw_is_people_repeated(seed):
    """A draw with weights w is the same as searching each probe of a person w times."""
    chance = rng(seed)
    who = np.repeat(np.arange(10), chance.integers(1, 5, 10))
    found = search(directions(chance, len(who)), who, directions(chance, 5), np.arange(5))
    times = next(_draws(10, 1, rng(seed))).astype(int)[who]
    columns = ("subject", "best", "mate", "rank", "precision")
    again = Searches(*(np.repeat(getattr(found, column), times) for column in columns), 5)
    drawn = open_set([found], [0.7], rank=None, rng=rng(seed), n_boot=1).tpirs[0]
    assert 0 < drawn.value < 1
    want = open_set([again], [0.7], rank=None, rng=rng(), n_boot=1).tpirs[0].value
    assert drawn.low == drawn.high == pytest.approx(want)
    mean = mean_average_precision([found], rng=rng(seed), n_boot=1)
    assert mean.low == pytest.approx(mean_average_precision([again], rng=rng(), n_boot=1).value)


def test_who_is_not_in_a_draw_does_not_hold_the_threshold():
    """In a draw without 9, whose alarm is the highest, the two of 8 are too many: the bar is just above them, and the
    mate at 0.6 passes it though not the score of 9.
    """
    best, mate = np.array([0.6, 0.95, 0.3, 0.5, 0.9]), np.array([0.6, 0.95, *[-np.inf] * 3])
    rank, precision = np.array([1, 1, 0, 0, 0]), np.array([1.0, 1.0, *[np.nan] * 3])
    found = Searches(np.array([1, 2, 7, 8, 9]), best, mate, rank, precision, 3)
    seed = next(k for k in range(5000) if next(_draws(5, 1, rng(k))).tolist() == [1, 1, 1, 2, 0])
    drawn = open_set([found], [0.25], rng=rng(seed), n_boot=1).tpirs[0]
    assert drawn.value == 0.5
    assert drawn.low == drawn.high == 1


def test_intervals_hold_the_value_and_narrow_with_people():
    widths = []
    for n in (40, 640):
        chance = rng(n)
        who = np.repeat(np.arange(n), 2)
        score = chance.normal(size=2 * n) + 2 * (who % 2)
        mated = who % 2 == 1
        found = Searches(who, score, np.where(mated, score, -np.inf), mated.astype(int), np.where(mated, 1, np.nan), n)
        rate = open_set([found], [0.2], rng=rng(), n_boot=200).tpirs[0]
        assert rate.low < rate.value < rate.high
        assert rate.n == n
        widths.append(rate.high - rate.low)
    assert widths[1] < 0.5 * widths[0]


def test_ends_where_nothing_went_wrong():
    """No miss among four people: the lower end is 1 - 3 / 4, as if they were four independent observations."""
    all_found = search(plane(0, 40, 80, 120), range(4), plane(0, 40, 80, 120), range(4))
    rank, never = closed_set([all_found], [1], rng=rng(), n_boot=DRAWS)[0], search(plane(0, 5), [1, 9], plane(90), [1])
    assert (rank.low, rank.value, rank.high) == (0.25, 1, 1)
    missed = open_set([never], [1.0], rng=rng(), n_boot=DRAWS).tpirs[0]
    assert (missed.low, missed.value, missed.high) == (0, 0, 1)


def test_a_mate_at_the_threshold_is_identified():
    found = search(plane(0, 0), [1, 9], plane(0), [1])
    assert open_set([found], [1.0], rng=rng(), n_boot=4).tpirs[0].value == 1


def directions(chance, n):
    x = chance.normal(size=(n, 4))
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def test_refusals():
    found = by_hand()
    with pytest.raises(InputError, match="at least one of each"):
        search(np.zeros((0, 2)), [], plane(0), [1])
    with pytest.raises(InputError, match=r"rates in \(0, 1\]"):
        open_set([found], [0.0], rng=rng())
    with pytest.raises(InputError, match="does not hold, got none"):
        open_set([search(plane(0), [1], plane(0), [1])], [0.1], rng=rng())
    with pytest.raises(InputError, match="a gallery without one"):
        closed_set([search(plane(0), [2], plane(0), [1])], [1], rng=rng())
    with pytest.raises(InputError, match="numbers from 1"):
        closed_set([found], [0], rng=rng())


# ---------------------------------------------------------------- templates


def test_templates_by_hand():
    """A video of three frames counts as one photograph: (mean of the frames) + (photograph), then length 1."""
    vectors = [[1, 0], [0, 2], [0, 4], [0, 6], [3, 4]]
    got = pooled(vectors, [0, 0, 0, 0, 2], [7, 5, 5, 5, 5], 3)
    np.testing.assert_allclose(got, [[1 / 17**0.5, 4 / 17**0.5], [0, 0], [0.6, 0.8]], atol=1e-6)


def test_weights_by_hand():
    """Weights act before the mean of a medium, as in the released evaluations: (.5 * 2 + 1 * 4) / 2 = 2.5."""
    got = pooled([[0, 2], [0, 4], [1, 0]], [0, 0, 0], [1, 1, 2], 1, weights=[0.5, 1, 2])
    np.testing.assert_allclose(got, [[2 / 10.25**0.5, 2.5 / 10.25**0.5]], atol=1e-6)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_order_does_not_matter_and_one_picture_stays(seed):
    chance = rng(seed)
    vectors, owner, media = chance.normal(size=(40, 5)), chance.integers(0, 6, 40), chance.integers(0, 4, 40)
    shuffled = chance.permutation(40)
    a = pooled(vectors, owner, media, 7)
    np.testing.assert_allclose(a, pooled(vectors[shuffled], owner[shuffled], media[shuffled], 7), atol=1e-6)
    assert not a[6].any()
    alone = pooled(vectors, np.arange(40), np.zeros(40), 40)
    np.testing.assert_allclose(alone, vectors / np.linalg.norm(vectors, axis=1, keepdims=True), atol=1e-6)


def test_many_media_are_pooled_in_parts():
    n = 10_000
    owner, media = np.arange(n) // 5000, np.arange(n) // 2
    vectors = np.stack([np.ones(n), np.arange(n) % 2], 1)
    got = pooled(vectors, owner, media, 2)
    np.testing.assert_allclose(got, [[2 / 5**0.5, 1 / 5**0.5]] * 2, atol=1e-5)


def test_template_refusals():
    with pytest.raises(InputError, match="indices from 0 below 1"):
        pooled([[1.0, 0]], [1], [0], 1)
    with pytest.raises(InputError, match="weights from 0"):
        pooled([[1.0, 0]], [0], [0], 1, weights=[-1])

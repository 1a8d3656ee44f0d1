"""Batches of P persons with K pictures: what is in each, that all get their turn, that a run goes on."""

from __future__ import annotations

from collections import Counter
from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vultus.errors import InputError
from vultus.train.samplers import PK, BalancedIdentity


@given(st.lists(st.integers(-1, 8), min_size=1, max_size=60), st.integers(1, 5), st.integers(1, 5), st.integers(0, 9))
def test_every_batch_is_p_persons_with_k_pictures(labels, persons, pictures, seed):
    """Pictures differ where there are enough, and are repeated evenly where not; with fewer persons it refuses."""
    labels = np.array(labels)
    counts = Counter(labels[labels >= 0].tolist())
    if len(counts) < persons:
        with pytest.raises(InputError, match=f"at least {persons} persons"):
            PK(labels, persons, pictures, seed=seed)
        return
    sampler = PK(labels, persons, pictures, seed=seed)
    for number in range(8):
        rows = sampler.batch(number)
        assert rows.shape == (persons, pictures)
        people = [set(labels[row].tolist()) for row in rows]
        assert all(len(one) == 1 for one in people)
        assert len(set.union(*people)) == persons
        assert -1 not in set.union(*people)
        for row in rows:
            times = Counter(row.tolist())
            assert len(times) == min(pictures, counts[int(labels[row[0]])])
            assert max(times.values()) - min(times.values()) <= 1


def test_all_persons_and_all_pictures_get_their_turn():
    labels = np.repeat(np.arange(6), 8)
    sampler = PK(labels, 3, 2)
    for turn in range(4):
        rows = np.concatenate([sampler.batch(2 * turn), sampler.batch(2 * turn + 1)])
        assert sorted(labels[rows[:, 0]]) == list(range(6))
    seen = Counter(np.concatenate([sampler.batch(number).ravel() for number in range(8)]).tolist())
    assert seen == dict.fromkeys(range(48), 1)  # four rounds of two of the eight pictures
    left_over = Counter(np.concatenate([PK(labels, 4, 1).batch(number).ravel() // 8 for number in range(90)]).tolist())
    assert min(left_over.values()) > 45  # 60 each on average: nobody is left out for good


def test_one_picture_per_person_is_repeated_or_left_out():
    assert sorted(PK([4, 9], 2, 3).batch(0).ravel()) == [0, 0, 0, 1, 1, 1]
    with pytest.raises(InputError, match="at least 2 persons with 2 or more pictures, got 0"):
        PK([4, 9], 2, 3, least=2)
    assert set(PK([4, 9, 9, 7, 7], 2, 2, least=2).batch(0).ravel()) == {1, 2, 3, 4}


def test_pictures_are_of_as_many_cameras_as_there_are():
    labels, cameras = np.repeat((0, 1), 12), np.tile((0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 2, 2), 2)
    sampler = PK(labels, 2, 3, apart=cameras)
    for number in range(8):
        for row in sampler.batch(number):
            assert set(cameras[row]) == {0, 1, 2}


def test_a_run_goes_on_where_it_was():
    labels = np.repeat(np.arange(10), 4)
    whole = PK(labels, 4, 2, seed=3)
    expected = list(whole) + list(whole)
    assert len(whole) == 5
    assert len(expected) == 10
    assert expected[:5] != expected[5:]
    cut = PK(labels, 4, 2, seed=3)
    begun = list(islice(cut, 3))
    other = PK(labels, 4, 2, seed=8)
    other.load(cut.state())
    assert begun + list(other) + list(other) == expected
    assert list(PK(labels, 4, 2, seed=4)) != expected[:5]
    with pytest.raises(InputError, match="expected done and seed"):
        other.load({"done": 3})


def test_ranks_have_batches_of_their_own():
    labels = np.repeat(np.arange(12), 4)
    alone = PK(labels, 3, 2)
    pair = [PK(labels, 3, 2, ranks=(rank, 2)) for rank in (0, 1)]
    for number in range(6):
        np.testing.assert_array_equal(pair[number % 2].batch(number // 2), alone.batch(number))
    assert [len(one) for one in (alone, *pair)] == [8, 4, 4]


@pytest.mark.parametrize(
    ("labels", "more", "words"),
    [
        ([0.0, 1.0], {}, "whole numbers"),
        ([[0], [1]], {}, "whole numbers"),
        ([-2, 1], {}, "-1 \\(nobody known\\) or more"),
        ([], {}, "whole numbers"),
        ([0, 1], {"apart": [1]}, "as labels"),
        ([0, 1], {"batches": 0}, "numbers from 1"),
        ([0, 1], {"ranks": (2, 2)}, "expected a rank"),
    ],
)
def test_wrong_input_is_refused(labels, more, words):
    with pytest.raises(InputError, match=words):
        PK(labels, 1, 1, **more)


@given(st.lists(st.integers(-1, 5), min_size=1, max_size=40), st.integers(1, 9), st.integers(1, 3), st.integers(0, 9))
def test_every_person_comes_as_often_as_every_other(labels, batch, size, seed):
    labels = np.array(labels)
    if labels.max() < 0:
        with pytest.raises(InputError, match="somebody with 1 or more"):
            BalancedIdentity(labels, batch)
        return
    samplers = [BalancedIdentity(labels, batch, seed=seed, ranks=(rank, size)) for rank in range(size)]
    rows = np.concatenate([sampler.batch(number) for number in range(12) for sampler in samplers])
    assert len(rows) == 12 * batch * size
    people = Counter(labels[rows].tolist())
    assert set(people) <= set(labels[labels >= 0].tolist())
    have = len(set(labels[labels >= 0].tolist()))
    assert max(people.values()) - (min(people.values()) if len(people) == have else 0) <= 1
    for person in people:  # and so do the pictures of a person
        times = Counter(rows[labels[rows] == person].tolist())
        least = min(times.values()) if len(times) == (labels == person).sum() else 0
        assert max(times.values()) - least <= 1


def test_groups_have_equal_shares_whatever_their_sizes():
    labels = np.concatenate([np.repeat(np.arange(30), 2), np.repeat([30, 31], [1, 50])])
    groups = (labels >= 30).astype(int) * 7
    sampler = BalancedIdentity(labels, 16, groups=groups)
    for number in range(20):
        assert np.bincount(labels[sampler.batch(number)] >= 30).tolist() == [8, 8]
    rows = np.concatenate([sampler.batch(number) for number in range(20)])
    assert (labels[rows] == 30).sum() == (labels[rows] == 31).sum() == 80  # one picture as often as fifty
    assert BalancedIdentity(labels, 16, seed=1).batch(3).tolist() != BalancedIdentity(labels, 16).batch(3).tolist()
    assert len(BalancedIdentity(labels, 16)) == 111 // 16


def test_balanced_batches_that_cannot_be():
    for settings, message in (
        ({"labels": [0.5]}, "whole numbers"),
        ({"labels": [-2]}, "-1"),
        ({"labels": []}, "whole numbers|somebody"),
        ({"labels": [0, 0, 1], "least": 3}, "somebody with 3"),
        ({"groups": [0, 1, 0]}, "several for person 0"),
        ({"groups": [0, 1]}, "as labels"),
        ({"batch": 0}, "from 1"),
        ({"ranks": (2, 2)}, "rank"),
    ):
        with pytest.raises(InputError, match=message):
            BalancedIdentity(**{"labels": [0, 0, 1], "batch": 2, **settings})
    with pytest.raises(InputError, match="number"):
        BalancedIdentity([0], 1).batch(-1)
    assert BalancedIdentity([3], 4).batch(0).tolist() == [0] * 4  # one person with one picture

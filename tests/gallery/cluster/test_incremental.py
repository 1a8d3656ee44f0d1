"""The default: bridges do not join people, labels stay, batches give what one run gives, constraints rule."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.gallery.cluster.people import constraints, holds, people, same_parts
from vultus.errors import InputError
from vultus.evaluate.metrics.clustering import agreement, pairwise
from vultus.gallery.cluster.agglomerative import Agglomerative
from vultus.gallery.cluster.dbscan import Dbscan
from vultus.gallery.cluster.incremental import Incremental


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def two_people_and_a_bridge(bridges):
    rng = np.random.default_rng(0)
    ends = rng.standard_normal((2, 64))
    faces = np.concatenate(
        [ends[[0]] + 0.4 * rng.standard_normal((8, 64)), ends[[1]] + 0.4 * rng.standard_normal((8, 64))]
    )
    between = ends.mean(0) + 0.1 * rng.standard_normal((bridges, 64))
    return unit(np.concatenate([faces, between]))


@pytest.mark.parametrize("bridges", [1, 3])
def test_who_looks_like_two_people_joins_nobody(bridges):
    rows = two_people_and_a_bridge(bridges)
    assert (Dbscan(0.5).cluster(rows) == 0).all()  # the chain that this is about
    labels = Incremental(0.5).cluster(rows)
    assert labels[:16].tolist() == [0] * 8 + [1] * 8


def test_poor_faces_only_join_what_others_have_founded():
    rows, _ = people(1, 5, 1, spread=0.5)
    quality = np.array([0.1, 0.1, 0.1, 0.9, 0.1])
    assert Incremental(0.3).cluster(rows).tolist() == [0] * 5
    assert Incremental(0.3).cluster(rows, quality=quality * 0.2).tolist() == [-1] * 5
    assert Incremental(0.3).cluster(rows, quality=quality).tolist() == [0] * 5  # one good face and who joins it


def test_two_faces_need_evidence_that_outweighs_the_library():
    pair = unit(np.eye(16)[[0, 0]] + 0.3 * np.eye(16)[[1, 2]])
    rows = np.concatenate([pair, np.eye(16, dtype=np.float32)[3:13]])  # 12 faces: log 12 = 2.5
    alone = [-1] * 10
    assert Incremental(0.5).cluster(rows).tolist() == [-1, -1, *alone]
    assert Incremental(0.5, min_faces=2).cluster(rows).tolist() == [0, 0, *alone]
    for ratio, found in ((2.4, [-1, -1]), (2.6, [0, 0])):
        table = [[-1.0, -5.0], [0.8, ratio], [1.0, ratio]]
        assert Incremental(0.5, evidence=table).cluster(rows).tolist() == [*found, *alone]
        made = Incremental(0.5, evidence=lambda s, r=ratio: np.full(len(s), r)).cluster(rows)
        assert made.tolist() == [*found, *alone]


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 150))
def test_all_cores_is_average_linkage(seed, n):
    rows, _ = people(seed, n, 8)
    mine = Incremental(0.3, min_faces=2).cluster(rows)
    assert same_parts(mine, Agglomerative(0.3, min_faces=2).cluster(rows))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.integers(0, 40), st.integers(0, 10), st.integers(0, 20))
def test_constraints_hold_whatever_the_labels_were(seed, old, new, must, cannot):
    rng = np.random.default_rng(seed)
    rows, _ = people(seed, old + new, 4, dim=16)
    together, apart = constraints(seed, old + new, rng.integers(8, size=old + new), must, cannot)
    before = rng.integers(-1, 5, size=old)
    made = Incremental(0.3).update(rows[old:], before, rows[:old], must_link=together, cannot_link=apart)
    assert holds(made.labels, together, apart)
    again = Incremental(0.3).update(rows[:0], made.labels, rows, must_link=together, cannot_link=apart)
    assert np.array_equal(again.labels, made.labels)  # nothing new: nothing happens
    assert again.joined == ()


def test_new_faces_join_found_or_stay_noise_and_labels_stay():
    rows, who = people(2, 90, 4, dim=128, spread=0.6)
    old, new = np.flatnonzero(who < 2), np.flatnonzero(who >= 2)[:-1]
    known = np.where(who[old] == 0, 41, 7)
    late = np.concatenate([new, old[:5]])  # photos that come again
    stranger = unit(np.random.default_rng(9).standard_normal((1, 128)))
    made = Incremental(0.4).update(np.concatenate([rows[late], stranger]), known, rows[old])
    labels = made.labels[len(old) :]
    assert np.array_equal(made.labels[: len(old)], known)
    assert np.array_equal(labels[len(new) : -1], known[:5])
    assert set(labels[: len(new)].tolist()) == {42, 43}
    assert same_parts(labels[: len(new)], who[new])
    assert labels[-1] == -1


def test_new_evidence_joins_two_clusters_and_says_so_but_never_against_a_cannot_link():
    rng = np.random.default_rng(3)
    ends = rng.standard_normal((2, 64))
    ends[1] = 0.35 * ends[0] + np.sqrt(1 - 0.35**2) * ends[1]  # one person, seen from two sides: cosine 0.35 or less
    old = unit(np.repeat(ends, 6, axis=0) + 0.3 * rng.standard_normal((12, 64)))
    new = unit(ends.mean(0) + 0.2 * rng.standard_normal((30, 64)))
    before = Incremental(0.5).cluster(old)
    assert before.tolist() == [0] * 6 + [1] * 6
    made = Incremental(0.5).update(new, before, old)
    assert made.labels.tolist() == [0] * 42
    assert made.joined == ((0, 1),)
    kept = Incremental(0.5).update(new, before, old, cannot_link=[[0, 11]])
    assert kept.joined == ()
    assert kept.labels[:12].tolist() == before.tolist()


def test_not_this_person_takes_a_cluster_apart_and_most_keep_the_label():
    rows, _ = people(4, 12, 1, spread=0.6)
    made = Incremental(0.3).update(rows[:0], np.full(12, 5), rows, cannot_link=[[3, k] for k in range(12) if k != 3])
    assert made.labels[3] == -1
    assert np.delete(made.labels, 3).tolist() == [5] * 11


def test_must_link_joins_two_clusters():
    rows, who = people(5, 40, 2, dim=128, spread=0.5)
    before = Incremental(0.4).cluster(rows)
    one, other = np.flatnonzero(who == 0)[0], np.flatnonzero(who == 1)[0]
    made = Incremental(0.4).update(rows[:0], before, rows, must_link=[[one, other]])
    assert len(set(made.labels.tolist())) == 1
    assert len(made.joined) == 1


@pytest.mark.parametrize("batches", [2, 5, 20])
def test_batches_give_nearly_what_one_run_gives(batches):
    rows, who = people(6, 1500, 150, dim=128, spread=1.15)  # mates reach 0.43 on average
    method = Incremental(0.35)
    once = method.cluster(rows)
    labels = np.zeros(0, np.int64)
    for part in np.array_split(np.arange(1500), batches):
        labels = method.update(rows[part], labels, rows[: part[0]]).labels
    assert pairwise(labels, np.where(once < 0, 10**6 + np.arange(1500), once))[2] > 0.96
    assert agreement(labels, who).bcubed_f > agreement(once, who).bcubed_f - 0.01


def test_labels_of_the_past_do_not_come_back():
    rows, _ = people(7, 30, 2, dim=128, spread=0.5)
    none = np.zeros(0, np.int64)
    assert set(Incremental(0.4).update(rows, none, rows[:0], next_label=17).labels.tolist()) == {17, 18}
    with pytest.raises(InputError, match="next_label: expected more than the largest label, 9, got 9"):
        Incremental(0.4).update(rows, [9], rows[:1], next_label=9)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ({"labels_old": [0]}, "labels_old: expected shape"),
        ({"labels_old": [0, -2]}, "labels_old: expected -1 for noise"),
        ({"vectors_new": np.eye(3)}, "vectors_new: expected 4 columns"),
        ({"quality": [1.0]}, "quality: expected shape"),
        ({"quality": [np.nan] * 4}, "quality: expected finite"),
        ({"cannot_link": [[0, 4]]}, "cannot_link: expected indices from 0 to 3"),
    ],
)
def test_refuses_in_words(args, said):
    rows = np.eye(4, dtype=np.float32)
    good = {"vectors_new": rows[2:], "labels_old": [0, 0], "vectors_old": rows[:2]}
    with pytest.raises(InputError, match=said):
        Incremental(0.5).update(**{**good, **args})
    with pytest.raises(InputError, match="evidence: expected"):
        Incremental(0.5, evidence=[[0.0, 1.0]]).cluster(np.repeat(rows, 2, axis=0))

"""Constraints hold in every row, whatever the vectors say; and the order of faces does not matter where it need not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.gallery.cluster.people import constraints, holds, people, same_parts
from vultus import catalogue
from vultus.errors import InputError
from vultus.gallery.cluster._links import components, linked
from vultus.gallery.cluster._merge import chained

ROWS = [
    ("incremental", {}),
    ("incremental", {"min_faces": 2}),
    ("agglomerative", {}),
    ("agglomerative", {"linkage": "complete"}),
    ("agglomerative", {"linkage": "single", "min_faces": 3}),
    ("chinese_whispers", {}),
    ("dbscan", {}),
    ("hdbscan", {}),
    ("rank_order", {}),
]
IDS = ["-".join([name, *map(str, args.values())]) for name, args in ROWS]


def test_every_row_is_here():
    assert {name for name, _ in ROWS} == {
        name for name, row in catalogue.rows().items() if row.room == "gallery.cluster"
    }


@pytest.mark.parametrize(("name", "args"), ROWS, ids=IDS)
@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.integers(0, 12), st.integers(0, 30))
def test_constraints_hold_against_all_evidence(name, args, seed, n, must, cannot):
    rng = np.random.default_rng(seed)
    rows, _ = people(seed, n, 3, dim=16)
    said = rng.integers(8, size=n)  # has nothing to do with the vectors
    together, apart = constraints(seed, n, said, must, cannot)
    labels = catalogue.load(name, threshold=0.3, **args).cluster(rows, must_link=together, cannot_link=apart)
    assert holds(labels, together, apart)


@pytest.mark.parametrize(("name", "args"), [row for row in ROWS if row[0] != "chinese_whispers"])
@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_the_order_of_faces_does_not_matter(name, args, seed):
    rng = np.random.default_rng(seed)
    rows, who = people(seed, 70, 6)
    must, cannot = constraints(seed, 70, who, 5, 0)
    cannot = np.concatenate([cannot, [[0, next(k for k in range(1, 70) if who[k] != who[0])]]])
    order = rng.permutation(70)
    place = np.argsort(order)
    method = catalogue.load(name, threshold=0.25, **args)
    one = method.cluster(rows, must_link=must, cannot_link=cannot)
    other = method.cluster(rows[order], must_link=place[must], cannot_link=place[cannot])
    assert same_parts(one[order], other)


@pytest.mark.parametrize(("name", "args"), ROWS, ids=IDS)
def test_clear_people_are_found(name, args):
    rows, who = people(3, 120, 6, dim=128, spread=0.6)
    labels = catalogue.load(name, threshold=0.4, **args).cluster(rows)
    found = labels >= 0
    assert same_parts(labels[found], who[found])
    assert found.mean() >= (0.9 if name == "rank_order" else 1)  # leaves who is farther out than others are apart


@pytest.mark.parametrize(("name", "args"), ROWS, ids=IDS)
def test_duplicates_and_one_person_only(name, args):
    rows = np.repeat(np.eye(4, dtype=np.float32)[:1], 150, axis=0)  # more than the nearest that are kept
    assert set(catalogue.load(name, threshold=0.9, **args).cluster(rows).tolist()) <= {0}


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(0, 60))
def test_components_are_those_of_a_search(seed, n, m):
    pairs = np.random.default_rng(seed).integers(n, size=(m, 2))
    parent = list(range(n))
    for _ in range(n):
        for a, b in pairs.tolist():
            parent[a] = parent[b] = min(parent[a], parent[b])
    assert components(n, pairs[:, 0], pairs[:, 1]).tolist() == parent


def test_a_chain_is_cut_at_its_weakest_pair():
    # 0 - 1 - 2 - 3 with 0 and 3 apart: the weakest edge is between 1 and 2
    links = linked(4, None, [[0, 3]])
    part = chained(links, np.array([0, 1, 2]), np.array([1, 2, 3]), np.array([0.9, 0.5, 0.8]))
    assert part.tolist() == [0, 0, 2, 2]


def test_contradictions_are_named():
    with pytest.raises(InputError, match=r"got \(5, 1\): must_link puts both in one"):
        linked(6, [[1, 2], [2, 3], [3, 5]], [[0, 1], [5, 1]])
    with pytest.raises(InputError, match=r"got \(4, 4\)"):
        linked(6, None, [[4, 4]])


@pytest.mark.parametrize("value", [2.0, float("nan"), "high", None, True])
def test_a_threshold_is_a_cosine(value):
    with pytest.raises(InputError, match="threshold: expected a cosine"):
        catalogue.load("dbscan", threshold=value).cluster(np.eye(3, dtype=np.float32))

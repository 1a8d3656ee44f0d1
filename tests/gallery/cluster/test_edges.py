"""Pairs from a score on: the same as from the matrix of all pairs, in any block size, in little memory."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from tests.gallery.cluster.people import people
from vultus.errors import InputError
from vultus.gallery.cluster import _edges
from vultus.gallery.cluster._edges import edges_above, nearest


def as_set(edges):
    return {tuple(sorted(pair)) for pair in zip(edges.i.tolist(), edges.j.tolist(), strict=True)}


@pytest.mark.parametrize("block", [1, 500, 1 << 24])
@pytest.mark.parametrize("query", [None, np.arange(5, 150, 7)])
def test_as_the_whole_matrix(monkeypatch, block, query):
    monkeypatch.setattr(_edges, "_SCORES", block)
    rows, _ = people(0, 150, 10)
    likeness = rows @ rows.T
    hit = np.triu(likeness >= 0.2, 1)
    asked = np.ones(150, bool) if query is None else np.isin(np.arange(150), query)
    edges = edges_above(rows, 0.2, query=query)
    expected = {(i, j) for i, j in zip(*np.nonzero(hit), strict=True) if asked[i] or asked[j]}
    assert as_set(edges) == expected
    assert len(edges.i) == len(expected)
    np.testing.assert_allclose(edges.score, likeness[edges.i, edges.j], atol=1e-6)
    assert np.array_equal(edges.degree[asked], (hit | hit.T).sum(1)[asked])


def test_the_nearest_of_each_face_stay():
    rows, _ = people(1, 200, 2, spread=0.8)
    edges = edges_above(rows, 0.2, most=4)
    index, _ = nearest(rows, 4)
    expected = {tuple(sorted((i, int(j)))) for i in range(200) for j in index[i]}
    assert as_set(edges) == expected
    assert np.array_equal(edges.degree, edges_above(rows, 0.2).degree)


def test_too_many_pairs_are_refused_in_words(monkeypatch):
    monkeypatch.setattr(_edges, "MAX_EDGES", 100)
    with pytest.raises(InputError, match="raise the threshold"):
        edges_above(np.repeat(np.eye(2, dtype=np.float32)[:1], 40, axis=0), 0.5)


def test_memory_is_far_below_that_of_all_pairs(monkeypatch):
    monkeypatch.setattr(_edges, "_SCORES", 1 << 20)
    rows, _ = people(2, 6000, 600)
    tracemalloc.start()
    edges_above(rows, 0.5)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6000 * 6000 * 4 / 4

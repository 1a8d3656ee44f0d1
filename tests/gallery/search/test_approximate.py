"""Lists and graph keep the promise of their recall, never show who is not allowed or gone, and always give k people."""

from __future__ import annotations

import numpy as np
import pytest

from vultus.errors import MissingExtra
from vultus.gallery.search import VectorIndex, _faiss
from vultus.ops.vectors import unit

SPACE = "toy@000000000000"
KINDS = ("ivf", "hnsw")
RECALL = {"ivf": 0.9, "hnsw": 0.98}  # of the best row of people who are there, mated cosine about .7
PEOPLE, DIM = 3000, 48


def _people():
    rng = np.random.default_rng(0)
    centers = unit(rng.standard_normal((PEOPLE, DIM)) * np.exp(-np.arange(DIM) / 24))
    rows = unit(np.repeat(centers, 2, axis=0) + 0.6 * unit(rng.standard_normal((2 * PEOPLE, DIM))))
    keys = [f"key-{i}" for i in range(2 * PEOPLE)]
    probes = unit(centers[:400] + 0.6 * unit(rng.standard_normal((400, DIM))))
    return rows, keys, [f"person-{i // 2}" for i in range(2 * PEOPLE)], probes


def _build(kind, rows, keys, groups):
    return VectorIndex.build(rows, keys, groups, space=SPACE, revision=1, kind=kind)


def _recall(index, exact, probes, allowed=None):
    found, truth = (i.search(probes, 1, allowed=allowed) for i in (index, exact))
    same = found.keys == truth.keys
    assert np.array_equal(found.scores[same], truth.scores[same])
    return same.mean()


@pytest.fixture(scope="module", params=KINDS)
def built(request):
    pytest.importorskip("faiss")
    rows, keys, groups, probes = _people()
    return request.param, _build(request.param, rows, keys, groups), _build("float", rows, keys, groups), probes


def test_recall_is_as_promised_with_and_without_a_filter(built):
    kind, index, exact, probes = built
    assert _recall(index, exact, probes) >= RECALL[kind]
    many = {f"person-{i}" for i in range(PEOPLE) if i % 10}  # more rows than are scanned at once
    assert 2 * len(many) > _faiss.SCANNED
    assert _recall(index, exact, probes, many) >= RECALL[kind] - 0.02
    assert set(index.search(probes, 5, allowed=many).groups.ravel()) <= many
    few = {f"person-{i}" for i in range(0, PEOPLE, 7)}  # few enough to be scanned: exact
    assert _recall(index, exact, probes, few) == 1.0


def test_k_people_come_back_where_k_are_there(built):
    _, index, exact, probes = built
    hits = index.search(probes[:2], 500)
    assert [len(set(row)) for row in hits.groups.tolist()] == [500, 500]
    everyone = index.search(probes[:1], PEOPLE)
    assert np.array_equal(everyone.keys, exact.search(probes[:1], PEOPLE).keys)


@pytest.mark.parametrize("kind", KINDS)
def test_rows_come_go_and_are_kept_in_a_file_that_forgets_them(kind, tmp_path):
    faiss = pytest.importorskip("faiss")
    rows, keys, groups, probes = _people()
    path = tmp_path / "people.index"
    index = _build(kind, rows[:5000], keys[:5000], groups[:5000])
    exact = _build("float", rows[:5000], keys[:5000], groups[:5000])
    index.save(path)
    index = VectorIndex.open(path, space=SPACE, revision=1)
    lone = -rows[:1]  # far from everyone: a center, or a place in the graph, of its own
    for each in (index, exact):
        each.add(np.concatenate([rows[5000:], lone]), [*keys[5000:], "lone"], [*groups[5000:], "lone"])
        each.remove(keys[:200])
        each.regroup({"key-700": "person-2999"})
        assert each.remove(["lone"]) == 1
    rest = probes[100:]
    assert _recall(index, exact, rest) >= RECALL[kind] - 0.02
    assert not {f"person-{i}" for i in range(100)} & set(index.search(probes, 5).groups.ravel())
    inner = index._kind._index
    codes = faiss.downcast_index(inner.storage).sa_encode(rows[:200]) if kind == "hnsw" else inner.sa_encode(rows[:200])
    index.save(path)
    again = VectorIndex.open(path, space=SPACE, revision=1)
    assert np.array_equal(again.search(probes, 3).keys, index.search(probes, 3).keys)
    data = path.read_bytes()
    for row, code in zip(rows[:200], codes, strict=True):
        assert row.tobytes() not in data
        assert code[-DIM:].tobytes() not in data


@pytest.mark.parametrize("kind", KINDS)
def test_few_rows_are_scanned_and_many_removed_make_it_anew(kind):
    pytest.importorskip("faiss")
    rows, keys, groups, probes = _people()
    index = _build(kind, rows[:50], keys[:50], groups[:50])
    assert index._kind._index is None
    index.add(rows[50:], keys[50:], groups[50:])
    assert index._kind._index is not None
    assert index.remove(keys[:4500]) == 4500
    exact = _build("float", rows[4500:], keys[4500:], groups[4500:])
    assert np.array_equal(index.search(probes, 3).keys, exact.search(probes, 3).keys)


@pytest.mark.parametrize("alone", [True, False])
def test_a_center_that_is_a_removed_row_goes_with_it(alone):
    faiss = pytest.importorskip("faiss")
    rows, keys, groups, _ = _people()
    lone = np.eye(DIM, dtype=np.float32)[-1:]
    index = _build("ivf", np.concatenate([rows, lone]), [*keys, "lone"], [*groups, "lone"])
    flat = faiss.downcast_index(index._kind._index.quantizer)
    centers = faiss.rev_swig_ptr(flat.get_xb(), flat.ntotal * DIM).reshape(-1, DIM)
    number = int(index._kind._index.quantizer.search(rows[:1], 1)[1][0, 0]) if not alone else 0
    if alone:
        ids = index._kind._index.invlists
        members = faiss.rev_swig_ptr(ids.get_ids(0), ids.list_size(0)).copy()
        index.remove([str(key, "ascii") for key in index._rows.take("key", index._kind._row[members])])
    centers[number] = lone[0]  # as k-means leaves it where a row is a cluster of its own
    index.remove(["lone"])
    assert (centers @ lone[0] / np.linalg.norm(centers, axis=1)).max() < _faiss.ALMOST


@pytest.mark.parametrize("kind", KINDS)
def test_without_the_extra_it_says_what_to_install(kind, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "faiss", None)
    with pytest.raises(MissingExtra, match=r"vultus\[search\]"):
        _build(kind, np.eye(2, dtype=np.float32), ["a", "b"], ["x", "y"])

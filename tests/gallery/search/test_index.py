"""Every exact kind gives the answer of a slow brute force, after any sequence of changes, and refuses what is wrong."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vultus.errors import InputError
from vultus.gallery.search import VectorIndex, _bits, _kinds
from vultus.gallery.search._rows import Rows
from vultus.ops.vectors import unit

SPACE = "toy@000000000000"
EXACT = ("float", "int8", "bits")
KERNELS = ("numpy", "faiss")


def _people(seed, n, dim, people):
    """Rows around one center per person, a few of them twice, with keys in no order."""
    rng = np.random.default_rng(seed)
    member = rng.integers(0, people, n)
    rows = unit(rng.standard_normal((people, dim))[member] + 0.8 * rng.standard_normal((n, dim)))
    twins = rng.integers(0, n, n // 4)
    rows[twins] = rows[rng.integers(0, n, len(twins))]
    keys = [f"k{number}" for number in rng.permutation(n)]
    return rows, keys, [f"p{number}" for number in member]


def _brute(rows, keys, groups, queries, k, allowed=None, per="group"):
    """What is promised, written down as slowly and plainly as possible."""
    answer = []
    for query in queries:
        scores = np.clip((rows.astype(np.float64) * query).sum(1), -1, 1).astype(np.float32)
        found, seen = [], set()
        for score, key, group in sorted(zip(-scores, keys, groups, strict=True)):
            if (allowed is None or group in allowed) and (per == "row" or group not in seen):
                seen.add(group)
                found.append((group, key, -score))
        answer.append((found + [("", "", -np.inf)] * k)[:k])
    return answer


def _found(hits):
    return [list(zip(*row, strict=True)) for row in zip(hits.groups, hits.keys, hits.scores, strict=True)]


def _index(kind, rows, keys, groups, **more):
    return VectorIndex.build(rows, keys, groups, space=SPACE, revision=1, kind=kind, **more)


@pytest.mark.parametrize("kind", EXACT)
@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    n=st.integers(1, 700),
    dim=st.sampled_from([2, 8, 33]),
    people=st.sampled_from([1, 3, 60, 700]),
    k=st.integers(1, 9),
    share=st.sampled_from([None, 0.02, 0.1, 0.6, 1.0]),
    per=st.sampled_from(["group", "row"]),
)
def test_an_exact_kind_is_the_brute_force(kind, seed, n, dim, people, k, share, per):
    rows, keys, groups = _people(seed, n, dim, people)
    rng = np.random.default_rng(seed + 1)
    queries = np.concatenate([rows[:2], unit(rng.standard_normal((3, dim)))])
    allowed = None if share is None else {g for g in sorted(set(groups)) if rng.random() < share} | {"nobody"}
    hits = _index(kind, rows, keys, groups).search(queries, k, allowed=allowed, per=per)
    assert _found(hits) == _brute(rows, keys, groups, queries, k, allowed, per)


@pytest.mark.parametrize("kind", EXACT)
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), steps=st.integers(1, 12))
def test_a_sequence_of_changes_equals_a_fresh_index(kind, seed, steps):
    rng = np.random.default_rng(seed)
    pool, keys, groups = _people(seed, 900, 16, 40)
    start = int(rng.integers(0, 400))
    index = _index(kind, pool[:start].reshape(start, 16), keys[:start], groups[:start])
    truth = {key: (row, group) for key, row, group in zip(keys[:start], pool[:start], groups[:start], strict=True)}
    for _ in range(steps):
        some = rng.choice(900, int(rng.integers(1, 300)), replace=False)
        match rng.integers(0, 3):
            case 0:
                members = [f"p{rng.integers(0, 60)}" for _ in some]
                index.add(pool[some], [keys[i] for i in some], members)
                truth.update({keys[i]: (pool[i], member) for i, member in zip(some, members, strict=True)})
            case 1:
                assert index.remove([keys[i] for i in some]) == len({keys[i] for i in some} & set(truth))
                truth = {key: value for key, value in truth.items() if key not in {keys[i] for i in some}}
            case _:
                moves = {keys[i]: f"long name {rng.integers(0, 9)}" for i in some if keys[i] in truth}
                index.regroup(moves)
                truth.update({key: (truth[key][0], group) for key, group in moves.items()})
    assert len(index) == len(truth)
    queries = unit(rng.standard_normal((3, 16)))
    rows = np.array([row for row, _ in truth.values()], np.float32).reshape(-1, 16)
    brute = _brute(rows, list(truth), [group for _, group in truth.values()], queries, 4)
    assert _found(index.search(queries, 4)) == brute


@pytest.mark.parametrize("kind", EXACT)
def test_a_batch_equals_one_by_one_and_one_thread_equals_many(kind, monkeypatch):
    rows, keys, groups = _people(3, 4000, 64, 900)
    index = _index(kind, rows, keys, groups)
    queries = unit(np.random.default_rng(4).standard_normal((40, 64)))
    batch = index.search(queries, 5)
    for number, query in enumerate(queries):
        alone = index.search(query[None], 5)
        assert np.array_equal(alone.keys[0], batch.keys[number])
        assert np.array_equal(alone.scores[0], batch.scores[number])


@pytest.mark.parametrize("kind", EXACT)
def test_few_people_of_many_photos_are_no_slower_to_rank(kind):
    """Ten thousand photos of three people: each person once, with the best photo."""
    rows, keys, groups = _people(5, 10_000, 16, 3)
    index = _index(kind, rows, keys, groups)
    queries = unit(np.random.default_rng(6).standard_normal((8, 16)))
    assert _found(index.search(queries, 9)) == _brute(rows, keys, groups, queries, 9)
    assert _found(index.search(queries, 2)) == _brute(rows, keys, groups, queries, 2)


# ---------------------------------------------------------------- bits
@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    n=st.sampled_from([1, 7, 500, 70_000]),
    need=st.sampled_from([1, 5, 100, 10**6]),
    same=st.booleans(),
    share=st.sampled_from([None, 0.0, 0.3]),
)
def test_candidates_are_the_nearest_codes_with_all_ties_whatever_the_kernel(seed, n, need, same, share):
    pytest.importorskip("faiss")
    rng = np.random.default_rng(seed)
    words = rng.integers(0, 2**63, (1 if same else n, _bits.WORDS), dtype=np.uint64)
    words = np.ascontiguousarray(np.broadcast_to(words, (n, _bits.WORDS)))
    query = rng.integers(0, 2**63, _bits.WORDS, dtype=np.uint64)
    allowed = None if share is None else rng.random(n) < share
    distance = np.bitwise_count(words ^ query).sum(1).astype(int)
    open_ = distance if allowed is None else distance[allowed]
    expected = np.flatnonzero(
        (distance <= (np.sort(open_)[min(need, len(open_)) - 1] if len(open_) else -1))
        & (True if allowed is None else allowed)
    )
    for compare in (_bits._numpy_distances, _bits._faiss_distances):
        for layout in (np.ascontiguousarray, np.asfortranarray):
            out = np.full(n, 9999, np.uint16)
            compare(layout(words), query, out)
            assert np.array_equal(out, distance)
    for threads in (1, 2):
        assert np.array_equal(_bits.candidates(Rows({"code": words}), query, allowed, need, threads), expected)


@pytest.mark.parametrize("kernel", KERNELS)
def test_both_kernels_give_the_same_answers(kernel, monkeypatch):
    if kernel == "faiss":
        pytest.importorskip("faiss")
    monkeypatch.setattr(_bits, "kernel", lambda: kernel)
    rows, keys, groups = _people(7, 30_000, 128, 9000)
    index = _index("bits", rows[:20_000], keys[:20_000], groups[:20_000])
    index.add(rows[20_000:], keys[20_000:], groups[20_000:])
    index.remove(keys[100:200])
    left = [i for i in range(30_000) if not 100 <= i < 200]
    queries = unit(rows[left[:20]] + 0.05 * np.random.default_rng(8).standard_normal((20, 128)))
    brute = _brute(rows[left], [keys[i] for i in left], [groups[i] for i in left], queries, 1)
    assert _found(index.search(queries, 1)) == brute
    assert len(set(index.search(queries, 1).groups.ravel())) > 10


@pytest.mark.parametrize("offset", [0.0, 2.5])
def test_the_best_person_is_among_the_candidates(offset):
    """Mated cosines of .5 to .7 among 30,000 strangers; also where all vectors lie on one side, as those of dlib do."""
    rng = np.random.default_rng(9)
    side = offset * unit(rng.standard_normal(128)).astype(np.float64)
    centers = unit(rng.standard_normal((30_000, 128)))
    rows = unit(centers + 0.6 * unit(rng.standard_normal((30_000, 128))) + side)
    queries = unit(centers[:300] + 0.6 * unit(rng.standard_normal((300, 128))) + side)
    keys = [str(i) for i in range(30_000)]
    exact = _index("float", rows, keys, keys).search(queries, 1)
    quick = _index("bits", rows, keys, keys).search(queries, 1)
    assert (exact.keys == quick.keys).mean() >= 0.99
    same = exact.keys == quick.keys
    assert np.array_equal(exact.scores[same], quick.scores[same])


def test_more_candidates_are_taken_until_there_are_enough_people():
    """One person whose photos fill the candidates does not hide the others."""
    rng = np.random.default_rng(10)
    center = unit(rng.standard_normal(64))
    crowd = unit(center + 0.3 * unit(rng.standard_normal((3 * _kinds.CANDIDATES, 64))))
    others = unit(rng.standard_normal((2000, 64)))
    groups = ["one"] * len(crowd) + [f"p{i}" for i in range(len(others))]
    index = _index("bits", np.concatenate([crowd, others]), [str(i) for i in range(len(groups))], groups)
    hits = index.search(center[None], 5)
    assert hits.groups[0, 0] == "one"
    assert len(set(hits.groups[0])) == 5
    assert np.isfinite(hits.scores).all()


# ---------------------------------------------------------------- edges
@pytest.mark.parametrize("kind", EXACT)
def test_an_empty_index_gives_empty_hits(kind):
    index = _index(kind, np.empty((0, 8), np.float32), [], [])
    queries = unit(np.ones((2, 8)))
    for _ in range(2):
        hits = index.search(queries, 3)
        assert hits.scores.shape == (2, 3)
        assert np.isneginf(hits.scores).all()
        assert (hits.groups == "").all()
        assert (hits.keys == "").all()
        index.add(queries[:1], ["a"], ["x"])
        assert index.search(queries, 3, allowed=[]).groups[0, 0] == ""
        assert index.search(queries, 3).groups[0].tolist() == ["x", "", ""]
        assert index.remove(["a", "b"]) == 1


def test_a_key_that_is_there_is_replaced():
    rows = unit(np.eye(4))
    index = _index("float", rows[:2], ["a", "b"], ["x", "y"])
    index.add(rows[2:3], ["a"], ["z"])
    assert len(index) == 2
    assert index.search(rows[:1], 3).groups[0].tolist() == ["z", "y", ""]  # both 0: key "a" before key "b"


def _nan(rows):
    rows = rows.copy()
    rows[0, 0] = np.nan
    return rows


@pytest.mark.parametrize(
    ("what", "words"),
    [
        (lambda i, r: i.search(_nan(r)), "finite"),
        (lambda i, r: i.search(r * 2), "length 1"),
        (lambda i, r: i.search(r[:, :3]), r"\(rows, 4\)"),
        (lambda i, r: i.search(r[0]), r"\(rows, 4\)"),
        (lambda i, r: i.search(r[:0]), "at least one"),
        (lambda i, r: i.search("face"), "numbers"),
        (lambda i, r: i.search(r, 0), "at least 1"),
        (lambda i, r: i.search(r, 1.5), "at least 1"),
        (lambda i, r: i.search(r, allowed="x"), "several keys"),
        (lambda i, r: i.search(r, per="photo"), "'group' or 'row'"),
        (lambda i, r: i.add(r, ["c", "d", "e", "c"], list("xxxx")), "more than once"),
        (lambda i, r: i.add(r, ["c"], ["x"]), "expected 4"),
        (lambda i, r: i.add(r[:1], ["c"], [""]), "empty"),
        (lambda i, r: i.add(r[:1], ["c\0"], ["x"]), "NUL"),
        (lambda i, r: i.add(r[:1], ["\ud800"], ["x"]), "UTF-8"),
        (lambda i, r: i.add(r[:1], [3], ["x"]), "text"),
        (lambda i, r: i.add(_nan(r), list("cdef"), list("xxxx")), "finite"),
        (lambda i, r: i.regroup({"q": "x"}), "'q'"),
        (lambda i, r: _index("tree", r, list("abcd"), list("xxxx")), "one of float"),
        (lambda i, r: VectorIndex.build(r, list("abcd"), list("xxxx"), space="", revision=1), "space"),
        (lambda i, r: VectorIndex.build(r, list("abcd"), list("xxxx"), space="s", revision="1"), "revision"),
    ],
)
def test_what_is_wrong_is_refused_in_words_and_changes_nothing(what, words):
    rows = unit(np.eye(4))
    index = _index("float", rows[:2], ["a", "b"], ["x", "y"])
    with pytest.raises(InputError, match=words):
        what(index, rows)
    assert _found(index.search(rows[:1], 2)) == [[("x", "a", 1.0), ("y", "b", 0.0)]]


@pytest.mark.parametrize("kind", EXACT)
def test_searches_run_beside_changes(kind):
    """A person who is never touched is found by every search while others come and go."""
    rows, keys, _ = _people(11, 2000, 32, 2000)
    index = _index(kind, rows[:1500], keys[:1500], keys[:1500])
    stop, wrong = threading.Event(), []

    def look():
        while not stop.is_set():
            hits = index.search(rows[:3], 1)
            if not np.allclose(hits.scores[:, 0], 1.0):
                wrong.append(hits)

    readers = [threading.Thread(target=look) for _ in range(3)]
    for reader in readers:
        reader.start()
    for _ in range(10):
        index.add(rows[1500:], keys[1500:], keys[1500:])
        index.remove(keys[700:])
        index.add(rows[700:1500], keys[700:1500], keys[700:1500])
    stop.set()
    for reader in readers:
        reader.join()
    assert not wrong
    assert len(index) == 1500

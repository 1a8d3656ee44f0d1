"""Cross-age pairs: what must hold of every built set, by random sets; what is refused, by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from vultus.errors import InputError
from vultus.evaluate.protocols.calfw import build_cross_age_pairs, pair_list
from vultus.evaluate.protocols.lfw_family import leaking_people
from vultus.io.datasets import cross_lfw_pairs
from vultus.io.datasets.lfw_family import read_set
from vultus.io.datasets.records import Dataset


def album(counts: list[int], rng: np.random.Generator) -> tuple[Dataset, np.ndarray]:
    """People with so many pictures each, and the age on each picture."""
    who = np.repeat(np.arange(len(counts)), counts)
    number = np.concatenate([np.arange(1, n + 1) for n in counts])
    paths = tuple(Path(f"P{s:03d}_{k:04d}.jpg") for s, k in zip(who, number, strict=True))
    dataset = Dataset("album", paths, who, tuple(f"P{s:03d}" for s in range(len(counts))), tier="sim")
    return dataset, rng.integers(18, 90, len(who)).astype(float)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_what_must_hold_of_every_set(data) -> None:
    folds = data.draw(st.integers(2, 4))
    per_fold = data.draw(st.integers(1, 5))
    seed = data.draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    n = folds * per_fold * 4 + 24
    counts = rng.integers(1, 5, n).tolist()
    meta, ages = album(counts, rng)
    sex = rng.choice(["f", "m", "m", ""], n).tolist()
    race = rng.choice(["a", "b"], n).tolist() if data.draw(st.booleans()) else None
    try:
        built = build_cross_age_pairs(meta, lambda paths: ages, sex, race, folds=folds, per_fold=per_fold, rng=seed)
    except InputError:
        assume(False)  # a cell is too small by chance
        raise
    pairs = built.pairs
    # every person in one fold, as many pairs of one kind as of the other in each
    assert leaking_people(pairs) == {}
    assert np.bincount(pairs.folds[pairs.same], minlength=folds).tolist() == [per_fold] * folds
    assert np.bincount(pairs.folds[~pairs.same], minlength=folds).tolist() == [per_fold] * folds
    # nobody is mated twice, no two people are paired twice, nothing is compared with itself
    assert len(set(pairs.subjects[pairs.left[pairs.same]])) == folds * per_fold
    other = np.sort(np.stack([pairs.subjects[pairs.left], pairs.subjects[pairs.right]])[:, ~pairs.same], axis=0)
    assert len(np.unique(other, axis=1).T) == folds * per_fold
    assert (pairs.left != pairs.right).all()
    # the largest gap of the person; strangers of one sex and race, in each fold as often as mated pairs
    number = {path: i for i, path in enumerate(meta.paths)}
    ends = [np.array([number[pairs.paths[i]] for i in side]) for side in (pairs.left, pairs.right)]
    np.testing.assert_array_equal(built.gaps, np.abs(ages[ends[0]] - ages[ends[1]]))
    for a, gap in zip(ends[0][pairs.same], built.gaps[pairs.same], strict=True):
        own = ages[meta.subjects == meta.subjects[a]]
        assert gap == own.max() - own.min() > 0
    cell = np.array([s + (race[k] if race else "") for k, s in enumerate(sex)])
    cells = [cell[meta.subjects[end]] for end in ends]
    assert (cells[0] == cells[1]).all()
    assert all(word[0] in "fm" for word in cells[0])
    for fold in range(folds):
        at = pairs.folds == fold
        assert sorted(cells[0][at & pairs.same]) == sorted(cells[0][at & ~pairs.same])
    assert built.left_out == sex.count("")
    assert sum(built.cells.values()) == folds * per_fold
    assert set(pairs.dataset.names) <= set(meta.names)
    # all those with a larger gap are in
    best = {int(meta.subjects[a]) for a in ends[0][pairs.same]}
    gaps = [float(np.ptp(ages[meta.subjects == s])) if sex[s] else 0.0 for s in range(n)]
    assert min(gaps[s] for s in best) >= max((g for s, g in enumerate(gaps) if s not in best), default=0.0)


def test_the_same_seed_gives_the_same_set_and_another_gives_another() -> None:
    meta, ages = album([2] * 60, np.random.default_rng(0))
    sex = ["f", "m"] * 30

    def built(rng):
        return build_cross_age_pairs(meta, lambda paths: ages, sex, folds=3, per_fold=6, rng=rng)

    one, again, other = (pair_list(built(seed)) for seed in (1, 1, 2))
    assert one == again != other


def test_a_list_is_read_back_by_the_reader_of_calfw(tmp_path: Path) -> None:
    meta, ages = album([2, 3] * 30, np.random.default_rng(3))
    built = build_cross_age_pairs(meta, lambda paths: ages, ["f", "m", "m"] * 20, folds=2, per_fold=7)
    for path in built.pairs.paths:
        (tmp_path / path).touch()
    lines = pair_list(built)
    assert lines[0].endswith(" 1")
    assert lines[27].endswith(" 2")
    assert lines[28].endswith(" 0")
    (tmp_path / "pairs_CALFW.txt").write_text("\n".join(lines))
    read = cross_lfw_pairs(tmp_path / "pairs_CALFW.txt", tmp_path, name="own", per_fold=7)

    def said(pairs):
        return {
            (pairs.paths[a].name, pairs.paths[b].name, int(f))
            for a, b, f in zip(pairs.left, pairs.right, pairs.folds, strict=True)
        }

    assert said(read) == said(built.pairs)
    assert said(read_set("calfw", tmp_path, per_fold=7)) == said(built.pairs)
    assert set(read_set("calfw", tmp_path).folds.tolist()) == {0}
    with pytest.raises(InputError, match="leave out --per-fold, which is for calfw, cplfw, sllfw, mlfw, agedb30"):
        read_set("lfw", tmp_path, per_fold=7)


def test_unmatched_strangers_are_of_any_kind() -> None:
    meta, ages = album([2] * 200, np.random.default_rng(0))
    sex = ["f", "m"] * 100
    crossed = {}
    for matched in (True, False):
        built = build_cross_age_pairs(meta, lambda paths: ages, sex, folds=2, per_fold=50, matched=matched)
        pairs = built.pairs
        who = [
            np.array([int(pairs.dataset.names[s][1:]) % 2 for s in pairs.subjects[side]])
            for side in (pairs.left, pairs.right)
        ]
        crossed[matched] = (who[0] != who[1])[~pairs.same].mean()
        assert leaking_people(pairs) == {}
    assert crossed[True] == 0
    assert 0.3 < crossed[False] < 0.7


def test_who_is_missing_is_said() -> None:
    meta, ages = album([2] * 20 + [1] * 5, np.random.default_rng(0))
    sex = ["f"] * 2 + ["m"] * 23

    def build(**more):
        settings = {"folds": 2, "per_fold": 5, **more}
        return build_cross_age_pairs(meta, lambda paths: ages, sex, **settings)

    with pytest.raises(InputError, match=r"expected 60 people of known sex and race .* got "):
        build(per_fold=30)
    ages[:4] = [18, 89, 18, 89]  # both women are in, one in each fold, alone
    with pytest.raises(InputError, match=r"fold 1, people \(f\): expected 1 pairs of two people, got 1 people"):
        build()
    with pytest.raises(InputError, match="race: expected one word for each of 25"):
        build(race=["a"])
    with pytest.raises(InputError, match="at least 2 folds"):
        build(folds=1)
    with pytest.raises(InputError, match="ages"):
        build_cross_age_pairs(meta, lambda paths: ages[1:], sex)
    with pytest.raises(InputError, match="got 0"):
        build_cross_age_pairs(meta, lambda paths: np.full(45, 30.0), sex)  # nobody has aged

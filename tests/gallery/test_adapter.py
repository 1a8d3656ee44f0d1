"""Maps between embedding spaces: what is lost is what is measured, on people that had no part in the fit."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from vultus.errors import InputError, Refused, SpaceMismatch, StoreError, UnknownMethod
from vultus.gallery import adapter as module
from vultus.gallery._maps import _KINDS, Ridge
from vultus.gallery.adapter import Adapter, adapted_space, comparable, register
from vultus.ops.vectors import unit

OLD, NEW = "old@000000000000", "new@111111111111"


def drawn(seed=0, people=330, photos=4, dim=24, spread=0.9):
    """Unit vectors of people in one space, and who is on each."""
    rng = np.random.default_rng(seed)
    centers = rng.standard_normal((people, dim))
    rows = np.repeat(centers, photos, axis=0) + spread * rng.standard_normal((people * photos, dim))
    return unit(rows), np.repeat(np.arange(people), photos)


def rotation(rng, d1, d2):
    """A (d1, d2) matrix with orthonormal rows."""
    return np.linalg.qr(rng.standard_normal((d2, d1)))[0].T


def fitted(old, new, who, seed=0, **more):
    options = {"source_space": OLD, "target_space": NEW, **more}
    return Adapter.fit(old, new, who, rng=np.random.default_rng(seed), **options)


def value(made, name):
    return made.report.metrics[name].value


@pytest.fixture(scope="module")
def linear():
    old, who = drawn()
    rng = np.random.default_rng(1)
    new = unit(old @ rotation(rng, 24, 40) + 0.05 * rng.standard_normal((len(old), 40)))
    return old, new, who, fitted(old, new, who)


def test_one_space_under_two_names_loses_nothing():
    old, who = drawn()
    made = fitted(old, old, who)
    assert made.kind == "procrustes"  # of equally good maps the simplest
    np.testing.assert_allclose(made(old), old, atol=1e-5)
    assert value(made, "same_crop.cosine") == pytest.approx(1.0, abs=1e-5)
    for far in ("1e-2", "1e-3"):
        assert value(made, f"adapted_target.tar_at_far_{far}") == pytest.approx(
            value(made, f"target_target.tar_at_far_{far}"), abs=1e-3
        )
        assert value(made, f"adapted_target.gain_over_target_target_{far}") == pytest.approx(0, abs=1e-3)
        assert value(made, f"adapted_target.far_at_target_{far}") == pytest.approx(float(far), rel=0.05)


def test_a_rotation_is_found_exactly():
    old, who = drawn()
    matrix = rotation(np.random.default_rng(2), 24, 40)
    made = fitted(old, unit(old @ matrix), who, kind="procrustes")
    np.testing.assert_allclose(made(old), old @ matrix, atol=1e-4)


def test_a_linear_relation_with_noise_loses_little_and_says_how_much(linear):
    old, new, _, made = linear
    assert made.report.useful
    same = made.report.metrics["same_crop.cosine"]
    assert 0.9 < same.low <= same.value <= same.high < 1
    lost = made.report.metrics["adapted_target.gain_over_target_target_1e-3"]
    assert "threshold for 1e-2 gives 0.01" in made.report.words()
    assert -0.2 < lost.low <= lost.value <= lost.high < 0.05
    assert made(old).shape == new.shape
    np.testing.assert_allclose(np.linalg.norm(made(old), axis=1), 1, atol=1e-5)


def test_what_is_reported_holds_on_other_people(linear):
    *_, made = linear
    old, _ = drawn(seed=9)
    rng = np.random.default_rng(1)
    matrix = rotation(rng, 24, 40)
    new = unit(old @ matrix + 0.05 * np.random.default_rng(5).standard_normal((len(old), 40)))
    cosine = (made(old) * new).sum(1).mean()
    assert cosine == pytest.approx(value(made, "same_crop.cosine"), abs=0.01)


def test_a_bent_relation_needs_more_than_a_linear_map():
    old, who = drawn(people=400, dim=8, spread=0.4)
    rng = np.random.default_rng(3)
    new = unit(np.cos(1.5 * old @ rng.standard_normal((8, 64)) + rng.uniform(0, 6, 64)))
    bent = fitted(old, new, who)
    straight = fitted(old, new, who, kind="ridge")
    assert bent.kind == "ridge_features"
    assert value(bent, "same_crop.cosine") > value(straight, "same_crop.cosine") + 0.1


def test_unrelated_spaces_are_refused_unless_forced():
    old, who = drawn(people=150)
    new, _ = drawn(seed=7, people=150)
    with pytest.raises(Refused, match="useless: at a false accept rate of 1e-2"):
        fitted(old, new, who, kind="ridge")
    made = fitted(old, new, who, kind="ridge", force=True)
    assert not made.report.useful
    assert made.report.metrics["adapted_target.tar_at_far_1e-2"].value < 0.1
    assert made.report.metrics["source_source.tar_at_far_1e-2"].value > 0.5


def test_nobody_is_learned_from_chosen_on_and_measured_on():
    who = np.repeat(np.arange(80), np.arange(80) % 4 + 1)
    train, dev, test = module._parts(who, np.random.default_rng(0))
    assert sorted(np.concatenate([train, dev, test])) == list(range(len(who)))
    for a, b in itertools.combinations((train, dev, test), 2):
        assert not set(who[a]) & set(who[b])
    for part, share in ((train, 0.6), (dev, 0.2), (test, 0.2)):
        assert len(set(who[part])) == pytest.approx(share * 80, abs=2)


def test_the_people_measured_on_change_nothing_but_the_report(linear):
    old, new, who, made = linear
    test = module._parts(who, np.random.default_rng(0))[2]
    other = new.copy()
    other[test] = unit(np.random.default_rng(8).standard_normal((len(test), 40)))
    again = fitted(old, other, who, force=True)
    assert again.report.tried == made.report.tried
    np.testing.assert_array_equal(again(old), made(old))
    assert not again.report.useful


def test_the_same_seed_gives_the_same_bytes_and_bytes_give_the_adapter(linear):
    old, new, who, made = linear
    data = made.to_bytes()
    assert fitted(old, new, who).to_bytes() == data
    read = Adapter.from_bytes(data)
    np.testing.assert_array_equal(read(old), made(old))
    assert read.report == made.report
    assert (read.source_space, read.target_space, read.kind, read.dims) == (OLD, NEW, made.kind, (24, 40))
    for damaged in (data[:-1], data[:200], b"", data.replace(b"vultus-adapter-1", b"vultus-adapter-9")):
        with pytest.raises(StoreError):
            Adapter.from_bytes(damaged)
    for old_words, new_words in ((b"[24, 40]", b"[24, 41]"), (b"useful", b"useles")):
        with pytest.raises(StoreError, match="fit it again"):
            Adapter.from_bytes(data.replace(old_words, new_words))
    kind = f'"kind":"{made.kind}"'.encode()
    with pytest.raises(UnknownMethod, match="kind of adapter"):
        Adapter.from_bytes(data.replace(kind, kind[:-2] + b'?"'))


def test_adapted_vectors_are_told_apart_and_compared_with_their_target(linear):
    *_, made = linear
    assert made.space == adapted_space(OLD, NEW) == f"{NEW}~{OLD}"
    assert comparable(made.space, NEW)
    assert comparable(NEW, NEW)
    assert not comparable(made.space, OLD)
    made.check(OLD, NEW)
    with pytest.raises(SpaceMismatch):
        made.check(NEW, OLD)
    with pytest.raises(InputError, match="not adapted"):
        fitted(*linear[:3], source_space=made.space)


def test_another_kind_can_be_registered(linear, monkeypatch):
    old, new, who, _ = linear
    monkeypatch.setattr("vultus.gallery._maps._KINDS", _KINDS)
    monkeypatch.setitem(_KINDS, "mine", replace(Ridge(), name="mine", strengths=(0.5,)))
    made = fitted(old, new, who, kind="mine")
    assert made.report.tried[0][:2] == ("mine", 0.5)
    assert Adapter.from_bytes(made.to_bytes()).kind == "mine"
    with pytest.raises(InputError, match="not taken"):
        register(replace(Ridge(), name="mine"))


def test_refusals(linear):
    old, new, who, made = linear
    for change, said in (
        ({"target": new[:-1]}, "one per row"),
        ({"source": 2 * old}, "unit rows"),
        ({"subjects": who[:-1]}, "subjects"),
        ({"subjects": np.arange(len(who))}, "two pictures or more"),
        ({"target_space": OLD}, "nothing to adapt"),
    ):
        given = {"source": old, "target": new, "subjects": who, "source_space": OLD, "target_space": NEW, **change}
        with pytest.raises(InputError, match=said):
            Adapter.fit(rng=np.random.default_rng(0), **given)
    with pytest.raises(UnknownMethod, match="ridge"):
        fitted(old, new, who, kind="rigde")
    with pytest.raises(InputError, match="24"):
        made(new)
    assert made(np.zeros((0, 24))).shape == (0, 40)


def test_few_people_give_no_number_that_they_cannot_support():
    old, who = drawn(people=135, photos=3)
    made = fitted(old, old, who, kind="procrustes")
    assert value(made, "target_target.tar_at_far_1e-3") is None
    assert "are needed" in made.report.metrics["target_target.tar_at_far_1e-3"].note
    old, who = drawn(people=50, photos=2)
    with pytest.raises(InputError, match="measure what is lost"):
        fitted(old, old, who, kind="procrustes")

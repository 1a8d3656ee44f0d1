"""Registered pairs of spaces: refused before, compared after, in one direction only, and what is measured of them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.guide_code import blocks, guide
from vultus.errors import InputError, Refused, SpaceMismatch, StoreError
from vultus.gallery import calibrate, compat, open_gallery
from vultus.ops import roc
from vultus.ops.vectors import unit
from vultus.types import Template

OLD, NEW, OTHER = "v1@aaaaaaaaaaaa", "v2@bbbbbbbbbbbb", "v3@cccccccccccc"
PEOPLE, EACH, DIM = 60, 4, 32


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("VULTUS_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def two_networks(seed=0, noise=(0.9, 0.35), turned=False):
    """Vectors of the same photos by an old network and by a better one that shares its axes, or has others."""
    rng = np.random.default_rng(seed)
    who = np.repeat(np.arange(PEOPLE), EACH)
    center = unit(rng.standard_normal((PEOPLE, DIM)))[who]
    old, new = (unit(center + s * unit(rng.standard_normal((len(who), DIM)))) for s in noise)
    if turned:
        new = unit(new @ np.linalg.qr(rng.standard_normal((DIM, DIM)))[0])
    return old, new, who


def measured(**more):
    return compat.measure(*two_networks(), spaces=(OLD, NEW), dataset="drawn people", rng=_rng(), **more)


def _rng():
    return np.random.default_rng(1)


def calibration(space, table):
    return calibrate.fit(table, calibrate.Origin(space, "drawn", "drawn people", "sim"), rng=_rng(), n_boot=50)


def test_without_registration_nothing_of_two_spaces_is_compared(tmp_path):
    old, new, who = two_networks()
    table = compat.comparisons(old, new, who)
    cross = calibration(compat.pair(NEW, OLD), table)
    with open_gallery(tmp_path / "people.db") as gallery:
        for person in range(3):
            gallery.enroll(f"P{person}", old[who == person], None, None, OLD)
        probe = Template(new[4], NEW)  # person 1
        for call in (
            lambda: gallery.search(probe),
            lambda: gallery.identify(probe, calibration=cross, fmr=1e-2),
            lambda: gallery.identify(probe, calibration=cross, fpir=0.05),
            lambda: cross.decide(probe, Template(old[5], OLD), fmr=1e-2),
        ):
            with pytest.raises(SpaceMismatch, match=r"v2@bbbbbbbbbbbb.*v1@aaaaaaaaaaaa"):
                call()
        compat.register(measured())
        assert gallery.search(probe)[0].name == "P1"
        assert gallery.identify(probe, calibration=cross, fmr=1e-2).match.name == "P1"
        assert cross.decide(probe, Template(old[5], OLD), fmr=1e-2).accepted
        assert not cross.decide(probe, Template(old[0], OLD), fmr=1e-2).accepted
        with pytest.raises(SpaceMismatch):  # a threshold of one network is none for two
            gallery.identify(probe, calibration=calibration(OLD, compat.comparisons(old, old, who)), fmr=1e-2)
        with pytest.raises(InputError, match="fpir: expected None"):  # its own faces are of the old network
            gallery.identify(probe, calibration=cross, fpir=0.05)
        with pytest.raises(SpaceMismatch):  # enrolling stays in one space
            gallery.enroll("Eve", new[who == 9], None, None, NEW)
        assert compat.withdraw(NEW, OLD)
        assert not compat.withdraw(NEW, OLD)
        with pytest.raises(SpaceMismatch):
            gallery.search(probe)


def test_the_other_direction_and_other_spaces_stay_refused():
    old, new, who = two_networks()
    cross = calibration(compat.pair(NEW, OLD), compat.comparisons(old, new, who))
    compat.register(measured())
    a, b, c = Template(new[0], NEW), Template(old[1], OLD), Template(new[2], OTHER)
    assert cross.decide(a, b, fmr=1e-2).accepted
    for wrong in ((b, a), (c, b), (a, c), (c, c), (a, a), (b, b)):
        with pytest.raises(SpaceMismatch):
            cross.decide(*wrong, fmr=1e-2)
    assert compat.compared(NEW, OLD) == "v2@bbbbbbbbbbbb^v1@aaaaaaaaaaaa"
    assert compat.compared(OTHER, OTHER) == OTHER
    with pytest.raises(SpaceMismatch):
        compat.compared(OLD, NEW)


def test_what_is_measured_is_the_rates_of_the_comparisons():
    """New probes against old vectors: the rate of the metrics is that of the table, and the direction is right."""
    old, new, who = two_networks()
    found = measured().metrics
    for name, kept, probes in (("new_old", old, new), ("old_old", old, old), ("new_new", new, new)):
        table = compat.comparisons(kept, probes, who)
        want = roc.tar_at_far(table.score[table.mated], table.score[~table.mated], 1e-2, force=True)
        assert found[f"{name}.tar_at_far_1e-2"].value == pytest.approx(want)
    table = compat.comparisons(old, new, who)
    assert len(table) == len(who) * (len(who) - 1)
    assert table.score[0] == pytest.approx(float(new[1] @ old[0]), abs=1e-6)
    gain = found["new_old.gain_over_old_old_1e-2"]
    assert 0 < gain.low <= gain.value
    rates = [found[f"{name}.tar_at_far_1e-2"].value for name in ("new_new", "new_old", "old_old")]
    assert rates == sorted(rates, reverse=True)


def test_networks_with_axes_of_their_own_are_refused():
    old, new, who = two_networks(turned=True)
    arguments = {"spaces": (OLD, NEW), "dataset": "drawn people"}
    with pytest.raises(Refused, match=r"v2@bbbbbbbbbbbb against a gallery of v1@aaaaaaaaaaaa.*learn an adapter"):
        compat.measure(old, new, who, rng=_rng(), **arguments)
    forced = compat.measure(old, new, who, rng=_rng(), force=True, **arguments)
    assert forced.metrics["new_old.tar_at_far_1e-2"].value < 0.1
    few = who < 8
    with pytest.raises(InputError, match="bring pictures of more people"):
        compat.measure(old[few], new[few], who[few], rng=_rng(), **arguments)


@settings(max_examples=10, deadline=None)
@given(st.permutations(range(12)))
def test_the_order_of_the_pictures_does_not_matter(order):
    old, new, who = (part[:12] for part in two_networks())
    order = np.array(order)
    table, other = compat.comparisons(old, new, who), compat.comparisons(old[order], new[order], who[order])
    np.testing.assert_allclose(np.sort(table.score), np.sort(other.score), atol=1e-6)
    assert table.mated.sum() == other.mated.sum() == 3 * 4 * 3


def test_it_is_kept_with_its_numbers(home):
    made = measured()
    path = compat.register(made)
    assert path == home / "compat" / "v2@bbbbbbbbbbbb^v1@aaaaaaaaaaaa.json"
    found = compat.find(NEW, OLD)
    assert found.to_dict() == made.to_dict()
    assert (found.pictures, found.people, found.dataset) == (PEOPLE * EACH, PEOPLE, "drawn people")
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    assert compat.find(OLD, NEW) is None
    for odd in ("toy", "../v2@1", "a^b@1"):
        assert compat.find(odd, OLD) is None


@pytest.mark.parametrize("damage", ["", "[]", '{"format": "other"}', "swapped", "no metrics"])
def test_a_damaged_file_is_an_error_and_no_permission(damage):
    path = compat.register(measured())
    text = json.loads(path.read_text())
    if damage == "swapped":
        text["new"], text["old"] = text["old"], text["new"]
    if damage == "no metrics":
        del text["metrics"]
    path.write_text(json.dumps(text) if damage in ("swapped", "no metrics") else damage)
    with pytest.raises(StoreError, match="register it again"):
        compat.compared(NEW, OLD)


def test_the_guide_does_what_it_says(tmp_path):
    (code,) = blocks(guide("migration.md"))
    old, new, who = two_networks()
    with open_gallery(tmp_path / "people.db") as gallery:
        gallery.enroll("Ada", old[who == 1], None, None, OLD)
        said = {"old_vectors": old, "new_vectors": new, "people": who, "old_space": OLD, "new_space": NEW}
        code = code.replace("gallery.identify", "found = gallery.identify")
        exec(code, said | {"rng": _rng(), "gallery": gallery, "probe": Template(new[5], NEW)}, said)
    assert said["found"].match.name == "Ada"


def test_refusals(tmp_path):
    old, new, who = two_networks()
    with pytest.raises(InputError, match="expected two, got 'v1@aaaaaaaaaaaa' twice"):
        compat.measure(old, new, who, spaces=(OLD, OLD), dataset="", rng=_rng())
    for wrong in ("v1", "../v1@1", "a^b@1", ".v@1", 3):
        with pytest.raises(InputError, match="expected the space of an embedder"):
            compat.measure(old, new, who, spaces=(OLD, wrong), dataset="", rng=_rng())
    with pytest.raises(InputError, match="expected unit rows"):
        compat.comparisons(old, 2 * new, who)
    with pytest.raises(InputError, match=r"new: expected shape \(240, 32\)"):
        compat.comparisons(old, new[:, :8], who)
    with pytest.raises(InputError, match="expected what measure returns, got str"):
        compat.register("v1")
    (tmp_path / "taken").write_text("")
    with pytest.raises(StoreError, match="could not be written"):
        compat.register(measured(), home=tmp_path / "taken")
    compat.register(measured(), home=tmp_path).unlink()
    assert not compat.withdraw(NEW, OLD, home=tmp_path)
    (tmp_path / "compat" / f"{compat.pair(NEW, OLD)}.json").mkdir()
    with pytest.raises(StoreError, match="could not be withdrawn"):
        compat.withdraw(NEW, OLD, home=tmp_path)

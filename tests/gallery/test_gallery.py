"""People in, names out: enrolling, identifying with abstention, removing, and what other processes see."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest

from vultus.errors import InputError, SpaceMismatch, StoreError
from vultus.gallery import open_gallery
from vultus.gallery.calibrate import Calibration, Origin, Rate
from vultus.ops.vectors import unit
from vultus.types import Template

SPACE = "toy@000000000000"
DIM = 32


@pytest.fixture
def gallery(tmp_path):
    with open_gallery(tmp_path / "people.db") as opened:
        yield opened


@pytest.fixture(scope="module")
def calibration():
    rates = tuple(Rate(10.0**-k, 0.2 + k / 10, 0.8 * 10.0**-k, min(1.0, 1.2 * 10.0**-k), None) for k in range(6))
    origin = Origin(SPACE, "drawn", "toy people", "sim")
    return Calibration(origin, rates, 300, 100, 3_000_000, 0, "2026-01-01", "0.1.0")


def _photos(seed, n=3, spread=0.4):
    """Photos of the person whose number is the seed."""
    rng = np.random.default_rng(seed)
    center = unit(rng.standard_normal(DIM))
    return unit(center + spread * unit(rng.standard_normal((n, DIM))))


def _enroll(gallery, name, seed, n=3):
    rows = _photos(seed, n)
    return gallery.enroll(name, rows, [0.9] * n, [f"{name.strip()}-{i}" for i in range(n)], SPACE)


def _probe(seed, quality=0.9, space=SPACE):
    return Template(_photos(seed, 4)[3], space, quality)


def test_an_enrolled_person_is_named_and_a_stranger_is_not(gallery, calibration):
    for seed, name in enumerate(("Ada", "Grace", "Emmy", "Sofja")):
        _enroll(gallery, name, seed)
    yes = gallery.identify(_probe(2), calibration=calibration, fmr=1e-3)
    assert yes.accepted
    assert (yes.match.name, yes.match.rank) == ("Emmy", 1)
    assert yes.threshold == pytest.approx(0.5)
    assert yes.fmr.value == 1e-3
    assert "0.40%" in yes.reason  # 1 - (1 - 1e-3) ** 4
    assert yes.calibration == calibration.describe()
    no = gallery.identify(_probe(99), calibration=calibration, fmr=1e-3)
    assert no.outcome == "reject"
    assert no.match is None
    assert "nobody of 4" in no.reason
    assert no.score < 0.5


def test_it_abstains_on_a_poor_picture_and_on_two_people_too_alike(gallery, calibration):
    _enroll(gallery, "Ada", 0)
    poor = gallery.identify(_probe(0, quality=0.05), calibration=calibration)
    assert poor.outcome == "abstain"
    assert "too poor" in poor.reason
    assert gallery.identify(_probe(0, quality=0.05), calibration=calibration, min_quality=0.0).accepted
    assert gallery.identify(_probe(0, quality=None), calibration=calibration).accepted
    _enroll(gallery, "Twin", 0)
    twins = gallery.identify(_probe(0), calibration=calibration)
    assert twins.outcome == "abstain"
    assert not twins.accepted
    assert "Ada" in twins.reason
    assert "Twin" in twins.reason
    assert "apart" in twins.reason


def test_an_empty_gallery_knows_nobody(gallery, calibration):
    decision = gallery.identify(_probe(0), calibration=calibration)
    assert (decision.outcome, decision.score, decision.reason) == ("reject", None, "the gallery is empty")
    assert gallery.search(_probe(0)) == []
    assert (len(gallery), gallery.space, gallery.people()) == (0, None, [])
    assert gallery.expected_fpir(0.5) == 0.0


def test_search_is_exact_and_ordered(gallery):
    for seed in range(20):
        _enroll(gallery, f"person {seed:02d}", seed)
    probe = _probe(7)
    found = gallery.search(probe, k=5)
    truth = sorted(((float(p.template.vector @ probe.vector), p.name) for p in gallery.people()), reverse=True)[:5]
    assert [m.name for m in found] == [name for _, name in truth]
    assert [m.score for m in found] == pytest.approx([score for score, _ in truth], abs=1e-6)
    assert [m.rank for m in found] == [1, 2, 3, 4, 5]
    assert len(gallery.search(probe, k=100)) == 20
    with pytest.raises(InputError, match="at least 1"):
        gallery.search(probe, k=0)


def test_enrolling_twice_changes_nothing_and_more_photos_refine(gallery):
    first = _enroll(gallery, "Ada", 0)
    again = _enroll(gallery, "  Ada ", 0)
    assert again == first
    more = gallery.enroll("Ada", _photos(0, 5)[4:], [0.5], ["new"], SPACE)
    assert more.id == first.id
    assert more.enrolled_at == first.enrolled_at
    assert more.template.n_images == 4
    assert "new" in more.template.media
    assert len(gallery) == 1


def test_removing_a_photo_fuses_the_rest_again(gallery):
    person = _enroll(gallery, "Ada", 0)
    less = gallery.remove_photo(person.id, "Ada-1")
    rest = _photos(0)[[0, 2]]
    np.testing.assert_allclose(less.template.vector, unit(rest.mean(0)), atol=1e-6)
    assert less.template.media == ("Ada-0", "Ada-2")
    with pytest.raises(InputError, match="Ada-1"):
        gallery.remove_photo(person.id, "Ada-1")
    gallery.remove_photo(person.id, "Ada-0")
    with pytest.raises(InputError, match="remove the person"):
        gallery.remove_photo(person.id, "Ada-2")


def test_removed_people_are_gone_from_search_and_from_the_file(gallery, calibration):
    person = _enroll(gallery, "Ada", 0)
    _enroll(gallery, "Grace", 1)
    vector = person.template.vector.astype("<f4").tobytes()
    gallery.store.compact()
    assert vector in gallery.store.path.read_bytes()
    gallery.remove(person.id)
    assert all(m.name != "Ada" for m in gallery.search(_probe(0), k=10))
    assert gallery.identify(_probe(0), calibration=calibration).outcome == "reject"
    for path in gallery.store.path.parent.iterdir():
        assert vector not in path.read_bytes()
        assert b"Ada" not in path.read_bytes()
    for call in (gallery.remove, gallery.person):
        with pytest.raises(InputError, match="enrolled person"):
            call(person.id)


def test_two_people_may_share_a_name_when_the_key_says_which(gallery):
    one = gallery.enroll("Kim", _photos(0), None, None, SPACE)
    other = gallery.enroll("Kim", _photos(1), None, None, SPACE, identity_id="kim-2")
    assert {one.id, "kim-2"} == {p.id for p in gallery.people()}
    assert other.id == "kim-2"
    assert {p.id for p in gallery.named(" Kim ")} == {one.id, "kim-2"}
    assert gallery.named("Nobody") == []
    with pytest.raises(InputError, match="kim-2"):
        gallery.enroll("Kim", _photos(2), None, None, SPACE)
    assert gallery.rename("kim-2", "Kim the Younger").name == "Kim the Younger"
    assert gallery.person("kim-2").name == "Kim the Younger"
    assert gallery.damage() == []


def test_another_space_is_refused_everywhere(gallery, calibration):
    other = "other@111111111111"
    with pytest.raises(SpaceMismatch):
        gallery.identify(_probe(0, space=other), calibration=calibration)
    _enroll(gallery, "Ada", 0)
    with pytest.raises(SpaceMismatch):
        gallery.enroll("Eve", _photos(5), None, None, other)
    with pytest.raises(SpaceMismatch):
        gallery.search(_probe(0, space=other))
    with pytest.raises(SpaceMismatch):
        gallery.screen(_photos(5), other, calibration=calibration)
    with pytest.raises(InputError, match="32 numbers"):
        gallery.enroll("Eve", np.eye(2, 8, dtype=np.float32), None, None, SPACE)
    with pytest.raises(InputError, match="32 numbers"):
        gallery.search(Template(np.eye(1, 8, dtype=np.float32)[0], SPACE))


@pytest.mark.parametrize(
    ("vectors", "qualities", "media", "name"),
    [
        (np.full((1, DIM), np.nan, np.float32), None, None, "Eve"),
        (np.full((1, DIM), 1.0, np.float32), None, None, "Eve"),
        (np.zeros((0, DIM), np.float32), None, None, "Eve"),
        (np.eye(2, DIM, dtype=np.float32), [0.5], None, "Eve"),
        (np.eye(2, DIM, dtype=np.float32), [0.5, 2.0], None, "Eve"),
        (np.eye(2, DIM, dtype=np.float32), None, ["same", "same"], "Eve"),
        (np.eye(2, DIM, dtype=np.float32), None, ["one"], "Eve"),
        (np.eye(1, DIM, dtype=np.float32), None, None, "  "),
        (np.stack([np.eye(DIM)[0], -np.eye(DIM)[0]]).astype(np.float32), None, None, "Eve"),
    ],
)
def test_bad_input_is_refused_and_leaves_nothing(gallery, vectors, qualities, media, name):
    with pytest.raises(InputError, match="expected"):
        gallery.enroll(name, vectors, qualities, media, SPACE)
    assert len(gallery) == 0


def test_screen_says_what_speaks_against_a_photo(gallery, calibration):
    _enroll(gallery, "Ada", 0)
    rows = np.concatenate([_photos(1, 4), _photos(2, 1)])
    said = gallery.screen(rows, SPACE, calibration=calibration, qualities=[0.9, 0.9, 0.1, None, 0.9], name="Grace")
    assert said[:2] == ["", ""]
    assert "too poor" in said[2]
    assert said[3] == ""
    assert "other photos" in said[4]
    assert "Ada" in gallery.screen(_photos(0, 5)[3:4], SPACE, calibration=calibration, name="Grace")[0]
    assert gallery.screen(_photos(0, 5)[3:4], SPACE, calibration=calibration, name="Ada") == [""]
    assert "enrolled before" in gallery.screen(_photos(3, 1), SPACE, calibration=calibration, name="Ada")[0]
    assert len(gallery) == 1


def test_rates_of_a_search(gallery):
    for seed in range(10):
        _enroll(gallery, f"person {seed}", seed, 1)
    assert gallery.expected_fpir(1e-3) == pytest.approx(1 - 0.999**10)
    assert gallery.expected_fpir(gallery.fmr_for_fpir(0.01)) == pytest.approx(0.01)
    assert (gallery.expected_fpir(0.0), gallery.expected_fpir(1.0)) == (0.0, 1.0)
    for bad in (0.0, 1.0, math.nan):
        with pytest.raises(InputError):
            gallery.fmr_for_fpir(bad)


def test_what_another_one_writes_is_seen(tmp_path):
    with open_gallery(tmp_path / "people.db") as one, open_gallery(f"sqlite:///{tmp_path}/people.db") as other:
        assert len(one) == len(other) == 0
        ada = _enroll(one, "Ada", 0)
        assert [m.name for m in other.search(_probe(0))] == ["Ada"]
        other.remove(ada.id)
        assert one.search(_probe(0)) == []


def test_it_opens_again_after_close_and_copies_of_the_handle_are_the_same_file(tmp_path):
    gallery = open_gallery(tmp_path / "people.db")
    _enroll(gallery, "Ada", 0)
    gallery.close()
    assert [p.name for p in gallery.people()] == ["Ada"]
    twin = copy.deepcopy(gallery)
    assert [p.name for p in twin.people()] == ["Ada"]
    twin.close()
    gallery.close()


@pytest.mark.parametrize("url", ["mysql://host/people", "sqlite://people.db", "", ":memory:", "sqlite:///"])
def test_other_urls_are_refused_in_words(url):
    with pytest.raises(InputError, match="expected"):
        open_gallery(url)


def test_a_reference_that_its_photos_do_not_give_is_found(gallery):
    person = _enroll(gallery, "Ada", 0)
    assert gallery.damage() == []
    with gallery.store.write() as change:
        change.delete("faces", id=change.find("faces", person_id=person.id)[0]["id"])
    with pytest.raises(StoreError, match="fused from 3 pictures, found 2"):
        gallery.people()


def test_in_a_crowd_a_chance_likeness_does_not_keep_a_newcomer_out(gallery, calibration):
    """One comparison at FMR 1e-2 means 0.4; among a hundred people a newcomer is held against them at 1e-4: 0.6."""
    for seed in range(100):
        _enroll(gallery, f"person {seed}", seed, n=1)
    other = _photos(7, 1)[0]
    aside = unit(np.eye(DIM)[0] - other * other[0])
    roster = np.stack([_photos(seed, 1)[0] for seed in range(100)])
    for cosine, refused in ((0.5, False), (0.75, True)):
        probe = unit(cosine * other + (1 - cosine**2) ** 0.5 * aside)
        assert (roster @ probe).max() == pytest.approx(cosine, abs=0.1)
        (reason,) = gallery.screen(probe[None], SPACE, calibration=calibration, name="newcomer")
        assert bool(reason) is refused, reason


@pytest.mark.parametrize("thing", [None, 5, "", "  ", [], float("nan"), "\udcff"])
def test_what_is_no_name_no_key_no_space_and_no_rate_is_an_input_error(gallery, calibration, thing):
    _enroll(gallery, "Ada", 0)
    row = _photos(1, 1)
    calls = [
        lambda: gallery.enroll(thing, row, None, None, SPACE),
        lambda: gallery.named(thing),
        lambda: gallery.person(thing),
        lambda: gallery.remove(thing),
        lambda: gallery.rename(thing, "Eve"),
        lambda: gallery.rename(gallery.people()[0].id, thing),
        lambda: gallery.search(thing),
        lambda: gallery.search(_probe(0), thing),
        lambda: gallery.identify(thing, calibration=calibration),
        lambda: gallery.identify(_probe(0), calibration=thing),
        lambda: gallery.identify(_probe(0), calibration=calibration, fmr=thing),
        lambda: gallery.expected_fpir("0.1" if thing == 5 else thing),
        lambda: gallery.fmr_for_fpir(thing),
        lambda: calibration.fmr_of("1" if thing == 5 else thing),
        lambda: calibration.decide(thing, thing),
    ]
    for call in calls:
        if thing == 5 and call is calls[7]:
            continue  # five candidates are fine
        with pytest.raises(InputError):
            call()
    for space in (None, 5, ""):
        with pytest.raises(InputError, match="space"):
            gallery.enroll("Eve", row, None, None, space)
    assert [person.name for person in gallery.people()] == ["Ada"]


def test_one_name_is_one_person_in_both_spellings_of_its_letters(gallery):
    _enroll(gallery, "Zo\u00e9", 0)
    gallery.enroll("Zoe\u0301 ", _photos(0, 1), None, ["another"], SPACE)
    (person,) = gallery.named("Zoe\u0301")
    assert person.template.n_images == 4


def test_a_place_that_is_none_is_refused_and_not_made(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for place in (None, 5, "", "a\0b", b"people.db"):
        with pytest.raises(InputError, match="gallery"):
            open_gallery(place)
    assert list(tmp_path.iterdir()) == []

"""What people put right by hand: it is done, it holds against what comes later, and it can be taken back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from vultus.errors import InputError
from vultus.gallery import open_gallery
from vultus.gallery.calibrate import Calibration, Origin, Rate
from vultus.gallery.records import NewFace
from vultus.ops.vectors import unit
from vultus.types import Template

SPACE = "toy@000000000000"
DIM = 16


@pytest.fixture
def gallery(tmp_path):
    with open_gallery(tmp_path / "people.db") as opened:
        yield opened


@pytest.fixture(scope="module")
def calibration():
    rates = tuple(Rate(10.0**-k, 0.2 + k / 10, 0.8 * 10.0**-k, min(1.0, 1.2 * 10.0**-k), None) for k in range(6))
    origin = Origin(SPACE, "drawn", "toy people", "sim")
    return Calibration(origin, rates, 300, 100, 3_000_000, 0, "2026-01-01", "0.1.0")


def _like(seed, n, spread=0.4):
    rng = np.random.default_rng(seed)
    return unit(unit(rng.standard_normal(DIM)) + spread * unit(rng.standard_normal((n, DIM))))


def _enroll(gallery, name, seed, n=3):
    return gallery.enroll(name, _like(seed, n), [0.9] * n, [f"{name}-{i}" for i in range(n)], SPACE)


def _unknown(gallery, seed, n=1, medium="street"):
    """n faces of one person, each on a picture of its own."""
    rows = _like(seed, n + 3)[3:]
    new = [NewFace(f"{medium}-{seed}-{i}", row, (0, 0, 50, 50), 0.9, 0.8) for i, row in enumerate(rows)]
    return gallery.add_faces(new, SPACE)


def _picture(gallery, medium, seeds):
    """One picture with a face of each of several people."""
    new = [NewFace(medium, _like(s, 4)[3], (60 * i, 0, 60 * i + 50, 50), 0.9, 0.8) for i, s in enumerate(seeds)]
    return gallery.add_faces(new, SPACE)


def _state(gallery):
    """Everything that undo must bring back."""
    people = [(p.id, p.name, p.template.vector.tobytes(), p.template.media, p.enrolled_at) for p in gallery.people()]
    faces = sorted((f.id, f.person_id, f.cluster, f.assigned_by) for f in gallery.faces())
    links = [(link.id, link.kind, link.a, link.b) for link in gallery.links()]
    return people, faces, links, [gallery.attributes(p[0]) for p in people]


def test_a_merge_adds_the_photos_and_undo_brings_both_back(gallery):
    ada, lovelace = _enroll(gallery, "Ada", 0), _enroll(gallery, "Lovelace", 0, 2)
    gallery.set_attributes(lovelace.id, {"team": "engine"})
    before = _state(gallery)
    one = gallery.merge(ada.id, lovelace.id, actor="eve")
    assert (one.name, one.template.n_images, len(gallery)) == ("Ada", 5, 1)
    assert gallery.search(Template(_like(0, 1)[0], SPACE), 5)[0].identity_id == ada.id
    entry = gallery.history()[0]
    assert (entry.verb, entry.actor, set(entry.people)) == ("merge", "eve", {ada.id, lovelace.id})
    assert gallery.undo().seq == entry.seq
    assert _state(gallery) == before
    assert gallery.damage() == []
    with pytest.raises(InputError, match="taken back already"):
        gallery.undo(entry.seq)


def test_a_split_makes_a_new_person_and_undo_removes_it(gallery):
    both = gallery.enroll("Kim", np.concatenate([_like(0, 2), _like(1, 2)]), None, ["a", "b", "c", "d"], SPACE)
    before = _state(gallery)
    wrong = [face.id for face in gallery.faces(person_id=both.id) if face.medium in "cd"]
    other = gallery.split(both.id, wrong, "Kim the Younger")
    assert set(other.template.media) == {"c", "d"}
    assert set(gallery.person(both.id).template.media) == {"a", "b"}
    found = gallery.search(Template(_like(1, 3)[2], SPACE), 1)[0]
    assert found.identity_id == other.id
    gallery.undo()
    assert _state(gallery) == before
    with pytest.raises(InputError, match="without a photo"):
        gallery.split(both.id, [face.id for face in gallery.faces(person_id=both.id)], "All")
    assert _state(gallery) == before


def test_unknown_faces_are_named_taken_back_and_named_again(gallery):
    faces = _unknown(gallery, 4, 3)
    assert (len(gallery), len(gallery.faces(unknown=True))) == (0, 3)
    emmy = gallery.assign([face.id for face in faces[:2]], name="Emmy")
    assert (emmy.template.n_images, len(gallery.faces(unknown=True))) == (2, 1)
    assert gallery.assign([faces[2].id], name="Emmy").id == emmy.id
    gallery.unassign([faces[0].id])
    assert gallery.person(emmy.id).template.n_images == 2
    with pytest.raises(InputError, match="without a photo"):
        gallery.unassign([faces[1].id, faces[2].id])
    for _ in range(3):
        gallery.undo()
    assert (len(gallery), len(gallery.faces(unknown=True))) == (0, 3)
    with pytest.raises(InputError, match="there is none"):
        gallery.undo()


def test_not_this_person_holds_in_suggestions_and_against_assigning(gallery, calibration):
    ada = _enroll(gallery, "Ada", 0)
    (face,) = _unknown(gallery, 0)
    assert gallery.suggest(face.id, calibration=calibration, fmr=1e-2).match.name == "Ada"
    link = gallery.link("not_person", face.id, ada.id)
    assert gallery.suggest(face.id, calibration=calibration, fmr=1e-2).match is None
    with pytest.raises(InputError, match="said not to be this person"):
        gallery.assign([face.id], person_id=ada.id)
    assert gallery.link("not_person", face.id, ada.id) == link  # said twice is said once
    gallery.unlink(link.id)
    assert gallery.assign([face.id], person_id=ada.id).template.n_images == 4


def test_not_this_person_takes_an_assigned_face_away_and_undo_gives_it_back(gallery):
    ada = _enroll(gallery, "Ada", 0)
    before = _state(gallery)
    face = gallery.faces(person_id=ada.id)[0]
    gallery.link("not_person", face.id, ada.id)
    assert gallery.face(face.id).person_id is None
    assert gallery.person(ada.id).template.n_images == 2
    gallery.undo()
    assert _state(gallery) == before


def test_faces_of_one_photo_are_different_people_unless_said_otherwise(gallery, calibration):
    one, other = _picture(gallery, "party", [0, 0])
    gallery.assign([one.id], name="Ada")
    with pytest.raises(InputError, match="one picture are different people"):
        gallery.assign([other.id], name="Ada")
    assert gallery.suggest(other.id, calibration=calibration, fmr=1e-2).match is None
    gallery.set_exclusive("party", False)
    assert gallery.assign([other.id], name="Ada").template.n_images == 2
    with pytest.raises(InputError, match="one picture are different people"):
        gallery.set_exclusive("party", True)


def test_links_that_contradict_each_other_or_the_gallery_are_refused(gallery):
    a, b, c = (_unknown(gallery, seed)[0] for seed in (1, 2, 3))
    gallery.link("must", a.id, b.id)
    gallery.link("must", b.id, c.id)
    with pytest.raises(InputError, match="said to show one person"):
        gallery.link("cannot", c.id, a.id)
    d, e = (_unknown(gallery, seed)[0] for seed in (4, 5))
    gallery.link("cannot", d.id, e.id)
    gallery.link("must", a.id, d.id)
    with pytest.raises(InputError, match="different people"):
        gallery.link("must", c.id, e.id)
    with pytest.raises(InputError, match="twice"):
        gallery.link("must", a.id, a.id)
    with pytest.raises(InputError, match="must, cannot, not_person"):
        gallery.link("maybe", a.id, b.id)
    with pytest.raises(InputError, match="stored face"):
        gallery.link("must", a.id, "nobody")
    person = gallery.assign([b.id], name="Emmy")  # what must be together comes along
    assert {face.id for face in gallery.faces(person_id=person.id)} == {a.id, b.id, c.id, d.id}
    with pytest.raises(InputError, match="said to show one person"):
        gallery.split(person.id, [a.id], "Other")
    with pytest.raises(InputError, match="different people"):
        gallery.assign([e.id], person_id=person.id)


def test_a_cannot_link_forbids_a_merge(gallery):
    ada, grace = _enroll(gallery, "Ada", 0), _enroll(gallery, "Grace", 0)
    one, other = gallery.faces(person_id=ada.id)[0], gallery.faces(person_id=grace.id)[0]
    gallery.link("cannot", one.id, other.id)
    before = _state(gallery)
    with pytest.raises(InputError, match="different people"):
        gallery.merge(ada.id, grace.id)
    assert _state(gallery) == before


def test_what_was_said_survives_processing_the_picture_again(gallery):
    """Another detector gives a slightly different box and another vector: the face is the same one."""
    faces = _picture(gallery, "party", [0, 1])
    ada = gallery.assign([faces[0].id], name="Ada")
    gallery.link("not_person", faces[1].id, ada.id)
    again = [
        NewFace("party", _like(7, 1)[0], (62, 3, 111, 52), 0.8, 0.7),
        NewFace("party", _like(0, 5)[4], (2, 1, 53, 49), 0.8, 0.7),
        NewFace("party", _like(9, 1)[0], (300, 0, 350, 50), 0.8, 0.7),
    ]
    kept = gallery.add_faces(again, SPACE)
    assert [kept[1].id, kept[0].id] == [faces[0].id, faces[1].id]
    assert kept[1].person_id == ada.id
    assert len(gallery.faces(medium="party")) == 3
    assert [link.a for link in gallery.links(ada.id)] == [faces[1].id]
    np.testing.assert_allclose(gallery.person(ada.id).template.vector, again[1].vector, atol=1e-6)
    assert gallery.add_faces(again, SPACE) == kept
    assert len(gallery.faces()) == 3
    assert gallery.damage() == []


def test_has_media_tells_what_is_done(gallery):
    _picture(gallery, "party", [0, 1])
    assert gallery.has_media(["party", "other"], SPACE) == {"party"}
    assert gallery.has_media(["party"], "next@000000000000") == set()


def test_an_undo_that_something_stands_in_the_way_of_names_it(gallery):
    ada, grace = _enroll(gallery, "Ada", 0), _enroll(gallery, "Grace", 1)
    gallery.merge(ada.id, grace.id)
    merged = gallery.history()[0].seq
    face = next(face for face in gallery.faces(person_id=ada.id) if face.medium == "Grace-0")
    gallery.unassign([face.id])
    later = gallery.history()[0].seq
    before = _state(gallery)
    with pytest.raises(InputError, match=f"take back entry {later} first"):
        gallery.undo(merged)
    assert _state(gallery) == before
    gallery.undo(later)
    gallery.undo(merged)
    assert {p.name for p in gallery.people()} == {"Ada", "Grace"}


def test_attributes_filter_a_search_before_it_counts_to_k(gallery):
    for seed in range(12):
        person = _enroll(gallery, f"person {seed}", seed, 1)
        gallery.set_attributes(person.id, {"team": "red" if seed % 3 else "blue", "year": seed})
    probe = Template(_like(1, 1)[0], SPACE)
    assert gallery.search(probe, 1)[0].name == "person 1"
    blue = gallery.search(probe, 10, where={"team": "blue"})
    assert {match.name for match in blue} == {"person 0", "person 3", "person 6", "person 9"}
    assert [match.name for match in gallery.search(probe, 3, where={"team": "red", "year": 4})] == ["person 4"]
    assert gallery.search(probe, 3, where={"nothing": 1}) == []
    with pytest.raises(InputError, match="attributes"):
        gallery.set_attributes(blue[0].identity_id, {"team": [1]})


class Corrections(RuleBasedStateMachine):
    """Any order of corrections keeps every invariant, and taking all of them back gives the gallery as it was."""

    @initialize()
    def start(self):
        import tempfile

        self.folder = tempfile.TemporaryDirectory()
        self.gallery = open_gallery(f"{self.folder.name}/people.db")
        for seed in range(3):
            _enroll(self.gallery, f"p{seed}", seed, 2)
        _picture(self.gallery, "party", [0, 1, 2])
        _unknown(self.gallery, 1, 2)
        self.first = _state(self.gallery)
        self.done = 0

    def _try(self, call):
        before = _state(self.gallery)
        entries = len(self.gallery.history(10_000))
        try:
            call()
        except InputError:
            assert _state(self.gallery) == before  # refused: nothing has changed
        self.done += len(self.gallery.history(10_000)) - entries

    def _pick(self, items, number):
        return items[number % len(items)]

    @rule(a=st.integers(0, 99), b=st.integers(0, 99))
    def merge(self, a, b):
        people = self.gallery.people()
        self._try(lambda: self.gallery.merge(self._pick(people, a).id, self._pick(people, b).id))

    @rule(a=st.integers(0, 99), b=st.integers(0, 99))
    def assign(self, a, b):
        face = self._pick(self.gallery.faces(), a)
        self._try(lambda: self.gallery.assign([face.id], person_id=self._pick(self.gallery.people(), b).id))

    @rule(a=st.integers(0, 99))
    def unassign(self, a):
        self._try(lambda: self.gallery.unassign([self._pick(self.gallery.faces(), a).id]))

    @rule(a=st.integers(0, 99))
    def split(self, a):
        person = self._pick(self.gallery.people(), a)
        face = self.gallery.faces(person_id=person.id)[0]
        self._try(lambda: self.gallery.split(person.id, [face.id], f"new {a}"))

    @rule(kind=st.sampled_from(["must", "cannot", "not_person"]), a=st.integers(0, 99), b=st.integers(0, 99))
    def link(self, kind, a, b):
        one = self._pick(self.gallery.faces(), a)
        other = self._pick(self.gallery.people() if kind == "not_person" else self.gallery.faces(), b)
        self._try(lambda: self.gallery.link(kind, one.id, other.id))

    @precondition(lambda self: self.gallery.links())
    @rule(a=st.integers(0, 99))
    def unlink(self, a):
        self._try(lambda: self.gallery.unlink(self._pick(self.gallery.links(), a).id))

    @invariant()
    def whole(self):
        if hasattr(self, "gallery"):
            faces = {face.id: face for face in self.gallery.faces()}
            for link in self.gallery.links():
                if link.kind == "not_person":
                    assert faces[link.a].person_id != link.b
                elif link.kind == "cannot":
                    one, other = faces[link.a].person_id, faces[link.b].person_id
                    assert one is None or one != other
            party = [face.person_id for face in faces.values() if face.medium == "party" and face.person_id]
            assert len(party) == len(set(party))

    def teardown(self):
        if hasattr(self, "gallery"):
            assert self.gallery.damage() == []
            for _ in range(self.done):
                self.gallery.undo()
            assert _state(self.gallery) == self.first
            assert self.gallery.verify_audit() == []
            self.gallery.close()
            self.folder.cleanup()


TestCorrections = Corrections.TestCase
TestCorrections.settings = settings(
    max_examples=8, stateful_step_count=12, suppress_health_check=list(HealthCheck), deadline=None, derandomize=True
)

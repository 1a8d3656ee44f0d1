"""Clusters of unknown faces: what people said holds, keys stay, naming a cluster is a correction like any other."""

from __future__ import annotations

import numpy as np
import pytest

from vultus.errors import InputError
from vultus.gallery import open_gallery
from vultus.gallery.records import NewFace
from vultus.ops.vectors import unit
from vultus.types import Metric

SPACE = "toy@000000000000"
DIM = 16


class Blocks:
    """A clusterer that knows the truth (the sign pattern of the vector) and keeps the constraints by dropping faces."""

    def __init__(self):
        self.calls = []

    def cluster(self, vectors, *, cannot_link=None, must_link=None):
        self.calls.append((np.asarray(must_link).tolist(), np.asarray(cannot_link).tolist()))
        _, labels = np.unique(np.argmax(vectors, axis=1), return_inverse=True)
        for a, b in np.asarray(cannot_link):
            if labels[a] == labels[b]:
                labels[b] = -1
        return labels.astype(np.int64)


def _faces(person, n, start=0):
    rng = np.random.default_rng([person, start])
    rows = unit(np.eye(DIM)[person] * 3 + 0.4 * rng.standard_normal((n, DIM)))
    return [NewFace(f"photo {person} {start + i}", row, (0, 0, 9, 9), quality=0.9) for i, row in enumerate(rows)]


@pytest.fixture
def gallery(tmp_path):
    with open_gallery(tmp_path / "people.db") as opened:
        yield opened


def test_clusters_keep_their_keys_while_faces_join_and_the_nearest_face_comes_first(gallery):
    gallery.add_faces([*_faces(0, 4), *_faces(1, 3)], SPACE)
    assert gallery.cluster(Blocks()) == 2
    first = gallery.clusters()
    assert [c.size for c in first] == [4, 3]
    vectors = gallery.vectors_of(first[0].face_ids)
    near = vectors @ vectors.mean(0)
    assert (np.diff(near) <= 0).all()
    gallery.add_faces([*_faces(1, 3, 10), *_faces(2, 2)], SPACE)
    assert gallery.cluster(Blocks()) == 3
    second = {c.id: c.size for c in gallery.clusters()}
    assert second[first[0].id] == 4
    assert second[first[1].id] == 6
    assert gallery.cluster(Blocks()) == 3
    assert {c.id: c.size for c in gallery.clusters()} == second


def test_what_was_said_reaches_the_clusterer(gallery):
    a, b, c = (gallery.add_faces(_faces(p, 1), SPACE)[0] for p in (0, 1, 2))
    party = [NewFace("party", f.vector, (20 * i, 0, 20 * i + 9, 9)) for i, f in enumerate(_faces(3, 2))]
    one, other = gallery.add_faces(party, SPACE)
    gallery.link("must", b.id, a.id)
    gallery.link("cannot", c.id, a.id)
    clusterer = Blocks()
    gallery.cluster(clusterer)
    ids = [f.id for f in gallery.faces(unknown=True)]
    ((must, cannot),) = clusterer.calls
    assert {frozenset(ids[i] for i in pair) for pair in must} == {frozenset((a.id, b.id))}
    assert {frozenset(ids[i] for i in pair) for pair in cannot} == {
        frozenset((c.id, a.id)),
        frozenset((one.id, other.id)),
    }
    gallery.set_exclusive("party", False)
    gallery.cluster(clusterer)
    assert len(clusterer.calls[-1][1]) == 1


def test_naming_a_cluster_makes_a_person_and_undo_makes_the_cluster_again(gallery):
    gallery.add_faces([*_faces(0, 4), *_faces(1, 3)], SPACE)
    gallery.cluster(Blocks())
    big, small = gallery.clusters()
    ada = gallery.name_cluster(big.id, name="Ada")
    assert ada.template.n_images == 4
    assert [c.id for c in gallery.clusters()] == [small.id]
    assert {f.assigned_by for f in gallery.faces(person_id=ada.id)} == {"cluster"}
    with pytest.raises(InputError, match="cluster of unknown faces"):
        gallery.name_cluster(big.id, name="Ada")
    gallery.name_cluster(small.id, person_id=ada.id)
    assert gallery.person(ada.id).template.n_images == 7
    gallery.undo()
    gallery.undo()
    assert [(c.id, set(c.face_ids)) for c in gallery.clusters()] == [
        (big.id, set(big.face_ids)),
        (small.id, set(small.face_ids)),
    ]
    assert len(gallery) == 0
    assert gallery.verify_audit() == []


def test_purity_is_asked_per_cluster(gallery):
    gallery.add_faces([*_faces(0, 4), *_faces(1, 3)], SPACE)
    gallery.cluster(Blocks())

    def purity(vectors, labels):
        assert vectors.shape == (7, DIM)
        return {int(label): Metric(float(np.sum(labels == label)) / 10) for label in np.unique(labels)}

    assert [c.purity.value for c in gallery.clusters(purity)] == [0.4, 0.3]


def test_nothing_to_cluster_and_no_clusterer(gallery):
    assert gallery.cluster(Blocks()) == 0
    assert gallery.clusters() == []
    with pytest.raises(InputError, match="clusterer"):
        gallery.cluster("incremental")
    for bad in (None, "", "nobody"):
        with pytest.raises(InputError, match="cluster"):
            gallery.name_cluster(bad, name="Ada")

"""Clusters of unknown faces: found by a clusterer within what people have said; keys stay while faces join."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from vultus.errors import InputError
from vultus.gallery import corrections
from vultus.gallery._book import Book, Pages, new_id, oldest_first, stored
from vultus.gallery._by_hand import name_text, told
from vultus.gallery.records import Cluster, StoredFace
from vultus.types import F32, Identity, Metric

__all__ = ["Clustering"]

Pairs = NDArray[np.int64]
Purity = Callable[[F32, NDArray[np.int64]], Mapping[int, Metric]]


class Clustering(ABC):
    """The calls of a gallery about faces that nobody has named; `Gallery` has them."""

    @abstractmethod
    def pages(self) -> AbstractContextManager[Pages]:
        """One consistent view."""

    @abstractmethod
    def book(self, actor: str) -> AbstractContextManager[Book]:
        """One transaction."""

    def cluster(self, clusterer: object, *, actor: str = "local") -> int:
        """Sort the unknown faces into clusters; how many there are then.

        Links between them and the same-photo constraint are handed to the clusterer, which never breaks them. Existing
        clusters keep their keys: a clusterer with `update` (see `vultus.gallery.cluster.incremental`) goes on from
        them; what another one finds takes the key of the old cluster that it shares most faces with.

        Args:
            clusterer: see `vultus.contracts.Clusterer`.
            actor: who does it.

        Raises:
            InputError: if it is no clusterer, or links contradict each other.
        """
        if not hasattr(clusterer, "cluster"):
            raise InputError(f"clusterer: expected one with .cluster(...), got {type(clusterer).__name__}")
        with self.pages() as pages:
            faces, vectors = _with_vectors(pages)
            must, cannot = _constraints(pages, faces)
        if not faces:
            return 0
        before, names = _numbered(faces)
        if hasattr(clusterer, "update"):
            none = np.zeros((0, vectors.shape[1]), np.float32)
            made = clusterer.update(none, before, vectors, must_link=must, cannot_link=cannot)
            labels = np.asarray(made.labels, np.int64)
            keys = {label: name for label, name in enumerate(names)}
        else:
            labels = np.asarray(clusterer.cluster(vectors, must_link=must, cannot_link=cannot), np.int64)
            keys = _inherited(labels, faces)
        keys |= {int(label): new_id() for label in np.unique(labels) if label >= 0 and int(label) not in keys}
        with self.book(actor) as book:
            for face, label in zip(faces, labels.tolist(), strict=True):
                _put(book, face, keys[label] if label >= 0 else None)
            found = len({label for label in labels.tolist() if label >= 0})
            told(book, "cluster", "", {"faces": len(faces), "clusters": found})
        return found

    def clusters(self, purity: Purity | None = None) -> list[Cluster]:
        """Clusters of unknown faces, largest first; faces nearest to the middle of their cluster first.

        Args:
            purity: (N, D) vectors and (N,) labels -> label to estimated purity; see `vultus.gallery.purity`.
        """
        with self.pages() as pages:
            faces, vectors = _with_vectors(pages)
        inside = [i for i, face in enumerate(faces) if face.cluster]
        members: dict[str, list[int]] = defaultdict(list)
        for i in inside:
            members[str(faces[i].cluster)].append(i)
        order = sorted(members, key=lambda key: (-len(members[key]), key))
        pure: Mapping[int, Metric] = {}
        if purity is not None and inside:
            place = {key: label for label, key in enumerate(order)}
            pure = purity(vectors[inside], np.array([place[str(faces[i].cluster)] for i in inside], np.int64))
        found = []
        for label, key in enumerate(order):
            rows = members[key]
            middle = vectors[rows].mean(0)
            near = np.argsort(-(vectors[rows] @ middle), kind="stable")
            found.append(Cluster(key, tuple(faces[rows[i]].id for i in near), pure.get(label)))
        return found

    def name_cluster(
        self, cluster_id: str, *, name: str | None = None, person_id: str | None = None, actor: str = "local"
    ) -> Identity:
        """Say who all faces of a cluster are: a person by key, or by a name.

        Raises:
            InputError: if there is no such cluster, or a link or the same-photo constraint forbids it.
        """
        with self.book(actor) as book:
            rows = book.rows.find("faces", cluster=cluster_id) if isinstance(cluster_id, str) and cluster_id else []
            if not rows:
                raise InputError(f"cluster: expected the key of a cluster of unknown faces, got {cluster_id!r}")
            text = None if name is None else name_text(name)
            keys = [row["id"] for row in rows]
            person = corrections.assign(book, keys, person_id=person_id, name=text, by="cluster")
            told(book, "name_cluster", person, {"faces": len(keys), "cluster": cluster_id})
            return book.person(person)


def _with_vectors(pages: Pages) -> tuple[list[StoredFace], F32]:
    """The unknown faces that have a vector of the space in use, oldest first, and those vectors."""
    space = pages.space()
    faces = oldest_first(stored(row) for row in pages.rows.find("faces", person_id=None))
    rows = [pages.rows.get("vectors", face.id, space) for face in faces] if space else []
    have = [(face, row) for face, row in zip(faces, rows, strict=False) if row is not None]
    if not have:
        return [], np.zeros((0, 1), np.float32)
    vectors = pages.opened_many([(row, f"face:{face.id}", face.id, ()) for face, row in have])
    return [face for face, _ in have], vectors


def _constraints(pages: Pages, faces: Sequence[StoredFace]) -> tuple[Pairs, Pairs]:
    """(M, 2) pairs of faces that are, and that are not, one person."""
    place = {face.id: i for i, face in enumerate(faces)}
    must: set[tuple[int, ...]] = set()
    cannot: set[tuple[int, ...]] = set()
    for row in pages.rows.find("links"):
        if row["kind"] in ("must", "cannot") and row["a"] in place and row["b"] in place:
            pair = tuple(sorted((place[row["a"]], place[row["b"]])))
            (must if row["kind"] == "must" else cannot).add(pair)
    by_medium: dict[str, list[int]] = defaultdict(list)
    for i, face in enumerate(faces):
        by_medium[face.medium].append(i)
    for medium, inside in by_medium.items():
        if len(inside) > 1:
            picture = pages.rows.get("media", medium)
            if picture is None or picture["exclusive"]:
                cannot |= set(combinations(inside, 2))
    return _pairs(must), _pairs(cannot)


def _pairs(found: set[tuple[int, ...]]) -> Pairs:
    return np.array(sorted(found), np.int64).reshape(-1, 2)


def _numbered(faces: Sequence[StoredFace]) -> tuple[NDArray[np.int64], list[str]]:
    """(N,) number of each face's cluster, -1 for none, and the keys by number."""
    names = list(dict.fromkeys(face.cluster for face in faces if face.cluster))
    place = {name: i for i, name in enumerate(names)}
    return np.array([place[face.cluster] if face.cluster else -1 for face in faces], np.int64), names


def _inherited(labels: NDArray[np.int64], faces: Sequence[StoredFace]) -> dict[int, str]:
    """New labels -> keys of old clusters, by the largest overlaps; no key is given twice."""
    shared = Counter(
        (int(label), face.cluster) for label, face in zip(labels, faces, strict=True) if label >= 0 and face.cluster
    )
    keys: dict[int, str] = {}
    for (label, key), _ in sorted(shared.items(), key=lambda item: (-item[1], item[0])):
        if label not in keys and key not in keys.values():
            keys[label] = str(key)
    return keys


def _put(book: Book, face: StoredFace, cluster: str | None) -> None:
    """Note the cluster of a face, unless somebody has named it meanwhile."""
    row = book.rows.get("faces", face.id)
    if row is not None and row["person_id"] is None and row["cluster"] != cluster:
        book.rows.put("faces", {**row, "cluster": cluster})

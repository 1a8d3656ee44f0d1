"""Which pictures make a batch: P persons with K pictures each, or every person as often as every other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vultus.errors import InputError

__all__ = ["PK", "BalancedIdentity"]

_PERSONS, _PICTURES = 0, 1  # what a stream of random numbers is for


class PK:
    """Batches of indices, P persons with K pictures each; a batch sampler for `torch.utils.data.DataLoader`.

    Persons come in a shuffled order, each once before any comes again, but for those that fill no batch, which change
    from round to round. So do the pictures of a person: K different ones where there are as many, else each as often
    as the others or once more. What a batch holds follows from its number and the seed alone, so a run that was cut
    off goes on with the batches that it would have had.

    Args:
        labels: (N,) whole numbers, who is on each picture; -1 where nobody knows, and such a picture is in no batch.
        persons: P.
        pictures: K; with a person of fewer, pictures are repeated, and so are the vectors unless pictures are varied.
        apart: (N,) whole numbers, such as cameras or albums: the K pictures are of K of them, or of all there are;
            they are drawn anew in each round, so pictures of a rare camera come oftener.
        least: persons with fewer pictures are in no batch.
        batches: of one pass, per rank; None is as many as the pictures fill, and at least one.
        seed: of all draws.
        ranks: which rank this is, and how many there are; each has batches of its own.

    Attributes:
        done: batches given so far; a loader with workers asks ahead of the step that is taken.
        ranks: as given.

    Raises:
        InputError: if labels are no whole numbers, shapes disagree, fewer than P persons are left or a setting is out
            of range.
    """

    def __init__(
        self,
        labels: ArrayLike,
        persons: int,
        pictures: int,
        *,
        apart: ArrayLike | None = None,
        least: int = 1,
        batches: int | None = None,
        seed: int = 0,
        ranks: tuple[int, int] = (0, 1),
    ) -> None:
        who = _whole("labels", labels)
        rank, size = ranks
        if min(persons, pictures, least, 1 if batches is None else batches) < 1 or seed < 0:
            raise InputError(
                "persons, pictures, least, batches, seed: expected numbers from 1, the seed from 0, "
                f"got {persons}, {pictures}, {least}, {batches} and {seed}"
            )
        if not 0 <= rank < size:
            raise InputError(f"ranks: expected a rank from 0 and below how many there are, got {ranks}")
        self._apart = None if apart is None else _whole("apart", apart)
        if self._apart is not None and self._apart.shape != who.shape:
            raise InputError(f"apart: expected {who.shape}, as labels, got {self._apart.shape}")
        if who.size and who.min() < -1:
            raise InputError(f"labels: expected -1 (nobody known) or more, got {who.min()}")
        order = np.argsort(who, kind="stable")
        _, first, count = np.unique(who[order], return_index=True, return_counts=True)
        known = (who[order][first] >= 0) & (count >= least)
        self._order, self._first, self._count = order, first[known], count[known]
        if len(self._first) < persons:
            raise InputError(
                f"labels: expected at least {persons} persons with {least} or more pictures, got {len(self._first)}: "
                "lower persons or least"
            )
        self.persons, self.pictures, self.seed, self.done = persons, pictures, seed, 0
        self.ranks, self._rank, self._size = (rank, size), rank, size
        self._length = batches or max(1, int(self._count.sum()) // (persons * pictures * size))
        self._round: tuple[int, NDArray[np.int64]] | None = None

    def __repr__(self) -> str:
        return f"PK({len(self._first)} persons, {self.persons} x {self.pictures}, seed={self.seed}, done={self.done})"

    def __len__(self) -> int:
        """Batches of one pass."""
        return self._length

    def __iter__(self) -> Iterator[list[int]]:
        """The batches of this pass that are left; the next call gives the next pass."""
        for _ in range(self._length - self.done % self._length):
            self.done += 1
            yield self.batch(self.done - 1).ravel().tolist()

    def batch(self, number: int) -> NDArray[np.int64]:
        """(P, K) indices of a batch of this rank, by its number from 0; nothing is remembered.

        Raises:
            InputError: if the number is negative.
        """
        if number < 0:
            raise InputError(f"number: expected a number from 0, got {number}")
        groups = len(self._first) // self.persons
        turn, group = divmod(number * self._size + self._rank, groups)
        kept = self._round  # one look: threads ask for batches of two rounds at once
        if kept is None or kept[0] != turn:
            kept = self._round = (turn, self._random(_PERSONS, turn).permutation(len(self._first)))
        chosen = kept[1][group * self.persons : (group + 1) * self.persons]
        return np.stack([self._of(int(person), turn) for person in chosen])

    def state(self) -> dict[str, int]:
        """What `load` needs to go on from here."""
        return {"done": self.done, "seed": self.seed}

    def load(self, state: Mapping[str, int]) -> None:
        """Go on where another run was; set `done` to the steps taken where a loader asked ahead.

        Raises:
            InputError: if a key is missing or a number is negative.
        """
        if not {"done", "seed"} <= set(state) or min(state["done"], state["seed"]) < 0:
            raise InputError(f"state: expected done and seed, from 0, got {dict(state)}")
        self.done, self.seed, self._round = int(state["done"]), int(state["seed"]), None

    def _of(self, person: int, turn: int) -> NDArray[np.int64]:
        """(K,) pictures of a person: the next of a shuffled order, shuffled anew when K are no longer left."""
        count, first = int(self._count[person]), int(self._first[person])
        shuffle, part = divmod(turn, max(1, count // self.pictures) if self._apart is None else 1)
        mine = self._order[first : first + count]
        mine = mine[self._random(_PICTURES, person, shuffle).permutation(count)]
        if self._apart is not None:
            mine = mine[_alternating(self._apart[mine])]
        if count < self.pictures:
            return np.resize(mine, self.pictures)
        return mine[part * self.pictures : (part + 1) * self.pictures]

    def _random(self, *key: int) -> np.random.Generator:
        return np.random.default_rng((self.seed, *key))


class BalancedIdentity:
    """Batches of indices in which every person comes as often as every other, however many pictures they have.

    Persons come in a shuffled order, each once before any comes again, and so do the pictures of a person. With groups,
    every group has the same share of the pictures, and within it every person. What a batch holds follows from its
    number and the seed alone. A batch may be larger than there are persons.

    Args:
        labels: (N,) whole numbers, who is on each picture; -1 where nobody knows, and such a picture is in no batch.
        batch: pictures of a batch.
        groups: (N,) whole numbers, the group of each picture's person, the same for all pictures of a person; None is
            one group.
        least: persons with fewer pictures are in no batch.
        batches: of one pass, per rank; None is as many as the pictures fill, and at least one.
        seed: of all draws.
        ranks: which rank this is, and how many there are; each has batches of its own.

    Raises:
        InputError: if labels are no whole numbers, shapes disagree, a person is in two groups, nobody is left or a
            setting is out of range.
    """

    def __init__(
        self,
        labels: ArrayLike,
        batch: int,
        *,
        groups: ArrayLike | None = None,
        least: int = 1,
        batches: int | None = None,
        seed: int = 0,
        ranks: tuple[int, int] = (0, 1),
    ) -> None:
        who = _whole("labels", labels)
        group = np.zeros_like(who) if groups is None else _whole("groups", groups)
        if group.shape != who.shape:
            raise InputError(f"groups: expected {who.shape}, as labels, got {group.shape}")
        if min(batch, least, 1 if batches is None else batches) < 1 or seed < 0 or not 0 <= ranks[0] < ranks[1]:
            raise InputError(
                "batch, least, batches, seed, ranks: expected numbers from 1, the seed from 0 and a rank below "
                f"how many there are, got {batch}, {least}, {batches}, {seed} and {ranks}"
            )
        if who.size and who.min() < -1:
            raise InputError(f"labels: expected -1 (nobody known) or more, got {who.min()}")
        order = np.argsort(who, kind="stable")
        _, first, count = np.unique(who[order], return_index=True, return_counts=True)
        there = group[order]
        mixed = np.zeros(len(first), bool)
        if len(first):
            mixed = np.maximum.reduceat(there, first) != np.minimum.reduceat(there, first)
        known = (who[order][first] >= 0) & (count >= least)
        if (mixed & known).any():
            person = who[order][first[mixed & known][0]]
            raise InputError(f"groups: expected one per person, got several for person {person}")
        if not known.any():
            raise InputError(f"labels: expected somebody with {least} or more pictures, got nobody: lower least")
        self._order, self._first, self._count = order, first[known], count[known]
        of_person = there[self._first]
        self._members = [np.flatnonzero(of_person == one) for one in np.unique(of_person)]
        self._rounds: dict[int, tuple[int, NDArray[np.int64]]] = {}
        self.size, self.seed, self.ranks = batch, seed, (ranks[0], ranks[1])
        self._length = batches or max(1, int(self._count.sum()) // (batch * ranks[1]))

    def __repr__(self) -> str:
        persons, groups = len(self._first), len(self._members)
        return f"BalancedIdentity({persons} persons of {groups} groups, {self.size}, seed={self.seed})"

    def __len__(self) -> int:
        """Batches of one pass."""
        return self._length

    def batch(self, number: int) -> NDArray[np.int64]:
        """(batch,) indices of a batch of this rank, by its number from 0; nothing is remembered.

        Raises:
            InputError: if the number is negative.
        """
        if number < 0:
            raise InputError(f"number: expected a number from 0, got {number}")
        rank, size = self.ranks
        places = (number * size + rank) * self.size + np.arange(self.size)
        found = np.empty(self.size, np.int64)
        for k, members in enumerate(self._members):
            mine = np.flatnonzero(places % len(self._members) == k)
            turns, seats = np.divmod(places[mine] // len(self._members), len(members))
            for turn in np.unique(turns):
                shuffled = self._shuffled(k, int(turn))
                for at in np.flatnonzero(turns == turn):
                    found[mine[at]] = self._of(int(shuffled[seats[at]]), int(turn))
        return found

    def _shuffled(self, k: int, turn: int) -> NDArray[np.int64]:
        """The persons of a group in the order of a round; the last order of each group is kept."""
        kept = self._rounds.get(k)  # one look: threads ask for batches of two rounds at once
        if kept is None or kept[0] != turn:
            rng = np.random.default_rng((self.seed, _PERSONS, k, turn))
            kept = self._rounds[k] = (turn, rng.permutation(self._members[k]))
        return kept[1]

    def _of(self, person: int, turn: int) -> int:
        """The next of a person's pictures in a shuffled order, shuffled anew when all have come."""
        count, first = int(self._count[person]), int(self._first[person])
        shuffle, place = divmod(turn, count)
        mine = np.random.default_rng((self.seed, _PICTURES, person, shuffle)).permutation(count)
        return int(self._order[first + mine[place]])


def _alternating(kinds: NDArray[np.int64]) -> NDArray[np.int64]:
    """The order in which the first of each kind come first, then the second of each, and so on."""
    by_kind = np.argsort(kinds, kind="stable")
    _, first, count = np.unique(kinds[by_kind], return_index=True, return_counts=True)
    nth = np.empty(len(kinds), np.int64)
    nth[by_kind] = np.arange(len(kinds)) - np.repeat(first, count)
    return np.argsort(nth, kind="stable")


def _whole(name: str, values: ArrayLike) -> NDArray[np.int64]:
    found = np.asarray(values)
    if found.ndim != 1 or found.dtype.kind not in "iu":
        raise InputError(f"{name}: expected (N,) whole numbers, got {found.dtype} of shape {found.shape}")
    return found.astype(np.int64)

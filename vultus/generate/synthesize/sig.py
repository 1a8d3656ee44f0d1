"""Sig: a set of people who do not exist, as many in every group, gender and age, each in the same poses.

Nzalasse, Raj, Laird & Clark 2024, "SIG: A Synthetic Identity Generation Pipeline for Generating Evaluation Datasets for
Face Recognition", arXiv:2409.08345. A prompt describes a person by name, features, group, gender and age; a control
picture sets the pose, and the first picture of a person is the reference of the further ones. ControlFace10k: 3,336
people in 3 poses, balanced.

Differs: the paper looks at its pictures and does not measure whether poses show one person; here every picture passes
checks (a face, pose, attributes, a person unlike all others, the same person as in the first picture), is made anew up
to `retries` times, and balance is counted after them. Names are put together from syllables, so that no prompt calls
for somebody whom a model has seen. Words of the template, poses in degrees and all limits are ours. The image model,
its controls and the checks' models are handed in.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from vultus.errors import InputError
from vultus.generate.synthesize._checks import AttributeModel, Checks, Kept, PoseEstimator, Rejection
from vultus.generate.synthesize._diffusers import DiffusersBackend
from vultus.generate.synthesize._personas import SLOTS, Cell, Names, PersonaSpec, PromptBuilder, Vocabulary
from vultus.ops import mark
from vultus.types import F32, U8, Basis, Generated, Provenance

__all__ = [
    "SLOTS",
    "AttributeModel",
    "Balance",
    "Checks",
    "DiffusersBackend",
    "Names",
    "PersonaSpec",
    "PoseEstimator",
    "PromptBuilder",
    "Rejection",
    "Sig",
    "Slot",
    "T2IBackend",
    "Vocabulary",
    "balance",
]


class T2IBackend(Protocol):
    """A text-to-image model with a control for the pose and one for the person."""

    @property
    def method(self) -> str:
        """What it is; "sim.*" for a simulator."""
        ...

    @property
    def weights(self) -> str:
        """Space or sha256 of its weights, or ""."""
        ...

    @property
    def license(self) -> str:
        """Terms of what it makes."""
        ...

    def generate(self, prompt: str, negative: str, *, seed: int, pose: str, reference: U8 | None) -> U8:
        """One (H, W, 3) uint8 RGB picture, the same for the same arguments.

        Args:
            prompt: what to show.
            negative: what not to show.
            seed: of this picture.
            pose: value of the vocabulary, which the pose control holds to.
            reference: (H, W, 3) picture of the person that the new one must show, or None for the first.
        """
        ...


@dataclass(frozen=True, eq=False)
class Slot:
    """One place of the set: the person who fills it, or nobody.

    Attributes:
        cell: group, gender, age.
        number: which place of the cell, from 0.
        persona: who fills it, or None.
        pictures: pose -> picture with its provenance, marked.
        vector: (D,) of the first picture in the space of the checks, or None without checks.
        rejected: every picture that was thrown away for it.
    """

    cell: Cell
    number: int
    persona: PersonaSpec | None = None
    pictures: dict[str, Generated] = field(default_factory=dict)
    vector: F32 | None = None
    rejected: tuple[Rejection, ...] = ()

    @property
    def filled(self) -> bool:
        """Whether somebody stands in it."""
        return self.persona is not None


@dataclass(frozen=True)
class Balance:
    """How even a set is.

    Attributes:
        counts: people in each cell.
        chi2: sum over cells of (count - mean)^2 / mean; 0 when all are equal.
    """

    counts: dict[Cell, int]
    chi2: float


def balance(slots: Iterable[Slot], cells: Sequence[Cell]) -> Balance:
    """Count who passed, after the checks."""
    found = Counter(slot.cell for slot in slots if slot.filled)
    counts = {cell: found[cell] for cell in cells}
    mean = sum(counts.values()) / max(len(counts), 1)
    return Balance(counts, sum((n - mean) ** 2 for n in counts.values()) / mean if mean else 0.0)


class Sig:
    """The pipeline.

    Args:
        backend: makes the pictures.
        builder: personas and prompts; None is the packaged vocabulary with all its cells and poses.
        checks: models that judge every picture; None takes each first picture as it comes.
        retries: how often a picture is made anew before its person is given up.
        persons: how many people are tried for a place.
        strict: raise when a place cannot be filled, instead of leaving it empty.
    """

    def __init__(
        self,
        backend: T2IBackend,
        builder: PromptBuilder | None = None,
        checks: Checks | None = None,
        *,
        retries: int = 4,
        persons: int = 50,
        strict: bool = True,
    ) -> None:
        if retries < 0 or persons < 1:
            raise InputError(f"expected retries from 0 and persons from 1, got {retries} and {persons}")
        self.backend, self.builder, self.checks = backend, builder or PromptBuilder(), checks
        self.retries, self.persons, self.strict = retries, persons, strict

    def run(
        self,
        per_cell: int,
        *,
        basis: Basis,
        seed: int = 0,
        done: Iterable[tuple[Cell, int, F32]] = (),
    ) -> Iterator[Slot]:
        """Fill every cell with `per_cell` people, cell after cell and round after round.

        What fills a place depends on the seed and on the people kept before it only, so a run that was interrupted goes
        on with the same result.

        Args:
            per_cell: people in each cell.
            basis: covers `generate`; a synthetic one is enough for a simulator.
            seed: of the set.
            done: cell, number and vector of places that are filled already, in the order they were; they are not made
                again. A vector may be empty where the set is made without checks.

        Returns:
            The places, one by one, as they are filled.

        Raises:
            Refused: if the basis does not cover it.
            InputError: if a place cannot be filled and the pipeline is strict; the message says why not.
        """
        Basis.require(basis, "generate", sources=())
        Basis.require(basis, "generate", sources=(Provenance(self.backend.method),))
        if per_cell < 1:
            raise InputError(f"per_cell: expected at least one person, got {per_cell}")
        kept, there = Kept(self.checks.embedder.space if self.checks else ""), set()
        for cell, number, vector in done:
            there.add((cell, number))
            if self.checks is not None:
                kept.add(np.asarray(vector, np.float32), self.checks.embedder.space)
        places = ((cell, number) for number in range(per_cell) for cell in self.builder.cells)
        return (self._fill(*place, kept, (basis, seed)) for place in places if place not in there)

    def _fill(self, cell: Cell, number: int, kept: Kept, how: tuple[Basis, int]) -> Slot:
        basis, seed = how
        rejected: list[Rejection] = []
        for attempt in range(self.persons):
            persona = self.builder.persona(cell, number, attempt, seed)
            made = self._person(persona, attempt, kept, rejected)
            if made is None:
                continue
            pictures, vector = made
            if vector is not None and self.checks is not None:
                kept.add(vector, self.checks.embedder.space)
            signed = self._sign(persona, pictures, basis)
            return Slot(cell, number, persona, signed, vector, tuple(rejected))
        if self.strict:
            why = Counter(r.reason for r in rejected).most_common(3)
            raise InputError(
                f"{', '.join(cell)}: expected somebody to pass the checks, but {self.persons} people were rejected "
                f"({', '.join(f'{reason} {n}' for reason, n in why)}): loosen the checks or use another backend"
            )
        return Slot(cell, number, rejected=tuple(rejected))

    def _person(
        self, persona: PersonaSpec, attempt: int, kept: Kept, rejected: list[Rejection]
    ) -> tuple[dict[str, tuple[U8, int]], F32 | None] | None:
        """Pictures and their seeds in every pose, and the vector of the first; None where a pose did not succeed."""
        pictures: dict[str, tuple[U8, int]] = {}
        first: F32 | None = None
        for pose in self.builder.poses:
            for trial in range(self.retries + 1):
                reference = next(iter(pictures.values()))[0] if pictures else None
                seed = _seed(persona, pose, trial)
                prompt, negative = self.builder.prompt(persona, pose), self.builder.vocabulary.negative
                image = self.backend.generate(prompt, negative, seed=seed, pose=pose, reference=reference)
                wrong, vector = self._judge(image, persona, pose, first, kept)
                if wrong is None:
                    pictures[pose] = image, seed
                    first = vector if first is None else first
                    break
                rejected.append(Rejection(attempt, pose, trial, *wrong))
                if wrong[0] == "not unique":
                    return None  # the name and features lead there again
            else:
                return None
        return pictures, first

    def _judge(
        self, image: U8, persona: PersonaSpec, pose: str, first: F32 | None, kept: Kept
    ) -> tuple[tuple[str, float, float] | None, F32 | None]:
        if self.checks is None:
            return None, None
        wrong, vector = self.checks.look(image, persona, self.builder.yaw_deg(pose))
        if wrong is None and vector is not None:
            wrong = self.checks.new(vector, kept) if first is None else self.checks.same(vector, first)
        return wrong, vector

    def _sign(self, persona: PersonaSpec, pictures: dict[str, tuple[U8, int]], basis: Basis) -> dict[str, Generated]:
        """Every picture with how it was made, marked."""
        signed: dict[str, Generated] = {}
        parents: tuple[str, ...] = ()
        for pose, (image, seed) in pictures.items():
            about = Provenance(
                "sig",
                weights=self.backend.weights,
                base=self.backend.method,
                seed=seed,
                basis_id=basis.id,
                parents=parents,
                loss_spaces=self.checks.spaces if self.checks else frozenset(),
                options={"prompt": self.builder.prompt(persona, pose), "pose": pose, "license": self.backend.license},
            )
            signed[pose] = mark.generated(image[None], about, basis=basis, scope="generate")
            parents = parents or (hashlib.sha256(signed[pose].images[0].tobytes()).hexdigest(),)
        return signed


def _seed(persona: PersonaSpec, pose: str, trial: int) -> int:
    """Of a picture: the same person, pose and trial have the same one on every machine."""
    words = f"{persona.seed} {pose} {trial}".encode()
    return int.from_bytes(hashlib.sha256(words).digest()[:4], "big") >> 1

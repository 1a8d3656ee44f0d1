"""People who do not exist, in words: vocabulary, names, and the prompt that describes one in a pose."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from vultus.errors import InputError, UnknownMethod

__all__ = ["SLOTS", "Cell", "Names", "PersonaSpec", "PromptBuilder", "Vocabulary"]

SLOTS = ("group", "gender", "age")
Cell = tuple[str, str, str]
"""Group, gender, age."""

_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Vocabulary:
    """The words a prompt is made of.

    Attributes:
        template: a sentence with the fields name, group, gender, age, pose and one per feature.
        negative: what the picture must not show, the same for every prompt.
        group, gender, age: value -> words.
        pose: value -> (words, yaw in degrees; + turns the face to the viewer's right).
        features: feature -> the words of which each person has one.
    """

    template: str
    negative: str
    group: Mapping[str, str]
    gender: Mapping[str, str]
    age: Mapping[str, str]
    pose: Mapping[str, tuple[str, float]]
    features: Mapping[str, tuple[str, ...]]

    def __post_init__(self) -> None:
        needed = {"name", "pose", *SLOTS, *self.features}
        missing = sorted(field for field in needed if "{" + field + "}" not in self.template)
        if missing:
            raise InputError(
                f"template: expected the fields {', '.join(sorted(needed))}; missing: {', '.join(missing)}"
            )
        for name in (*SLOTS, "pose"):
            table = getattr(self, name)
            words = [w if isinstance(w, str) else w[0] for w in table.values()]
            if not table or len(set(words)) < len(words) or any("_" in key or "/" in key for key in table):
                raise InputError(
                    f"{name}: expected values without _ and /, each with words of its own, got {dict(table)}"
                )

    @staticmethod
    def read(path: str | Path | None = None, **changed: Any) -> Vocabulary:
        """The vocabulary of a JSON file; None is the packaged one, with the paper's groups.

        Args:
            path: a file with the fields above.
            **changed: fields that replace those of the file.

        Raises:
            InputError: if the file is not such a vocabulary.
        """
        source = Path(path) if path is not None else _HERE / "sig_vocabulary.json"
        try:
            fields: dict[str, Any] = {**json.loads(source.read_text("utf-8")), **changed}
            fields["pose"] = {key: (str(words), float(yaw)) for key, (words, yaw) in fields["pose"].items()}
            fields["features"] = {key: tuple(words) for key, words in fields["features"].items()}
            frozen: dict[str, Any] = {k: MappingProxyType(v) if isinstance(v, dict) else v for k, v in fields.items()}
            return Vocabulary(**frozen)
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise InputError(f"{source}: expected a vocabulary in JSON, got something else ({error})") from error

    def choose(self, slot: str, values: Sequence[str] | None) -> tuple[str, ...]:
        """All values of a slot, or the wanted ones.

        Raises:
            UnknownMethod: if one does not exist; the message names near ones.
        """
        known = getattr(self, slot)
        for value in values or ():
            if value not in known:
                raise UnknownMethod(value, known, what=slot)
        return tuple(dict.fromkeys(values)) if values else tuple(known)


@dataclass(frozen=True)
class Names:
    """Names that nobody has: (group, gender) -> first names, group -> last names; "*" stands for every group."""

    first: Mapping[tuple[str, str], tuple[str, ...]]
    last: Mapping[str, tuple[str, ...]]

    @staticmethod
    def read(path: str | Path | None = None) -> Names:
        """Names of a CSV file with the columns group, gender, part (first or last) and name; None is the packaged one.

        The packaged names are put together from syllables, so that no prompt calls for a person whom a model has seen.

        Raises:
            InputError: if it is not such a file.
        """
        source = Path(path) if path is not None else _HERE / "sig_names.csv"
        first: dict[tuple[str, str], list[str]] = {}
        last: dict[str, list[str]] = {}
        try:
            for row in csv.DictReader(source.read_text("utf-8").splitlines()):
                if row["part"] == "first":
                    first.setdefault((row["group"], row["gender"]), []).append(row["name"])
                else:
                    last.setdefault(row["group"], []).append(row["name"])
        except (OSError, UnicodeDecodeError, KeyError, csv.Error) as error:
            raise InputError(f"{source}: expected a CSV file with group, gender, part, name ({error})") from error
        if not first or not last:
            raise InputError(
                f"{source}: expected first and last names, got {len(first)} and {len(last)} groups of them"
            )
        return Names({k: tuple(v) for k, v in first.items()}, {k: tuple(v) for k, v in last.items()})

    def draw(self, group: str, gender: str, rng: np.random.Generator) -> str:
        """One full name.

        Raises:
            InputError: if there is none for that group and gender.
        """
        given = self.first.get((group, gender)) or self.first.get(("*", gender)) or self.first.get(("*", ""))
        family = self.last.get(group) or self.last.get("*")
        if not given or not family:
            raise InputError(f"names: expected some for {group}, {gender} (or for the group *), got none")
        return f"{given[rng.integers(len(given))]} {family[rng.integers(len(family))]}"


@dataclass(frozen=True)
class PersonaSpec:
    """Who is wanted: what makes one person stays the same over all pictures.

    Attributes:
        group, gender, age: values of the vocabulary's slots.
        name: full name.
        features: (feature, words) pairs.
        seed: of the person.
    """

    group: str
    gender: str
    age: str
    name: str
    features: tuple[tuple[str, str], ...]
    seed: int

    @property
    def cell(self) -> Cell:
        """The cell it belongs to."""
        return self.group, self.gender, self.age


class PromptBuilder:
    """Personas drawn per cell, and their prompts.

    Args:
        vocabulary: words; None is the packaged one.
        names: names; None is the packaged ones.
        groups, genders, ages, poses: the wanted values; None is all of the vocabulary.
    """

    def __init__(
        self,
        vocabulary: Vocabulary | None = None,
        names: Names | None = None,
        *,
        groups: Sequence[str] | None = None,
        genders: Sequence[str] | None = None,
        ages: Sequence[str] | None = None,
        poses: Sequence[str] | None = None,
    ) -> None:
        self.vocabulary = vocabulary or _packaged()
        self.names = names or Names.read()
        wanted = (self.vocabulary.choose(s, v) for s, v in zip(SLOTS, (groups, genders, ages), strict=True))
        group, gender, age = wanted
        self.cells: tuple[Cell, ...] = tuple((a, b, c) for a in group for b in gender for c in age)
        self.poses = self.vocabulary.choose("pose", poses)

    def persona(self, cell: Cell, number: int, attempt: int, seed: int) -> PersonaSpec:
        """The same person for the same arguments, whatever was drawn before.

        Args:
            cell: one of `cells`.
            number: which place of the cell is to be filled.
            attempt: how many people were tried for it before.
            seed: of the set.
        """
        words = self.vocabulary
        place = [list(getattr(words, s)).index(v) for s, v in zip(SLOTS, cell, strict=True)]
        rng = np.random.default_rng([seed, *place, number, attempt])
        features = tuple((key, str(options[rng.integers(len(options))])) for key, options in words.features.items())
        return PersonaSpec(*cell, self.names.draw(cell[0], cell[1], rng), features, int(rng.integers(1 << 31)))

    def prompt(self, persona: PersonaSpec, pose: str) -> str:
        """The sentence that asks for this person in this pose."""
        words = self.vocabulary
        slots = {slot: getattr(words, slot)[getattr(persona, slot)] for slot in SLOTS}
        return words.template.format(name=persona.name, pose=words.pose[pose][0], **slots, **dict(persona.features))

    def yaw_deg(self, pose: str) -> float:
        """What the pose means in degrees."""
        return self.vocabulary.pose[pose][1]


@lru_cache(maxsize=1)
def _packaged() -> Vocabulary:
    return Vocabulary.read()

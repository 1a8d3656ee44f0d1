"""The card of a trained miniature, and its weights as a file whose sha256 the card names."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vultus.claims._recipes import Recipe
from vultus.errors import HashMismatch, MissingWeights, Refused, StoreError
from vultus.io.files import read_bytes, write_bytes
from vultus.io.tensors import pack, unpack
from vultus.types import Metric

__all__ = ["FixtureCard", "figure_entries", "gated", "packed", "read_card", "read_weights", "write"]

Figures = dict[str, dict[str, dict[str, Any]]]

MAX_BYTES = 5_000_000
_MAX_CARD = 1 << 20


@dataclass(frozen=True, slots=True)
class FixtureCard:
    """What a trained miniature is.

    Attributes:
        name: of the fixture.
        kind: recognizer, factors, parser or regressor.
        sha256, size_bytes: of the weights.
        network: architecture and its arguments.
        parameters: how many numbers were learned.
        train: the pictures: split, people as [first, last] seed, pictures of each, seed, world, size, level of detail.
        training: steps, batch, learning rate, seed, minutes measured, and on what.
        figures: test -> figure -> value, interval and count of people; `gate` and `passed` where it has one.
        code: hash of the recipe and of the sources that drew and trained.
        purpose, misuse: sentences.
    """

    name: str
    kind: str
    sha256: str
    size_bytes: int
    network: Mapping[str, Any]
    parameters: int
    train: Mapping[str, Any]
    training: Mapping[str, Any]
    figures: Mapping[str, Mapping[str, Mapping[str, Any]]]
    code: str
    purpose: str
    misuse: str

    @property
    def space(self) -> str:
        """Name + "@" + first 12 hex of the weights' sha256."""
        return f"{self.name}@{self.sha256[:12]}"

    @property
    def train_ids(self) -> range:
        """Seeds of the people it was trained on."""
        first, last = self.train["people"]
        return range(first, last + 1)

    def failures(self) -> list[str]:
        """The gates that it does not pass, each with its number."""
        return [
            f"{figure} on {test} is {entry['value']:.4f} ({entry['low']:.4f} to {entry['high']:.4f}), "
            f"its gate is {entry['gate']}"
            for test, figures in self.figures.items()
            for figure, entry in figures.items()
            if not entry.get("passed", True)
        ]

    def withheld(self) -> dict[str, str]:
        """Heads of a factor net or regressor that do not pass their gate -> the sentence with the number."""
        if self.kind not in ("factors", "regressor"):
            return {}
        return {sentence.split()[0]: sentence for sentence in self.failures()}

    def refuse_below_gate(self) -> None:
        """Raises Refused, with the numbers, if a gate is not passed; of many heads only those are withheld."""
        failures = [] if self.withheld() else self.failures()
        if failures:
            raise Refused(f"{self.name}: expected a fixture above its gates, but {'; '.join(failures)}: build it anew")


def figure_entries(recipe: Recipe, figures: Mapping[str, Mapping[str, Metric]]) -> Figures:
    """Measured figures as they stand on a card, with the gates of the recipe."""
    out: Figures = {}
    for test, found in figures.items():
        for name, metric in found.items():
            entry = {key: value for key, value in asdict(metric).items() if value not in ("", None)}
            entry = {key: round(value, 5) if isinstance(value, float) else value for key, value in entry.items()}
            out.setdefault(test, {})[name] = entry
    return gated(recipe, out)


def gated(recipe: Recipe, figures: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Figures:
    """The figures of a card under the gates of a recipe, whatever gates they had.

    Raises:
        StoreError: if a gate has no figure.
    """
    gates = {(gate.test, gate.figure): gate for gate in recipe.gates}
    out: Figures = {}
    for test, found in figures.items():
        for name, old in found.items():
            entry = {key: value for key, value in old.items() if key not in ("gate", "passed")}
            gate = gates.pop((test, name), None)
            if gate is not None:
                entry |= {"gate": gate.words(), "passed": gate.passed(float(entry["value"]))}
            out.setdefault(test, {})[name] = entry
    if gates:
        raise StoreError(f"{recipe.name}: expected a figure for every gate, got none for {sorted(gates)}")
    return out


def write(folder: Path, card: FixtureCard, data: bytes) -> Path:
    """Write weights and card into a folder; the card comes last, so that a pair is whole or not there."""
    folder.mkdir(parents=True, exist_ok=True)
    write_bytes(folder / f"{card.name}.safetensors", data)
    path = folder / f"{card.name}.json"
    write_bytes(path, (json.dumps(asdict(card), indent=1) + "\n").encode())
    return path


def packed(name: str, arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Weights as bytes.

    Raises:
        StoreError: if they are more than the 5 MB that are committed.
    """
    data = pack(arrays, {"fixture": name, "license": "Apache-2.0", "data": "simulated people only"})
    if len(data) > MAX_BYTES:
        raise StoreError(f"{name}: expected at most {MAX_BYTES} bytes of weights, got {len(data)}: narrow the network")
    return data


def read_card(folder: Path, name: str) -> FixtureCard:
    """The card of a fixture.

    Raises:
        MissingWeights: if there is none.
        StoreError: if it cannot be read.
    """
    path = folder / f"{name}.json"
    if not path.is_file():
        raise MissingWeights(f"{path}: expected the card of a fixture: python -m vultus.claims.fixtures build {name}")
    try:
        return FixtureCard(**json.loads(read_bytes(path, _MAX_CARD)))
    except (ValueError, TypeError) as error:
        raise StoreError(
            f"{path}: expected the card of a fixture, could not read it: {error}: build it anew"
        ) from error


def read_weights(folder: Path, card: FixtureCard) -> dict[str, NDArray[np.float32]]:
    """The arrays of a fixture as float32, after its bytes were compared with the card.

    Raises:
        MissingWeights: if the file is missing.
        HashMismatch: if it is another than the card says.
    """
    path = folder / f"{card.name}.safetensors"
    if not path.is_file():
        raise MissingWeights(
            f"{path}: expected the weights of a fixture: python -m vultus.claims.fixtures build {card.name}"
        )
    data = read_bytes(path, 2 * MAX_BYTES)
    found = hashlib.sha256(data).hexdigest()
    if found != card.sha256:
        raise HashMismatch(f"{path}: expected sha256 {card.sha256} as on its card, got {found}: restore the file")
    arrays, _ = unpack(data)
    return {name: array.astype(np.float32) for name, array in arrays.items()}

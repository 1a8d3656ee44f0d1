"""The trained miniatures that claims use: recognizers, factor nets, a parser, a regressor, all of simulated people.

    from vultus.claims import fixtures
    judge = fixtures.f_eval()
    judge.embed(crops).vec  # crops (N, 64, 64, 3) uint8, as vultus.sim.faces draws them

Weights and their cards lie in the package, so nothing is trained on first use. Each was measured on people whom no
fixture has seen; one that does not pass its gates is refused with its number. Figures on simulated faces show that a
miniature works, not accuracy in the field.

    python -m vultus.claims.fixtures list
    python -m vultus.claims.fixtures build [NAME ...] [--out FOLDER]   trains anew what is not in the cache
    python -m vultus.claims.fixtures check [NAME ...] [--people N]     measures again
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from vultus.claims import _cards
from vultus.claims._cards import FixtureCard
from vultus.claims._recipes import RECIPES, Recipe
from vultus.errors import MissingExtra, UnknownMethod, VultusError
from vultus.io.files import read_bytes
from vultus.types import Metric
from vultus.zoo import store

__all__ = [
    "NAMES",
    "FixtureCard",
    "build",
    "card",
    "check",
    "f_eval",
    "f_train",
    "load",
    "main",
    "parser_sim",
    "r3d_sim",
    "simfeat_judge",
    "simfeat_train",
    "table",
]

NAMES: tuple[str, ...] = tuple(RECIPES)
_HERE = Path(__file__).with_name("weights")


def f_train() -> Any:
    """The recognizer that may stand in losses: a `DiffEmbedder`, differentiable in the picture.

    Raises:
        MissingExtra: without torch.
        MissingWeights, HashMismatch, Refused: as `load`.
    """
    return load("f_train")


def f_eval() -> Any:
    """The recognizer that judges: `embed`, `space`, `train_ids`; another architecture and other people, no gradients.

    Raises:
        MissingExtra: without torch.
        MissingWeights, HashMismatch, Refused: as `load`.
    """
    inner = load("f_eval")  # says what is missing before torch is imported
    from vultus.claims._models import Judge

    return Judge(inner)


def simfeat_train() -> Any:
    """The feature net that may stand in losses: `features`, `vector`, `predict`.

    Raises:
        MissingExtra: without torch.
        MissingWeights, HashMismatch, Refused: as `load`.
    """
    return load("simfeat_train")


def simfeat_judge() -> Any:
    """The feature net of metrics: as `simfeat_train`, of another architecture and other people, without gradients.

    Raises:
        MissingExtra: without torch.
        MissingWeights, HashMismatch, Refused: as `load`.
    """
    return load("simfeat_judge")


def parser_sim() -> Any:
    """The face parser: `parse(crops)` gives the class of each pixel, calling it gives differentiable logits.

    Raises:
        MissingExtra: without torch.
        MissingWeights, HashMismatch, Refused: as `load`.
    """
    return load("parser_sim")


def r3d_sim() -> Any:
    """The regressor of the head model: `predict(crops)` gives expression, pose (degrees) and light.

    Shape and albedo are learned as well, but are withheld where they miss their gates: `withheld` says by how much.

    Raises:
        MissingExtra: without torch.
        MissingWeights, HashMismatch, Refused: as `load`.
    """
    return load("r3d_sim")


def card(name: str, folder: Path | None = None) -> FixtureCard:
    """What a fixture is.

    Args:
        name: of `NAMES`.
        folder: where its card lies; None means the package.

    Raises:
        UnknownMethod: if there is no such fixture.
        MissingWeights: if its card is not there.
    """
    _recipe(name)
    return _cards.read_card(folder or _HERE, name)


def load(name: str, folder: Path | None = None) -> Any:
    """A fixture, opened once.

    Args:
        name: of `NAMES`.
        folder: where it lies; None means the package.

    Raises:
        UnknownMethod: if there is no such fixture.
        MissingExtra: without torch.
        MissingWeights: if it is not there.
        HashMismatch: if its bytes are not those of its card.
        Refused: if it does not pass its gates; the message holds the numbers.
    """
    return _load(name, folder or _HERE)


@lru_cache(maxsize=32)
def _load(name: str, folder: Path) -> Any:
    about = card(name, folder)
    about.refuse_below_gate()
    _need_torch(name)
    from vultus.claims._build import opened

    return opened(about, _cards.read_weights(folder, about))


def build(name: str, *, out: Path | None = None, workers: int = 2, progress: Any = None) -> FixtureCard:
    """Train a fixture, or find it trained by the same recipe and sources; an interrupted drawing goes on.

    Args:
        name: of `NAMES`.
        out: a folder that gets a copy of weights and card, or None.
        workers: processes that draw, and threads that train.
        progress: told (done, total, what).

    Returns:
        Its card; `failures()` are the gates that it does not pass.

    Raises:
        UnknownMethod: if there is no such fixture.
        MissingExtra: without torch.
        StoreError: if the disk is full or the folder may not be written.
    """
    recipe = _recipe(name)
    _need_torch(name)
    from vultus.claims import _build

    cache = store.home() / "fixtures"
    place = cache / f"{name}-{recipe.key()}"
    if (place / f"{name}.json").is_file():
        about = _cards.read_card(place, name)
        _cards.read_weights(place, about)  # another sha256 is said, not trained over
    else:
        about, data = _build.trained(recipe, cache / "pictures", workers=workers, progress=progress or _silent)
        _cards.write(place, about, data)
    about = replace(about, figures=_cards.gated(recipe, about.figures))  # gates are no part of what was trained
    if out is not None:
        _cards.write(out, about, read_bytes(place / f"{name}.safetensors", _cards.MAX_BYTES))
    return about


def check(
    name: str, *, folder: Path | None = None, people: int | None = None, workers: int = 1, progress: Any = None
) -> dict[str, dict[str, Metric]]:
    """Measure a fixture again.

    Args:
        name: of `NAMES`.
        folder: where it lies; None means the package.
        people: how many of each test; None means all of the recipe.
        workers: processes that draw, and threads.
        progress: told (done, total, what).

    Returns:
        Test -> figure -> value with its interval over people.

    Raises:
        As `load`, but a fixture below its gates is measured.
    """
    recipe, about = _recipe(name), card(name, folder)
    _need_torch(name)
    from vultus.claims import _build

    _cards.read_weights(folder or _HERE, about)
    data = read_bytes((folder or _HERE) / f"{name}.safetensors", _cards.MAX_BYTES)
    tests = recipe.test if people is None else {k: replace(a, people=people) for k, a in recipe.test.items()}
    cache = store.home() / "fixtures" / "pictures" if people is None else None
    return _build.measured(about, data, tests, cache, workers=workers, progress=progress or _silent)


def table(folder: Path | None = None) -> str:
    """The cards as a table in Markdown, as in docs/guides/fixtures.md.

    Args:
        folder: where the cards lie; None means the package.
    """
    lines = [
        "| fixture | network | parameters | trained on | minutes | figure (95 % interval, people) | gate |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in NAMES:
        about = card(name, folder)
        words = about.network.get("backbone") or f"{about.kind}, {about.network.get('kind', 'U-Net')}"
        first, last = about.train["people"]
        trained = f"{last - first + 1} people of `{about.train['split']}`, {about.train['pictures']} pictures each"
        for k, (label, entry) in enumerate(_flat(about.figures)):
            start = (
                f"| `{name}` | {words} | {about.parameters:,} | {trained} | {about.training['minutes']} "
                if k == 0
                else "| | | | | "
            )
            lines.append(f"{start}| {label}: {_value(entry)} | {_verdict(entry)} |")
    return "\n".join(lines) + "\n"


def _flat(figures: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> list[tuple[str, Mapping[str, Any]]]:
    return [(f"{figure}, {test}", entry) for test, found in figures.items() for figure, entry in found.items()]


def _value(entry: Mapping[str, Any]) -> str:
    return f"{entry['value']:.3f} ({entry['low']:.3f} to {entry['high']:.3f}, {entry['n']})"


def _verdict(entry: Mapping[str, Any]) -> str:
    if "gate" not in entry:
        return ""
    return f"{entry['gate']}: {'passed' if entry['passed'] else 'NOT passed'}"


def _recipe(name: str) -> Recipe:
    if name not in RECIPES:
        raise UnknownMethod(name, RECIPES, what="fixture")
    return RECIPES[name]


def _need_torch(name: str) -> None:
    if find_spec("torch") is None:
        raise MissingExtra(f"the fixture {name}", "train")


def _silent(done: int, total: int, what: str) -> None:
    """Say nothing."""


def _to_terminal(name: str) -> Any:
    def progress(done: int, total: int, what: str) -> None:
        end = "\n" if done == total else "\r"
        sys.stderr.write(f"{name}: {what} {done}/{total}   {end}")
        sys.stderr.flush()

    return progress


def _count(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, got {text!r}")
    return int(text)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line: `build`, `check`, `list`; 1 when a gate is not passed, 2 when something is refused."""
    parser = argparse.ArgumentParser(
        prog="python -m vultus.claims.fixtures", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("what", choices=("build", "check", "list", "table"))
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(NAMES)} (default: all)")
    parser.add_argument("--out", type=Path, help="build: also write weights and cards into this folder")
    parser.add_argument("--people", type=_count, help="check: how many people of each test (default: all)")
    parser.add_argument("--workers", type=_count, default=2, help="processes and threads (default: %(default)s)")
    args = parser.parse_args(argv)
    try:
        if args.what == "table":
            sys.stdout.write(table())
            return 0
        return max([_one(args, name) for name in args.names or NAMES], default=0)
    except VultusError as error:
        sys.stderr.write(f"\nfixtures: {error}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("\nfixtures: interrupted; what was finished is kept, the same command goes on\n")
        return 130


def _one(args: argparse.Namespace, name: str) -> int:
    """Build, check or list one fixture; 1 when it is below a gate."""
    recipe = _recipe(name)
    if args.what == "check":
        found = check(name, people=args.people, workers=args.workers, progress=_to_terminal(name))
        entries = _cards.figure_entries(recipe, found)
    else:
        if args.what == "build":
            about = build(name, out=args.out, workers=args.workers, progress=_to_terminal(name))
        else:
            about = card(name)
        other = "by other sources than these (`check` measures anew)"
        same = "by these sources" if about.code == recipe.key() else other
        sys.stdout.write(
            f"{about.space}: {about.parameters:,} parameters, {about.size_bytes:,} bytes, "
            f"trained in {about.training['minutes']} minutes {same}\n"
        )
        entries = {test: {k: dict(v) for k, v in found.items()} for test, found in about.figures.items()}
    below = 0
    for label, entry in _flat(entries):
        below |= not entry.get("passed", True)
        sys.stdout.write(f"  {name} {label}: {_value(entry)} {_verdict(entry)}\n")
    return int(below)


if __name__ == "__main__":
    raise SystemExit(main())

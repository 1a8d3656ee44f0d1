"""The catalogue: data that names every method and every paper.

One TOML file per room holds the rows of its methods (`detect.toml`, `recognize.toml`, ...); `papers.toml` holds the
140 papers of the project. Listing imports no method; `load` imports exactly one module. Nothing registers itself.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from vultus.errors import InputError, MissingExtra, UnknownMethod

__all__ = ["EVIDENCE", "PAPER_STATUS", "ROW_STATUS", "Paper", "Row", "load", "papers", "row", "rows"]

EVIDENCE = ("authors", "peer", "closed-form", "properties")
ROW_STATUS = ("preview", "stable", "retired")
PAPER_STATUS = ("planned", "wired", "shown", "not-shown")

_HERE = Path(__file__).parent
_PAPERS = "papers.toml"
_OWN = "arcface.file"  # the row of embedders of the user's own


@dataclass(frozen=True, slots=True)
class Row:
    """One method, or one method with one set of weights.

    Attributes:
        name: what users type; the file's name, with a size or weights tag after a dot.
        room: dotted room, which is also the folder of the file: "detect", "recognize.embedders".
        target: "package.module:Name", called with `args`.
        paper: the id that the file's docstring cites, word for word: "arXiv:1911.03599", "doi:...".
        evidence: the best number from outside that pins it: authors, peer, closed-form or properties.
        status: preview, stable or retired.
        since: the version that brought it.
        variant: which published form it is.
        extra: the optional dependencies it needs; "" means the core install.
        recipe: path of its training recipe from the root of the repository, or "".
        weights: ids of the model cards it can run with.
        args: keyword arguments of the call.
        misuse: what it must not be used for (required in privacy, security and generate).
        scopes: what a `Basis` must cover before it is called: some of `vultus.types.SCOPES`; every row with a misuse
            sentence names at least one, and no other row does.
    """

    name: str
    room: str
    target: str
    paper: str
    evidence: str
    status: str
    since: str
    variant: str = ""
    extra: str = ""
    recipe: str = ""
    weights: tuple[str, ...] = ()
    args: Mapping[str, Any] = field(default_factory=dict, hash=False)
    misuse: str = ""
    scopes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "weights", tuple(self.weights))
        object.__setattr__(self, "args", dict(self.args))
        object.__setattr__(self, "scopes", tuple(self.scopes))
        where = f"catalogue row {self.name!r}"
        module, _, attribute = self.target.partition(":")
        if not attribute.isidentifier() or not module.startswith(f"vultus.{self.room}."):
            raise InputError(
                f"{where}: expected target 'vultus.{self.room}.<file>:<Name>', got {self.target!r}: "
                "a method lives in the folder of its room"
            )
        if not self.paper:
            raise InputError(f"{where}: expected the id of its paper or source, got an empty string")
        _one_of(where, "evidence", self.evidence, EVIDENCE)
        _one_of(where, "status", self.status, ROW_STATUS)
        if self.room.split(".")[0] in ("privacy", "security", "generate") and not self.misuse:
            raise InputError(f"{where}: expected a misuse sentence, as every row of {self.room} has; got none")
        if bool(self.misuse) != bool(self.scopes):
            raise InputError(
                f"{where}: expected a misuse sentence and scopes together, got misuse {self.misuse!r} and scopes "
                f"{list(self.scopes)}: the scopes say what a basis must cover"
            )
        if self.scopes:
            from vultus.types import SCOPES  # NumPy comes with it, which listing does without

            for scope in self.scopes:
                _one_of(where, "scopes", scope, SCOPES)

    @property
    def module(self) -> str:
        """The dotted module of the method."""
        return self.target.partition(":")[0]

    @property
    def file(self) -> str:
        """Path of the method's file from the root of the repository."""
        return self.module.replace(".", "/") + ".py"

    @property
    def test(self) -> str:
        """Path of the method's test from the root of the repository."""
        folders = self.module.split(".")[1:]
        return "/".join(["tests", *folders[:-1], f"test_{folders[-1]}.py"])


@dataclass(frozen=True, slots=True)
class Paper:
    """One of the 140 papers.

    Attributes:
        number: row number, 1 to 140.
        name: used for the method, test, recipe, claim and page.
        title: as published.
        room: where its system belongs, as written on its card; more than one joined by " + ".
        methods: names of the catalogue rows that exist for it so far.
        claim: name of its claim, or "" while there is none.
        status: planned, wired, shown or not-shown.
        figure: what the newest result of its claim says, in half a sentence, or "".
        scale: the scale of that result: nano or mini.
        date: when it was measured, as 2026-11-25.
    """

    number: int
    name: str
    title: str
    room: str
    methods: tuple[str, ...]
    claim: str
    status: str
    figure: str = ""
    scale: str = ""
    date: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "methods", tuple(self.methods))
        _one_of(f"paper {self.name!r}", "status", self.status, PAPER_STATUS)


def rows() -> dict[str, Row]:
    """Every method by name, in the order of the files; imports no method."""
    return dict(_rows(_HERE))


def row(name: str | os.PathLike[str]) -> Row:
    """The row of one method.

    Args:
        name: catalogue name; or the path of an embedder of one's own: a run folder that was exported, its card.toml, or
            an .onnx file. A name of the catalogue wins over a folder called so; write ./NAME for the folder.

    Raises:
        UnknownMethod: no row of that name; the message suggests near ones.
        InputError: a path at which there is nothing.
    """
    known = _rows(_HERE)
    text = os.fspath(name) if isinstance(name, os.PathLike) else name
    if isinstance(text, str) and text in known:
        return known[text]
    if isinstance(text, str) and _is_path(text):
        return replace(known[_OWN], args={**known[_OWN].args, "weights": text})
    raise UnknownMethod(name, known)


def load(name: str | os.PathLike[str], **overrides: Any) -> Any:
    """Build a method: import its module and call its target with the row's arguments.

    Args:
        name: catalogue name, or the path of an embedder of one's own; see `row`.
        **overrides: arguments that replace or complete those of the row.

    Returns:
        The object; it keeps the contract of its room.

    Raises:
        UnknownMethod: no row of that name.
        MissingExtra: the row's optional dependencies are not installed.
        InputError: the target does not know an argument, or there is nothing at the path.
    """
    found = row(name)
    target = getattr(_module(found), found.target.partition(":")[2])
    _refuse_unknown_arguments(found, target, overrides)
    return target(**{**found.args, **overrides})


def papers() -> list[Paper]:
    """The 140 papers, by number."""
    return list(_papers(_HERE / _PAPERS))


def _one_of(where: str, what: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise InputError(f"{where}: expected {what} to be one of {', '.join(allowed)}; got {value!r}")


def _is_path(text: str) -> bool:
    """Whether it names a place on the disk; InputError where it can name nothing else and there is nothing."""
    if text.endswith(".onnx") or "\0" in text:
        return text.endswith(".onnx")  # what is wrong with the file is said when it is opened
    if os.path.isdir(text) or (os.path.basename(text) == "card.toml" and os.path.isfile(text)):
        return True
    if "/" in text or os.sep in text:
        raise InputError(
            f"{text}: expected a name of the catalogue, or the folder, card.toml or .onnx file of an embedder, and "
            "there is none at this path: check the spelling"
        )
    return False


def _module(found: Row) -> ModuleType:
    try:
        return import_module(found.module)
    except ImportError as error:
        if found.extra:
            raise MissingExtra(found.name, found.extra) from error
        raise


def _refuse_unknown_arguments(found: Row, target: Any, overrides: Mapping[str, Any]) -> None:
    import inspect  # costs 10 ms, needed here only

    parameters = inspect.signature(target).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return
    unknown = sorted(set(overrides) - set(parameters))
    if unknown:
        raise InputError(
            f"{found.name}: expected arguments among {', '.join(parameters) or 'none'}; got {', '.join(unknown)}"
        )


@lru_cache(maxsize=8)
def _rows(folder: Path) -> dict[str, Row]:
    found: dict[str, Row] = {}
    for path in sorted(folder.glob("*.toml")):
        if path.name == _PAPERS:
            continue
        for name, table in _read(path).items():
            made = _build(Row, path, name, table)
            if path.stem not in made.room.split("."):
                raise InputError(f"{path.name}: row {name!r} says room {made.room!r}; expected {path.stem!r}")
            if name in found:
                raise InputError(f"{path.name}: row {name!r} stands in two files; names are unique")
            found[name] = made
    return found


@lru_cache(maxsize=8)
def _papers(path: Path) -> tuple[Paper, ...]:
    return tuple(
        sorted((_build(Paper, path, name, table) for name, table in _read(path).items()), key=lambda p: p.number)
    )


def _read(path: Path) -> dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    with path.open("rb") as file:
        return tomllib.load(file)


_Record = TypeVar("_Record", Row, Paper)


def _build(kind: type[_Record], path: Path, name: str, table: Any) -> _Record:
    """One table as a record; a missing or unknown key is an error in words."""
    where = f"{path.name}: {name!r}"
    if not isinstance(table, dict):
        raise InputError(f"{where}: expected a table, got {table!r}")
    known = {f.name for f in fields(kind)}
    needed = {f.name for f in fields(kind) if f.default is MISSING and f.default_factory is MISSING} - {"name"}
    unknown, missing = sorted(set(table) - known | set(table) & {"name"}), sorted(needed - set(table))
    if unknown:
        hint = '; a dot in a row\'s name needs quotes: ["scrfd.500m"]' if set(table) <= set(unknown) else ""
        raise InputError(
            f"{where}: expected keys among {', '.join(sorted(known - {'name'}))}; got {', '.join(unknown)}{hint}"
        )
    if missing:
        raise InputError(f"{where}: expected the keys {', '.join(missing)} as well; they are missing")
    return kind(name=name, **table)

"""Every catalogue row that can harm, called without a basis, is refused, before it looks at anything else."""

from __future__ import annotations

import inspect
from importlib import import_module

import pytest

from vultus import catalogue
from vultus.errors import Refused
from vultus.types import SCOPES, Basis, Provenance

HARMFUL = [pytest.param(row, id=row.name) for row in catalogue.rows().values() if row.misuse]


class Untouched:
    """An argument that nobody may look at before the basis is accepted."""

    def __getattr__(self, name: str) -> object:
        raise AssertionError(f"{name!r} of an argument was asked for before the basis was")

    def __len__(self) -> int:
        raise AssertionError("an argument was measured before the basis was asked for")

    __iter__ = __bool__ = __array__ = __len__  # type: ignore[assignment]


def basis(scopes: set[str], year: int = 2000, until: int = 9000) -> Basis:
    return Basis("contract", "", frozenset(scopes), "a test", "its author", f"{year}-01-01", f"{until}-01-01", "0" * 64)


def guarded(target: object) -> dict[str, inspect.Signature]:
    """The public calls that take a basis: the function itself, or methods of the class."""
    if not inspect.isclass(target):
        return {"": inspect.signature(target)}
    calls = {name: inspect.signature(call) for name, call in inspect.getmembers(target, inspect.isfunction)}
    return {name: made for name, made in calls.items() if not name.startswith("_") and "basis" in made.parameters}


def refuses_without_basis(row: catalogue.Row) -> None:
    """The promise, for one row."""
    target = getattr(import_module(row.module), row.target.partition(":")[2])
    calls = guarded(target)
    assert calls, f"{row.name}: no public call of {row.target} takes a basis"
    for name, signature in calls.items():
        parameter = signature.parameters.get("basis")
        assert parameter is not None, f"{row.name}: {row.target} takes no basis"
        assert parameter.kind is parameter.KEYWORD_ONLY, f"{row.name}.{name}: basis is a keyword"
        assert parameter.default is parameter.empty, f"{row.name}.{name}: basis has no default"
        call = getattr(object.__new__(target), name) if name else target
        positional, keywords = arguments(signature)
        with pytest.raises(TypeError, match="'basis'"):
            call(*positional, **keywords)
        for given in unfit(row.scopes):
            with pytest.raises(Refused):
                call(*positional, **keywords, basis=given)
        shown = {"subject": "a real person", "sources": [Provenance("a camera")]}
        shown = {name: value for name, value in shown.items() if name in signature.parameters}
        if shown and not any(signature.parameters[name].kind is parameter.POSITIONAL_ONLY for name in shown):
            others = {p.name: Untouched() for p in needed(signature)}
            with pytest.raises(Refused, match="synthetic"):
                call(**{**others, **shown}, basis=Basis.synthetic())


def unfit(scopes: tuple[str, ...]) -> list[Basis | None]:
    """None; one that covers nothing; one that covers everything else; ones that are over or to come."""
    own = set(scopes)
    rest = basis(set(SCOPES) - own)
    return [None, basis(set()), rest, basis(own, until=2001), basis(own, year=8000)]


def needed(signature: inspect.Signature) -> list[inspect.Parameter]:
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    own = [p for p in signature.parameters.values() if p.name not in ("self", "basis") and p.kind not in variadic]
    return [p for p in own if p.default is p.empty]


def arguments(signature: inspect.Signature) -> tuple[list[Untouched], dict[str, Untouched]]:
    positional = [Untouched() for p in needed(signature) if p.kind is not p.KEYWORD_ONLY]
    return positional, {p.name: Untouched() for p in needed(signature) if p.kind is p.KEYWORD_ONLY}


@pytest.mark.parametrize("row", HARMFUL)
def test_a_row_that_can_harm_refuses_without_a_basis(row):
    if row.extra:
        pytest.importorskip("torch", reason=f"{row.name} needs the extra {row.extra!r}")
    refuses_without_basis(row)


PLANTED = """
from vultus.types import Basis

def swap(images, subject, *, basis: Basis, strength=1.0):
    Basis.require(basis, "swap", subject)
    return images

class Swapper:
    def __init__(self, weights): self.weights = weights
    def size(self): return 1
    def swap(self, images, *, basis: Basis, rng):
        Basis.require(basis, "swap", sources=[image.provenance for image in images])

class Late:
    def swap(self, images, *, basis: Basis):
        count = len(images)
        Basis.require(basis, "swap", sources=[])
        return count

class Optional:
    def swap(self, images, *, basis: Basis | None = None): Basis.require(basis, "swap")

class Unguarded:
    def swap(self, images): return images
"""


@pytest.fixture
def planted(tmp_path, monkeypatch):
    """A catalogue of one row that can harm, whose target is a name in `PLANTED`."""
    (tmp_path / "planted_swap.py").write_text("from __future__ import annotations\n" + PLANTED)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(globals(), "import_module", lambda name: __import__("planted_swap"))
    monkeypatch.setattr(catalogue, "_HERE", tmp_path)

    def row(name: str) -> catalogue.Row:
        (tmp_path / "generate.toml").write_text(
            f'[planted]\nroom = "generate.swap"\ntarget = "vultus.generate.swap.planted:{name}"\npaper = "arXiv:1"\n'
            'evidence = "properties"\nstatus = "preview"\nsince = "0.1"\nmisuse = "planted"\nscopes = ["swap"]\n'
        )
        catalogue._rows.cache_clear()
        return catalogue.row("planted")

    yield row
    catalogue._rows.cache_clear()


def test_a_planted_function_keeps_the_promise(planted):
    refuses_without_basis(planted("swap"))


def test_one_that_reads_its_pictures_first_does_not(planted):
    for name, said in [
        ("Late", "measured before the basis"),
        ("Optional", "basis has no default"),
        ("Unguarded", "no public call of .* takes a basis"),
        ("Swapper", "measured before the basis"),  # provenance is read on the way into require: for synthetic only
    ]:
        with pytest.raises(AssertionError, match=said):
            refuses_without_basis(planted(name))

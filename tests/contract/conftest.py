"""Every promise of a contract for every catalogue row of its room; a new row is tested on the day it is written."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module

import pytest

from vultus import catalogue
from vultus.testing.contracts import checks, kind_of
from vultus.zoo import store

# Rows that cannot be built from their own arguments: which cards and which further arguments that needs.
COMPLETED = {
    **{
        name: ((), lambda: {"threshold": 0.5})
        for name, row in catalogue.rows().items()
        if row.room == "gallery.cluster"
    },
    "facenet": ((), lambda: {"embedder": catalogue.load("dct_faces")}),
    "facenet.bytes": ((), lambda: {"embedder": catalogue.load("dct_faces")}),
    "arcface.file": (("fr_feature",), lambda: {"weights": str(store.ensure("fr_feature"))}),
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "promise" not in metafunc.fixturenames:
        return
    cases = []
    for row in catalogue.rows().values():
        if not f"{row.room}.".startswith(f"{metafunc.module.ROOM}.") or row.extra:
            continue
        kind = kind_of(getattr(import_module(row.module), row.target.partition(":")[2]))
        assert kind, f"{row.name}: {row.target} keeps no contract of vultus.contracts"
        more, complete = COMPLETED.get(row.name, ((), dict))
        cards = (*row.weights, *more)
        marks = [pytest.mark.models(cards=cards), pytest.mark.xdist_group(row.name)] if cards else []
        build = partial(_build, row.name, complete)
        cases += [pytest.param(build, check, id=f"{row.name}-{check.__name__}", marks=marks) for check in checks(kind)]
    metafunc.parametrize(("build", "promise"), cases)


def _build(name: str, complete: Callable[[], dict[str, object]]) -> object:
    return catalogue.load(name, **complete())

"""The house as a fixture: the rules of `house.py` and the checkout they look at."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


def load_file(path: Path) -> ModuleType:
    """Import a script by its path; `tests` and `tools` are no packages."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


load_file(ROOT / "tests/repo/checkout.py")  # which the next imports by this name
house = load_file(ROOT / "tests/repo/house.py")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "rule" in metafunc.fixturenames:
        metafunc.parametrize("rule", house.CHECKS, ids=lambda rule: rule.__name__)


@pytest.fixture(scope="session", name="house")
def _house() -> ModuleType:
    return house


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def new_method() -> ModuleType:
    """`tools/new_method.py` as a module."""
    return load_file(ROOT / "tools/new_method.py")

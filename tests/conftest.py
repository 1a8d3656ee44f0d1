"""Fixtures, and one promise: a test that needs real data or weights and did not run is named at the end of the run."""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path

import pytest

LOUD = ("data", "models")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test that uses a loud fixture is loud itself, whether or not its author marked it."""
    for item in items:
        used = set(getattr(item, "fixturenames", ()))
        if used & {"data_dir", "weights_dir"}:
            item.add_marker("data")
        if "models_home" in used and item.get_closest_marker("models") is None:
            item.add_marker("models")


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("data"):
        _data_dir()
    marker = item.get_closest_marker("models")
    if marker:
        for pack in marker.args or ("default",):
            _have_pack(pack)


def _data_dir() -> Path:
    value = os.environ.get("VULTUS_DATA")
    if not value:
        pytest.skip("VULTUS_DATA is not set: point it at the folder of data sets")
    path = Path(value).expanduser().resolve()
    if not path.is_dir():
        pytest.fail(f"VULTUS_DATA: expected a folder, got {value!r}, which is none")
    return path


_PACKS: dict[str, str] = {}  # pack -> "" when it is there, else why not; asked once per process


def _have_pack(pack: str) -> None:
    if pack not in _PACKS:
        _PACKS[pack] = _pull(pack)
    if _PACKS[pack]:
        pytest.skip(_PACKS[pack])


def _pull(pack: str) -> str:
    from vultus.zoo.cards import cards
    from vultus.zoo.store import ensure, located

    from vultus.errors import MissingWeights

    wanted = [card.id for card in cards().values() if pack in card.pack]
    if not wanted:
        pytest.fail(f"expected model cards of pack {pack!r}, found none")
    for card_id in wanted:
        if located(card_id) is not None:
            continue
        if os.environ.get("VULTUS_OFFLINE"):
            return (
                f"pack {pack!r} is not on this machine and VULTUS_OFFLINE is set: run `vultus models pull {pack}` once"
            )
        try:
            ensure(card_id, pull=True)
        except MissingWeights as error:  # anything else, a wrong sha256 above all, is a failure and not a skip
            return f"pack {pack!r} could not be pulled: {error}"
    return ""


@pytest.fixture(scope="session", autouse=True)
def session_home(tmp_path_factory: pytest.TempPathFactory):
    """A VULTUS_HOME for the whole run: the user's models, but none of the user's calibrations or galleries."""
    real = Path(os.environ.get("VULTUS_HOME") or Path.home() / ".vultus").expanduser()
    home = tmp_path_factory.mktemp("home")
    models = real / "models"
    models.mkdir(parents=True, exist_ok=True)
    (home / "models").symlink_to(models.resolve(), target_is_directory=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VULTUS_HOME", str(home))
        yield home


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of data sets, $VULTUS_DATA."""
    return _data_dir()


@pytest.fixture(scope="session")
def weights_dir() -> Path:
    """The folder of third-party weights that lies beside the data sets."""
    path = _data_dir().parent / "weights"
    if not path.is_dir():
        pytest.skip("no folder `weights` beside VULTUS_DATA")
    return path


@pytest.fixture(scope="session")
def models_home(session_home: Path) -> Path:
    """A VULTUS_HOME in which the default pack is ready to run."""
    _have_pack("default")
    return session_home


@pytest.fixture
def tmp_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty VULTUS_HOME of this test's own."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("VULTUS_HOME", str(home))
    return home


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name every data or models test that did not run, and why."""
    missed: dict[str, list[str]] = defaultdict(list)
    for report in terminalreporter.stats.get("skipped", []):
        if any(marker in report.keywords for marker in LOUD):
            why = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
            missed[why.removeprefix("Skipped: ")].append(report.nodeid)
    for item in terminalreporter.stats.get("deselected", []):
        if any(item.get_closest_marker(marker) for marker in LOUD):
            missed["deselected on the command line"].append(item.nodeid)
    if not missed:
        return
    total = sum(map(len, missed.values()))
    terminalreporter.section(f"NOT RUN: {total} tests that need real data or weights", sep="!", red=True, bold=True)
    for why, names in sorted(missed.items()):
        terminalreporter.write_line(f"{len(names)} because {why}", yellow=True)
        for name in sorted(names):
            terminalreporter.write_line(f"    {name}")

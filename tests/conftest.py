"""Fixtures, and one promise: a test that needs real data or weights and did not run is named at the end of the run."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# The same examples on every run, and no deadline: a busy machine is no defect. To search for new examples, run
# pytest with --hypothesis-profile=default.
settings.register_profile("house", derandomize=True, deadline=None, database=None)
settings.load_profile("house")

pytest_plugins = ("vultus.testing.flaky.plugin",)  # what was flaky in a run is said at its end

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


def _data_dir() -> Path:
    value = os.environ.get("VULTUS_DATA")
    if not value:
        pytest.skip("VULTUS_DATA is not set: point it at the folder of data sets")
    path = Path(value).expanduser().resolve()
    if not path.is_dir():
        pytest.fail(f"VULTUS_DATA: expected a folder, got {value!r}, which is none")
    return path


USER_HOME = Path(os.environ.get("VULTUS_HOME") or Path.home() / ".vultus").expanduser().resolve()
_WHY_NOT: dict[str, str] = {}  # card -> "" when it is ready, else why not; asked once per process


@pytest.fixture(autouse=True)
def _weights_or_skip(request: pytest.FixtureRequest, session_home: Path) -> None:
    """`@pytest.mark.models` is the default pack, `models("accurate")` another, `models(cards=["pfld"])` one card."""
    marker = request.node.get_closest_marker("models")
    if marker is None:
        return
    from vultus.zoo.cards import pack

    single = list(marker.kwargs.get("cards", ()))
    packs = marker.args or (() if single else ("default",))
    for card_id in [card.id for name in packs for card in pack(name)] + single:
        _have(card_id, session_home)


def _have(card_id: str, home: Path) -> None:
    """Make a card ready in the home of this run, or skip and say why."""
    if card_id not in _WHY_NOT:
        _WHY_NOT[card_id] = _bring(card_id, home)
    if _WHY_NOT[card_id]:
        pytest.skip(_WHY_NOT[card_id])


def _bring(card_id: str, home: Path) -> str:
    """From the user's models, from `weights` beside the data sets, or, for cards of a pack, by pulling once."""
    from vultus.errors import MissingWeights
    from vultus.zoo import store
    from vultus.zoo.cards import card

    theirs = _beside_the_data(card(card_id).file)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VULTUS_HOME", str(USER_HOME))
        ready = store.located(card_id)
        if ready is None and theirs is None:
            try:
                ready = store.ensure(card_id, pull=bool(card(card_id).pack))
            except MissingWeights as error:  # anything else, a wrong sha256 above all, is a failure and not a skip
                return str(error)
        if ready is None and theirs is not None:
            patch.setenv("VULTUS_HOME", str(home))  # of this run: the user did not ask for these weights
            store.import_file(theirs, card_id)
            return ""
    if ready is not None and not (home / "models" / card_id).exists():
        (home / "models" / card_id).symlink_to(ready.parent.resolve(), target_is_directory=True)
    return ""


def _beside_the_data(name: str) -> Path | None:
    value = os.environ.get("VULTUS_DATA")
    folder = Path(value).expanduser().resolve().parent / "weights" if value else None
    return next(iter(sorted(folder.rglob(name))), None) if folder and folder.is_dir() else None


@pytest.fixture(scope="session", autouse=True)
def session_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A VULTUS_HOME for the whole run: links to the user's models, none of the user's calibrations or galleries."""
    home = tmp_path_factory.mktemp("home")
    (home / "models").mkdir()
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
    from vultus.zoo.cards import pack

    for card in pack("default"):
        _have(card.id, session_home)
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

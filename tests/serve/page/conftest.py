"""A real browser: chromium through Playwright. Without it these tests are skipped, and fail where CI is set."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.serve.page.mock import World, serving

SIZES = {"wide": (1440, 900), "phone": (390, 844)}
FLAGS = (
    "--no-sandbox --disable-gpu --disable-background-networking --disable-component-update --disable-sync "
    "--use-fake-device-for-media-stream --use-fake-ui-for-media-stream"
)
WAIT_MS = 20_000  # a deadline, not a pause


def _missing(what: str) -> None:
    words = f"the page was NOT tested in a browser: {what}"
    if os.environ.get("CI"):
        pytest.fail(words)
    pytest.skip(words)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """The browser, started once a file: while it lives, its driver's event loop runs in this thread.

    Kept for the whole session it would let every later test fail that calls `asyncio.run`.
    """
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        _missing("chromium is not there: apt-get install chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        _missing("playwright is not there: pip install playwright")
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=path, args=FLAGS.split())
        yield browser
        browser.close()


@dataclass
class Screen:
    """A tab, and what went wrong in it."""

    tab: Any
    url: str
    folder: Path
    errors: list[str] = field(default_factory=list)
    taken: int = 0

    def go(self, view: str, wait_for: str = "h1") -> None:
        """Open a view by its address."""
        self.tab.evaluate("view => { location.hash = `#/${view}` }", view)
        self.tab.locator("main:not([aria-busy])").locator(wait_for).first.wait_for()

    def button(self, name: str, **more: Any) -> Any:
        return self.tab.get_by_role("button", name=name, exact=True, **more)

    def choose(self, button: str, files: Any) -> None:
        """Press a button that asks for files, and give them."""
        with self.tab.expect_file_chooser() as asked:
            self.button(button).click()
        asked.value.set_files(files)

    def toast(self, words: str) -> Any:
        found = self.tab.locator(".toast", has_text=words).last
        found.wait_for()
        return found

    def shot(self, name: str) -> None:
        """Take a screenshot into the test's folder, wide and as on a phone."""
        self.taken += 1
        now = self.tab.viewport_size
        for size, (width, height) in SIZES.items():
            self.tab.set_viewport_size({"width": width, "height": height})
            self.tab.screenshot(path=self.folder / f"{self.taken:02d}-{name}-{size}.png", full_page=True)
        self.tab.set_viewport_size(now)


Opener = Callable[..., Screen]


@pytest.fixture
def open_screen(chromium: Any, tmp_path: Path) -> Iterator[Opener]:
    """Opens the page of a server in a tab of its own; at the end nothing may have been thrown or blocked in it."""
    opened: list[tuple[Any, Screen]] = []

    def start(url: str, key: str | None, size: str = "wide", scheme: str = "light") -> Screen:
        width, height = SIZES[size]
        context = chromium.new_context(
            viewport={"width": width, "height": height},
            color_scheme=scheme,
            has_touch=size == "phone",
            reduced_motion="reduce",
            locale="en",
            accept_downloads=True,
        )
        context.set_default_timeout(WAIT_MS)
        tab = context.new_page()
        screen = Screen(tab, url, tmp_path)
        tab.on("pageerror", lambda error: screen.errors.append(str(error)))
        tab.on("console", lambda said: _heard(screen, said))
        tab.on("request", lambda request: _asked(screen, request.url))
        opened.append((context, screen))
        tab.goto(f"{url}/#key={key}" if key else url)
        tab.locator("h1").first.wait_for()
        return screen

    yield start
    for context, screen in opened:
        context.close()
        assert not screen.errors


def _heard(screen: Screen, said: Any) -> None:
    if said.type == "error" and "Failed to load resource" not in said.text:  # answers of 4xx, which the page shows
        screen.errors.append(said.text)


def _asked(screen: Screen, url: str) -> None:
    if not url.startswith((screen.url, "blob:", "data:")):
        screen.errors.append(f"asked for {url}, which is not the server")


@pytest.fixture
def world() -> World:
    """What the stand-in knows: nobody yet."""
    return World()


@pytest.fixture
def url(world: World) -> Iterator[str]:
    """The address of the stand-in."""
    with serving(world) as address:
        yield address

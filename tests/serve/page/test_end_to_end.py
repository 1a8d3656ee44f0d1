"""A new user enrolls a folder, identifies a photo, corrects a mistake and erases a person, on the real server.

Once with drawn faces and fake models, always; once on real photographs with the default models, where they are.
The screenshots lie in the test's folder.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.serve import fake
from tests.serve.page.conftest import Opener, Screen
from vultus import Pipeline
from vultus.serve.app import Options, create_app
from vultus.serve.auth import Keys
from vultus.serve.server import listen, server_of

DEADLINE_S = 60.0


@contextmanager
def real(folder: Path, pipe: Pipeline) -> Iterator[tuple[str, str]]:
    """The real server in a thread, over an empty gallery, and an admin's key."""
    keys = Keys(folder / "keys.json")
    _, token = keys.create("somebody new", "admin")
    app = create_app(folder / "people.db", pipe=pipe, keys=keys, options=Options(state=folder / "state"))
    sock, ready = listen("127.0.0.1", 0), threading.Event()
    server = server_of(app, ready.set)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]}, daemon=True)
    thread.start()
    assert ready.wait(DEADLINE_S)
    try:
        yield f"http://127.0.0.1:{sock.getsockname()[1]}", token
    finally:
        server.should_exit = True
        thread.join(DEADLINE_S)
        assert not thread.is_alive()


def story(it: Screen, photos: dict[str, list[Path]], probe: Path, stranger: Path) -> None:
    """`photos` are to be enrolled; the probe shows the first of them; the stranger shows nobody of them."""
    first, second = list(photos)[:2]
    assert "key=" not in it.tab.url
    it.tab.get_by_text("Nobody is enrolled yet").wait_for()
    it.shot("identify-empty")
    _enroll(it, photos)
    _identify(it, first, probe)
    _correct(it, first, second)
    _name(it, stranger)
    _security(it)
    _erase(it, first)
    it.go("audit", "tbody tr")
    it.button("Verify").click()
    it.tab.get_by_text("The log is whole").wait_for()
    it.shot("audit")


def _enroll(it: Screen, photos: dict[str, list[Path]]) -> None:
    it.go("enroll", ".drop")
    it.choose("Choose a folder", next(iter(photos.values()))[0].parents[1])
    assert it.tab.locator(".enrollee").count() == len(photos)
    it.shot("enroll")
    it.button("Enroll").click()
    it.tab.locator(".enroll-foot", has_text=f"{len(photos)} people enrolled from").wait_for(timeout=1000 * DEADLINE_S)
    it.shot("enrolled")
    it.go("people", ".person-tile img")
    assert sorted(it.tab.locator(".tile-name").all_inner_texts()) == sorted(photos)
    it.shot("people")


def _identify(it: Screen, first: str, probe: Path) -> None:
    it.go("identify", ".drop")
    it.choose("Choose photos", str(probe))
    card = it.tab.locator(".sighting").first
    card.get_by_role("heading", name=first).wait_for()
    assert "a stranger is accepted once in" in card.inner_text()
    it.shot("identified")


def _correct(it: Screen, first: str, second: str) -> None:
    it.button("Somebody else").first.click()
    it.tab.get_by_role("combobox").fill(second)
    it.tab.get_by_role("option", name=second).first.click()
    toast = it.toast(f"Named {second}.")
    it.shot("corrected")
    toast.get_by_role("button", name="Undo").click()
    it.toast("Undone.")
    it.tab.locator(".sighting").first.get_by_role("heading", name=first).wait_for()
    it.button(f"Not {first}").click()
    it.toast(f"Noted: this is not {first}.")
    it.tab.locator(".sighting.reject, .sighting.abstain").first.wait_for()
    it.go("history", ".entry")
    assert it.tab.locator(".entry").count() >= 2
    it.shot("history")


def _name(it: Screen, stranger: Path) -> None:
    it.go("identify", ".bench")
    it.button("Clear").click()
    it.choose("Choose photos", str(stranger))
    it.tab.get_by_role("heading", name="Not enrolled").first.wait_for()
    it.button("Name this face").first.click()
    it.tab.get_by_role("combobox").fill("Somebody New")
    it.tab.get_by_role("dialog").get_by_role("button", name="Name", exact=True).click()
    it.toast("Named Somebody New.")
    it.tab.get_by_role("heading", name="Somebody New").first.wait_for()


def _security(it: Screen) -> None:
    it.go("security", ".chart")
    slider = it.tab.get_by_role("slider")
    before = it.tab.locator(".big").inner_text()
    slider.focus()
    it.tab.keyboard.press("ArrowLeft")
    assert it.tab.locator(".big").inner_text() != before
    it.shot("security")
    it.button("Use this level").click()
    it.tab.get_by_text("This level is in use").wait_for()


def _erase(it: Screen, first: str) -> None:
    it.go("people", ".person-tile")
    it.tab.get_by_role("link", name=first).click()
    it.tab.locator(".face-tile img").first.wait_for()
    it.shot("person")
    it.button("Erase").click()
    last = it.button("Erase for good")
    it.tab.get_by_role("dialog").get_by_role("textbox").fill(first[:-1])
    assert last.is_disabled()
    it.tab.get_by_role("dialog").get_by_role("textbox").fill(first)
    it.shot("erase")
    last.click()
    it.tab.get_by_role("heading", name="Erased").wait_for()
    it.shot("receipt")
    with it.tab.expect_download() as saved:
        it.button("Save the receipt").click()
    receipt: dict[str, Any] = json.loads(Path(saved.value.path()).read_text())
    assert sum(receipt["removed"].values()) > 0
    assert receipt["verified"]
    assert first not in json.dumps(receipt)
    it.go("people", ".person-tile")
    assert first not in it.tab.locator(".tile-name").all_inner_texts()


def test_a_new_user_with_drawn_faces(open_screen: Opener, tmp_path: Path) -> None:
    people = {"Ann Lee": 1, "Bob Stone": 2, "Çelik Öz <b>": 3}
    photos: dict[str, list[Path]] = {}
    for name, number in people.items():
        folder = tmp_path / "people" / name
        folder.mkdir(parents=True)
        photos[name] = [folder / f"{shot}.png" for shot in range(3)]
        for shot, path in enumerate(photos[name]):
            path.write_bytes(fake.picture(number, shot=shot))
    probe, stranger = tmp_path / "probe.png", tmp_path / "stranger.png"
    probe.write_bytes(fake.picture(1, 9, shot=7))
    stranger.write_bytes(fake.picture(8, shot=1))
    with real(tmp_path, fake.pipeline()[0]) as (url, key):
        story(open_screen(url, key), photos, probe, stranger)


@pytest.mark.data
@pytest.mark.models
@pytest.mark.slow
def test_a_new_user_with_real_photographs(
    open_screen: Opener, tmp_path: Path, data_dir: Path, models_home: Path
) -> None:
    found = sorted(path for path in (data_dir / "lfw_deepfunneled").iterdir() if len(list(path.glob("*.jpg"))) >= 4)
    folders, other = found[:4], found[20]
    photos: dict[str, list[Path]] = {}
    for folder in folders:
        (tmp_path / "people" / folder.name).mkdir(parents=True)
        photos[folder.name] = []
        for path in sorted(folder.glob("*.jpg"))[:3]:
            photos[folder.name].append(tmp_path / "people" / folder.name / path.name)
            photos[folder.name][-1].write_bytes(path.read_bytes())
    probe, stranger = sorted(folders[0].glob("*.jpg"))[3], sorted(other.glob("*.jpg"))[0]
    with real(tmp_path, Pipeline(threads=2)) as (url, key):
        story(open_screen(url, key), photos, probe, stranger)

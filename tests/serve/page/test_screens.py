"""Screens of the page on the stand-in: states a real server is hard to bring into, names, keys, ears and fingers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.serve.page.conftest import Opener, Screen
from tests.serve.page.drawn import drawn_photo, look
from tests.serve.page.mock import Fault, World

VIEWS = {
    "identify": ".drop",
    "people": ".person-tile",
    "unknown": ".cluster",
    "enroll": ".drop",
    "history": ".entry",
    "security": ".chart",
    "audit": "tbody tr",
    "settings": ".key-row",
}
HOSTILE = '<img src=x onerror="window.hacked=1">'
KEY = {role: f"vlt_{role}_secret" for role in ("read", "identify", "enroll", "admin")}

# In the page: everything that can be operated has a name, headings step by one, and on phones a finger fits.
AUDIT = """phone => {
  const found = [];
  const shown = node => node.checkVisibility({visibilityProperty: true}) && !node.closest('[aria-hidden=true]');
  const named = node => (node.getAttribute('aria-label') || node.innerText || node.title || node.alt
    || [...(node.labels ?? [])].map(l => l.innerText).join('') || '').trim();
  for (const node of document.querySelectorAll('a, button, input, select, textarea, [role=option]')) {
    if (!shown(node)) continue;
    if (!named(node)) found.push('no name: ' + node.outerHTML.slice(0, 120));
    const target = node.closest('label') ?? node;
    const {width, height} = target.getBoundingClientRect();
    const inText = node.tagName === 'A' && node.closest('p');
    if (phone && !inText && node.type !== 'radio' && !node.classList.contains('skip')
        && !node.classList.contains('mark-box') && (height < 43.5 || width < 43.5))
      found.push(`small, ${Math.round(width)}x${Math.round(height)}: ` + named(node));
  }
  let before = 0;
  for (const node of [...document.querySelectorAll('h1, h2, h3')].filter(shown)) {
    const level = Number(node.tagName[1]);
    if (level > before + 1) found.push('heading skips: ' + node.innerText);
    before = level;
  }
  if (document.querySelectorAll('h1').length !== 1) found.push('not one h1');
  for (const image of document.images) if (!image.hasAttribute('alt')) found.push('no alt');
  const wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  if (wide > 0) found.push(`wider than the screen by ${wide} px`);
  const ids = [...document.querySelectorAll('[id]')].map(n => n.id);
  if (new Set(ids).size !== ids.length) found.push('an id twice');
  return found;
}"""


def photo_file(folder: Path, name: str, *people: int, seed: int = 0) -> str:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(drawn_photo(*people, seed=seed))
    return str(path)


@pytest.fixture
def peopled(world: World) -> World:
    """Three people with two photos each, two groups of unknown faces, and some history."""
    for who, name in ((1, "Ann Lee"), (4, "Bob Stone"), (7, "A Very Long Name That Does Not End Quickly")):
        _store(world, world.someone({"name": name}), who, 2)
        world.note("admin key", "rename", name, f"Renamed to {name}", lambda: None)
    for who in (9, 11):
        for face_id in _store(world, None, who, 3):
            world.faces[face_id]["cluster_id"] = f"c{who:02d}"
    return world


def _store(world: World, person_id: str | None, who: int, n: int) -> list[str]:
    made = []
    for seed in range(n):
        data = drawn_photo(who, seed=seed)
        seen = look(data)
        assert seen is not None
        made.append(world.store(seen, data, 0, person_id, "enroll"))
    return made


@pytest.mark.parametrize("size", ["wide", "phone"])
def test_every_view_can_be_heard_and_touched(peopled: World, url: str, open_screen: Opener, size: str) -> None:
    it = open_screen(url, KEY["admin"], size, "dark" if size == "phone" else "light")
    found: dict[str, Any] = {}
    for view, sign in VIEWS.items():
        it.go(view, sign)
        found[view] = it.tab.evaluate(AUDIT, size == "phone")
    it.tab.goto(f"{url}/#/people/{next(iter(peopled.people))}")
    it.tab.locator(".face-tile input").first.check()
    found["person"] = it.tab.evaluate(AUDIT, size == "phone")
    assert {view: faults for view, faults in found.items() if faults} == {}


def test_a_name_is_never_markup(world: World, url: str, open_screen: Opener) -> None:
    person_id = world.someone({"name": HOSTILE})
    _store(world, person_id, 3, 1)
    world.note("admin key", HOSTILE, HOSTILE, HOSTILE, lambda: None)
    it = open_screen(url, KEY["admin"])
    for view in ("people", f"people/{person_id}", "history", "audit"):
        it.go(view)
        it.tab.get_by_text(HOSTILE).first.wait_for()
        assert it.tab.locator("img[src=x]").count() == 0
    assert it.tab.evaluate("window.hacked") is None


def test_by_keyboard_alone(peopled: World, url: str, open_screen: Opener, tmp_path: Path) -> None:
    it = open_screen(url, KEY["admin"])
    it.tab.keyboard.press("Tab")
    assert it.tab.evaluate("document.activeElement.className") == "skip"
    it.go("identify", ".drop")
    it.choose("Choose photos", photo_file(tmp_path, "two.jpg", 1, 9))
    it.tab.locator(".sighting.reject").wait_for()
    _tab_to(it, "Name this face")
    it.tab.keyboard.press("Enter")
    it.tab.get_by_role("option").first.wait_for()
    it.tab.keyboard.type("bob")
    it.tab.get_by_role("option", name="Bob Stone").wait_for()
    it.tab.get_by_role("option", name="Ann Lee").wait_for(state="detached")
    it.tab.keyboard.press("ArrowDown")
    it.tab.keyboard.press("Enter")
    it.toast("Named Bob Stone.")
    it.tab.locator(".sighting", has_text="Named by you").wait_for()
    assert len(peopled.faces) == 13  # the other face of the photo was not stored
    _tab_to(it, "Undo")
    it.tab.keyboard.press("Enter")
    it.toast("Undone.")
    it.go("people", ".person-tile")
    assert it.tab.evaluate("document.activeElement.tagName") == "H1"
    _tab_to(it, "Select")
    it.tab.keyboard.press("Space")
    _tab_to(it, "Ann Lee")
    it.tab.keyboard.press("Space")
    _tab_to(it, "Bob Stone")
    it.tab.keyboard.press("Space")
    _tab_to(it, "Merge")
    it.tab.keyboard.press("Enter")
    it.tab.get_by_role("dialog").wait_for()
    it.tab.keyboard.press("Escape")
    assert it.tab.evaluate("document.activeElement.innerText") == "Merge"  # focus returns to where it was
    it.tab.keyboard.press("Enter")
    it.tab.keyboard.press("Enter")
    it.toast("Merged")
    assert len(peopled.people) == 2


def _tab_to(it: Screen, name: str) -> None:
    reads = "(document.activeElement.getAttribute('aria-label') || document.activeElement.innerText || '').trim()"
    for _ in range(60):
        it.tab.keyboard.press("Tab")
        if it.tab.evaluate(reads) == name:
            return
    pytest.fail(f"Tab never came to {name!r}")


def test_groups_are_named_split_and_taken_back(peopled: World, url: str, open_screen: Opener) -> None:
    it = open_screen(url, KEY["enroll"])
    it.go("unknown", ".cluster")
    it.tab.locator(".cluster").first.get_by_role("link", name="Review").click()
    it.tab.locator(".face-tile input").first.check()
    it.button("Not this person").click()
    it.toast("will stay apart")
    assert [link["kind"] for link in peopled.links.values()] == ["cannot"]
    it.go("unknown", ".cluster")
    it.button("Group faces").click()
    it.toast("Faces are grouped.")
    it.tab.locator(".cluster").first.get_by_role("button", name="Name").click()
    it.tab.get_by_role("combobox").fill("Cora")
    it.tab.get_by_role("option", name="Cora").click()
    toast = it.toast("Cora.")
    assert "Cora" in [person["name"] for person in peopled.people.values()]
    toast.get_by_role("button", name="Undo").click()
    it.toast("Undone.")
    assert "Cora" not in [person["name"] for person in peopled.people.values()]


def test_photos_of_a_person_are_split_off(peopled: World, url: str, open_screen: Opener) -> None:
    person_id = next(iter(peopled.people))
    it = open_screen(url, KEY["enroll"])
    it.go(f"people/{person_id}", ".face-tile")
    it.tab.locator(".face-tile input").first.check()
    it.button("Split off").click()
    it.tab.get_by_role("dialog").get_by_role("textbox").fill("Twin")
    it.tab.keyboard.press("Enter")
    it.toast("Twin")
    assert len(peopled.of(person_id)) == 1
    assert it.tab.get_by_role("button", name="Erase").count() == 0  # this key may not


def test_what_became_of_every_photo(peopled: World, url: str, open_screen: Opener, tmp_path: Path) -> None:
    (tmp_path / "torn.jpg").write_bytes(b"no picture")
    files = [photo_file(tmp_path, "good.jpg", 2), photo_file(tmp_path, "two.jpg", 2, 5), str(tmp_path / "torn.jpg")]
    it = open_screen(url, KEY["enroll"])
    it.go("enroll", ".drop")
    it.choose("Choose photos", files)
    assert it.button("Enroll").is_disabled()
    it.tab.get_by_role("textbox", name="Name of person 1").fill("Dora")
    it.choose("Photos", [photo_file(tmp_path, "ann.jpg", 1, seed=5)])
    it.tab.get_by_role("textbox", name="Name of person 2").fill("Eve")
    it.button("Enroll").click()
    it.tab.get_by_text("1 photo used, 2 refused.").wait_for()
    refused = it.tab.get_by_label("Refused photos").inner_text()
    assert "two.jpg" in refused
    assert "torn.jpg" in refused
    it.tab.get_by_text("1 photo looks like Ann Lee").wait_for()
    it.button("Add to Ann Lee").click()
    it.tab.locator(".enrollee.done").nth(1).wait_for()
    assert {person["name"] for person in peopled.people.values()} >= {"Dora", "Ann Lee"}
    assert "Eve" not in [person["name"] for person in peopled.people.values()]


def test_errors_are_told_with_the_id_of_the_request(
    peopled: World, url: str, open_screen: Opener, tmp_path: Path
) -> None:
    it = open_screen(url, KEY["admin"])
    peopled.fail("GET /v1/people", Fault(500, "a defect of the server", "Defect"))
    it.go("people", ".failure")
    told = it.tab.locator(".failure").inner_text()
    assert "A defect of the server." in told
    assert "req-" in told
    it.button("Try again").click()
    it.tab.locator(".person-tile").first.wait_for()
    peopled.fail("POST /v1/identify", Fault(429, "wait", "TooMany", retry=1))  # is asked again, by itself
    peopled.fail("POST /v1/identify", Fault(413, "image: too large", "TooLarge"))
    it.go("identify", ".drop")
    it.choose("Choose photos", photo_file(tmp_path, "one.jpg", 1))
    it.tab.get_by_text("Image: too large.").wait_for()
    it.button("Try again").click()
    it.tab.get_by_role("heading", name="Ann Lee").wait_for()
    peopled.slow_s = 0.4
    it.tab.evaluate("location.hash = '#/history'")
    it.tab.get_by_text("Loading").wait_for()
    it.tab.locator(".entry").first.wait_for()


def test_keys_and_roles(peopled: World, url: str, open_screen: Opener) -> None:
    it = open_screen(url, None)
    it.tab.get_by_label("Key").fill("vlt_wrong")
    it.button("Sign in").click()
    it.tab.get_by_text("This key is not known.").wait_for()
    it.tab.get_by_label("Key").fill(KEY["read"])
    it.tab.keyboard.press("Enter")
    it.tab.locator(".drop").wait_for()
    assert it.tab.locator(".side").get_by_role("link", name="Enroll").count() == 0
    it.go("people", ".person-tile")
    assert it.tab.get_by_role("button", name="Select").count() == 0
    peopled.keys[KEY["read"]]["revoked_at"] = "now"
    it.tab.evaluate("location.hash = '#/history'")
    it.tab.get_by_role("heading", name="Sign in with your key").wait_for()
    assert it.tab.evaluate("sessionStorage.length") == 0


def test_an_altered_log_shows(peopled: World, url: str, open_screen: Opener) -> None:
    peopled.audit[1]["hash"] = "f" * 64
    it = open_screen(url, KEY["admin"])
    it.go("audit", "tbody tr")
    it.button("Verify").click()
    it.tab.get_by_text("row 3: its hash does not follow").wait_for()


def test_a_photo_from_the_camera(world: World, url: str, open_screen: Opener) -> None:
    it = open_screen(url, KEY["admin"])
    it.button("Use the camera").click()
    it.button("Take photo").click()
    it.tab.get_by_text("camera-").wait_for()
    it.tab.locator(".note, .sighting").first.wait_for()


def test_colors_are_chosen_and_kept(peopled: World, url: str, open_screen: Opener) -> None:
    it = open_screen(url, KEY["admin"], "wide", "light")
    ground = "getComputedStyle(document.body).backgroundColor"
    light = it.tab.evaluate(ground)
    it.go("settings", ".segments")
    it.tab.get_by_text("Dark", exact=True).click()
    assert it.tab.evaluate(ground) != light
    it.tab.reload()
    it.tab.locator("h1").wait_for()
    assert it.tab.evaluate(ground) == "rgb(18, 20, 24)"


def test_rates_in_words(world: World, url: str, open_screen: Opener) -> None:
    it = open_screen(url, KEY["admin"])
    say = "async ([name, ...args]) => (await import('/page/words.js'))[name](...args)"
    told = {
        ("once", 1e-4): "once in 10\u202f000",
        ("once", 0.5): "every second time",
        ("once", 0): "never",
        ("once", 0.03): "once in 33",
        ("outOf", 0.021): "about 2 of 100",
        ("outOf", 0): "none of 1\u202f000",
        ("share", 0.0213): "2.1%",
        ("share", 0.00009): "0.009%",
        ("share", 0.162): "16%",
        ("some", 1, "face", "faces"): "1 face",
        ("count", 1234567): "1\u202f234\u202f567",
        ("sentence", "no face found"): "No face found.",
        ("strict", 1e-4): "a stranger is accepted once in 10\u202f000",
    }
    assert {call: it.tab.evaluate(say, list(call)) for call in told} == told

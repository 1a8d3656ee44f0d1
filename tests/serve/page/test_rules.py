"""What can be checked of the page without a browser: its size, its policy, its colors."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.serve.page.mock import PAGE

SCRIPTS = sorted(PAGE.rglob("*.js"))
FILES = sorted(path for path in PAGE.rglob("*") if path.is_file())


def test_modules_are_small() -> None:
    assert {path.name: n for path in FILES if (n := path.read_text().count("\n")) > 300} == {}


def test_nothing_is_loaded_from_elsewhere_and_nothing_is_parsed_as_markup() -> None:
    svg_names = "http://www.w3.org/2000/svg"
    for path in FILES:
        text = path.read_text().replace(svg_names, "")
        assert not re.search(r"https?://", text), path
    banned = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|setAttribute\(.style"
    for path in SCRIPTS:
        assert not re.search(banned, path.read_text()), path
    page = (PAGE / "index.html").read_text()
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script>", page)


def test_every_import_is_there_and_used() -> None:
    for path in SCRIPTS:
        text = path.read_text()
        for names, source in re.findall(r'import \{([^}]+)\} from "([^"]+)"', text):
            target = PAGE / source.removeprefix("/page/")
            assert target.is_file(), (path, source)
            for name in (part.split(" as ") for part in names.split(",")):
                assert re.search(rf"export (async )?(function|const|class|let) {name[0].strip()}\b", target.read_text())
                assert len(re.findall(rf"\b{name[-1].strip()}\b", text)) > 1, (path, name)


# ---------------------------------------------------------------- contrast, by the formula of WCAG 2
def _tokens(theme: int) -> dict[str, str]:
    text = (PAGE / "style.css").read_text()
    pairs = re.findall(r"--([a-z-]+): light-dark\((#\w+), (#\w+)\)", text)
    return {name: (light, dark)[theme] for name, light, dark in pairs}


def _luminance(color: str) -> float:
    channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: str, other: str) -> float:
    high, low = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_the_formula_of_contrast() -> None:
    assert contrast("#ffffff", "#000000") == pytest.approx(21.0)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_words_and_edges_can_be_seen(theme: int) -> None:
    color = _tokens(theme)
    grounds = ["paper", "rail", "panel", "sunk", "accent-wash"]
    words = [(ink, ground) for ink in ("ink", "soft") for ground in grounds]
    words += [("accent", ground) for ground in grounds] + [
        ("accent-ink", "accent"),
        ("bad", "panel"),
        ("bad", "bad-wash"),
    ]
    assert {pair: r for pair in words if (r := contrast(color[pair[0]], color[pair[1]])) < 4.5} == {}
    edges = [("edge", ground) for ground in ("paper", "panel")] + [("accent", "line"), ("unsure", "panel")]
    assert {pair: r for pair in edges if (r := contrast(color[pair[0]], color[pair[1]])) < 3.0} == {}


def test_the_wheel_will_hold_the_page(tmp_path: Path) -> None:
    """The build takes what git does not ignore: no file of the page may be of a kind that is ignored."""
    ignored = (Path(PAGE).parents[2] / ".gitignore").read_text().split()
    assert not [path for path in FILES if any(part.rstrip("/") in path.parts for part in ignored)]

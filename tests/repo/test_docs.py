"""The written pages: links lead somewhere, every verb and error is explained, versions agree, commands exist."""

from __future__ import annotations

import argparse
import re
import shlex
from importlib import import_module
from pathlib import Path

import pytest

from vultus import __version__, errors
from vultus.cli.__main__ import EXIT_CODES, VERBS
from vultus.gallery import calibrate

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)[^)]*\)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page):
    links = [link for link in LINK.findall(page.read_text("utf-8")) if "://" not in link]
    broken = [link for link in links if not (page.parent / link).exists()]
    assert not broken, f"{page.relative_to(ROOT)} links to {broken}"


def words_of(*paths: Path) -> str:
    return "\n".join(path.read_text("utf-8") for path in paths)


def test_every_verb_is_explained():
    pages = words_of(ROOT / "README.md", *(ROOT / "docs").rglob("*.md"))
    assert [verb for verb in VERBS if f"vultus {verb}" not in pages] == []


def test_every_error_is_explained_with_its_code():
    rows = re.findall(r"^\| `(\w+)` \|[^|]*\| (\d+) \|", words_of(ROOT / "docs/guides/errors.md"), re.M)
    assert {name for name, _ in rows} == set(errors.__all__)
    assert {name: int(code) for name, code in rows} == EXIT_CODES


COMMANDS = [
    (page.relative_to(ROOT).as_posix(), line)
    for page in PAGES
    for block in re.findall(r"^```sh\n(.*?)^```", page.read_text("utf-8"), re.M | re.S)
    for line in re.findall(r"^vultus .+$", block, re.M)
]


@pytest.mark.parametrize(("page", "line"), COMMANDS)
def test_commands_on_the_pages_are_understood(page, line):
    _, verb, *rest = shlex.split(line, comments=True)
    parser = argparse.ArgumentParser(exit_on_error=False)
    import_module(f"vultus.cli.{verb}").add(parser)
    try:
        parser.parse_args(rest)
    except (SystemExit, argparse.ArgumentError) as error:
        pytest.fail(f"{page}: {line}: {error}")


def test_the_table_of_thresholds_is_the_packaged_one():
    rows = re.findall(r"^\| `(\w+)`[^|]*\|(.+)\|$", words_of(ROOT / "docs/guides/thresholds.md"), re.M)
    assert len(rows) == 4
    for name, cells in rows:
        table = calibrate.read(ROOT / f"vultus/gallery/calibration/{name}.json")
        for target, cell in zip((1e-2, 1e-3, 1e-4, 1e-5), cells.split("|"), strict=True):
            threshold, _ = table.threshold(target)
            missed = min(table.rates, key=lambda rate: abs(rate.threshold - threshold)).fnmr
            assert cell.strip() == f"{threshold:.3f} ({100 * missed:.1f} %)"
    assert f"{table.n_images:,} photographs\nof {table.n_subjects:,} public figures" in words_of(
        ROOT / "docs/guides/thresholds.md"
    )


def test_the_changelog_is_about_this_version():
    first = re.search(r"^## \[(.+?)\](?: (\S+))?$", words_of(ROOT / "CHANGELOG.md"), re.M)
    assert first is not None
    assert __version__ in first.groups()


def test_decisions_are_numbered_and_have_a_status():
    pages = sorted((ROOT / "docs/decisions").glob("*.md"))
    assert [int(page.name[:4]) for page in pages] == list(range(1, len(pages) + 1))
    for page in pages:
        text = page.read_text("utf-8")
        for part in (r"^# \d+\. ", r"^Status: (proposed|accepted|superseded by \d+)", "^## Context", "^## Decision"):
            assert re.search(part, text, re.M), f"{page.name} lacks {part}"
        assert "## Consequences" in text
        assert text.count("\n") < 70, f"{page.name} is longer than a page"

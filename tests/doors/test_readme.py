"""What the README prints is what happens."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest

from vultus.cli.__main__ import VERBS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.models
def test_the_python_example_runs_as_printed(models_home, tmp_path, monkeypatch) -> None:
    from examples.demo import shipped_photographs
    from vultus.errors import InputError

    try:
        shipped_photographs(tmp_path)
    except InputError as error:
        pytest.skip(str(error))
    monkeypatch.chdir(tmp_path)
    (block,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    assert sum(line.startswith((">>>", "...")) for line in block.splitlines()) <= 15
    test = doctest.DocTestParser().get_doctest(block, {}, "README", "README.md", 0)
    results = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(test)
    assert results.attempted >= 8
    assert results.failed == 0


def test_every_command_line_of_the_readme_is_a_verb() -> None:
    blocks = "\n".join(re.findall(r"^```\w*\n(.*?)^```", README, flags=re.DOTALL | re.MULTILINE))
    used = set(re.findall(r"^vultus (\w+)", blocks, flags=re.MULTILINE))
    assert used
    assert used <= set(VERBS)


def test_every_verb_is_in_a_hand_written_page() -> None:
    pages = README + "".join(p.read_text(encoding="utf-8") for p in (ROOT / "docs").rglob("*.md"))
    assert [verb for verb in VERBS if f"vultus {verb}" not in pages] == []


def test_every_link_of_the_readme_leads_somewhere() -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in link]
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []

"""papers.toml says what the claims and their committed results say; the page and the picture say it to people."""

from __future__ import annotations

import json
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace

import numpy as np
import pytest

from vultus import catalogue
from vultus.catalogue import Paper, _build
from vultus.claims import _papers as papers
from vultus.claims import _results as results
from vultus.claims import claims, keep, run
from vultus.claims._page import html
from vultus.claims._picture import SIM, svg
from vultus.errors import InputError
from vultus.io import images

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

TEXT = """# Papers.

[alpha]
number = 1
title = "A"
room = "detect"
methods = []
claim = ""
status = "planned"

[better]
number = 2
title = "B"
room = "detect"
methods = []
claim = ""
status = "planned"
"""


def read(text: str) -> dict[str, Paper]:
    return {name: _build(Paper, papers.PAPERS, name, table) for name, table in tomllib.loads(text).items()}


@pytest.fixture
def shown(planted, tmp_path):
    return run(planted["better"], scale="nano", folder=tmp_path / "runs")


def test_papers_toml_is_what_the_results_say():
    """After a change: `vultus claim --write`."""
    committed = [document for _, document in results.written(results.COMMITTED)]
    text = papers.PAPERS.read_text("utf-8")
    assert papers.rewritten(text, claims(), committed) == text
    names = {claim.name: claim for claim in claims().values()}
    for document in committed:
        assert document["claim"] in names, "a result without its claim"
        assert document["scale"] != "tiny"
        assert len(document["seeds"]) >= 3
    for paper in catalogue.papers():
        assert not paper.claim or names[paper.claim].paper == paper.number


def test_a_claim_and_its_result_are_written_into_its_paper(planted, shown):
    known = {"better": replace(planted["better"], paper=2)}
    wired = papers.rewritten(TEXT, known, [])
    assert read(wired)["better"].claim == "better"
    assert read(wired)["better"].status == "wired"
    assert read(wired)["alpha"].status == "planned"
    assert papers.rewritten(wired, known, []) == wired
    after = papers.rewritten(wired, known, [shown.document])
    paper = read(after)["better"]
    assert (paper.status, paper.scale, paper.date) == ("shown", "nano", shown.document["date"][:10])
    assert paper.figure.startswith("gain 0.5")
    assert paper.figure.endswith("in planted score; 40 persons, 3 seeds, simulated")
    older = {**shown.document, "status": "not-shown", "date": "2020-01-01T00:00:00+00:00", "scale": "mini"}
    tiny = {**shown.document, "scale": "tiny", "status": "wired", "date": "2099-01-01T00:00:00+00:00"}
    assert papers.rewritten(after, known, [older, shown.document, tiny]) == after
    beside = known | {"second": replace(planted["equal"], name="second", paper=2)}
    failed = {**shown.document, "claim": "second", "status": "not-shown"}
    assert papers.rewritten(wired, beside, [shown.document]) == after
    assert read(papers.rewritten(wired, beside, [shown.document, failed]))["better"].figure == (
        f"{paper.figure}; also second not-shown"
    )
    stopped = {**shown.document, "status": "budget", "why": "stopped after 9 minutes", "effect": None}
    assert read(papers.rewritten(after, known, [stopped]))["better"].figure == "budget: stopped after 9 minutes"
    assert read(papers.rewritten(after, known, [stopped]))["better"].status == "wired"
    assert papers.rewritten(after, {}, []) == TEXT


def test_results_of_the_package_come_from_its_claims_at_nano_or_mini(planted, shown, tmp_path):
    with pytest.raises(InputError, match="expected a claim in vultus/claims"):
        keep(shown)
    with pytest.raises(InputError, match="expected a result at nano or mini"):
        keep(run(planted["better"], folder=tmp_path), tmp_path)
    images.write(shown.folder / "better.nano.png", np.zeros((8, 8, 3), np.uint8))
    kept = keep(shown, tmp_path / "kept")
    assert [path.name for path in kept] == ["better.nano.json", "better.nano.svg", "better.nano.png"]
    assert results.read(kept[0]) == shown.document
    shown.document["data"] = "real"
    assert [path.suffix for path in keep(shown, tmp_path / "kept")] == [".json", ".svg"]
    assert not (tmp_path / "kept/better.nano.png").exists(), "no picture of real people in the package"
    (tmp_path / "kept/broken.nano.json").write_text(json.dumps({"claim": "broken"}))
    with pytest.raises(InputError, match="lacks paper"):
        results.written(tmp_path / "kept")


def test_the_picture_draws_every_arm_with_its_interval(shown):
    drawn = (shown.folder / "better.nano.svg").read_text()
    root = ET.fromstring(drawn)
    names = {"s": "http://www.w3.org/2000/svg"}
    kinds = [circle.get("class").split()[0] for circle in root.findall(".//s:circle", names)]
    assert kinds.count("dot") == 3 + 2, "three arms, the gain and one control"
    assert kinds.count("seed") == 3 * 5
    spans = [path.get("d") for path in root.findall(".//s:path", names) if "span" in path.get("class")]
    assert len(spans) == 5
    assert SIM in drawn
    assert "url(" not in drawn
    assert svg({**shown.document, "arms": {}}) == ""
    hostile = {**shown.document, "metric": "<script>", "claim": '"><script>'}
    assert "<script>" not in svg(hostile)


def test_the_page_opens_offline_and_says_everything(planted, shown, tmp_path):
    images.write(shown.folder / "better.nano.png", np.zeros((8, 8, 3), np.uint8))
    run(planted["better"], folder=tmp_path / "runs")
    page = html(planted, results.written(tmp_path / "runs"))
    for words in ("better", "equal", "not run", "shown", SIM, "planted score", "<svg", "data:image/png;base64,"):
        assert words in page
    assert 'http-equiv="Content-Security-Policy" content="default-src \'none\'' in page
    assert "<script" not in page
    assert page.replace("http://www.w3.org/2000/svg", "").count("://") == 0
    assert page.count("<section") == 1
    later = {**shown.document, "scale": "tiny", "status": "wired", "date": "2099-01-01T00:00:00+00:00"}
    page = html(planted, [(shown.folder / "better.nano.json", shown.document), (shown.folder / "x", later)])
    assert '<h2>better <span class="badge shown">' in page, "the result at nano speaks, not a later one at tiny"


def test_the_papers_verb_prints_figures(monkeypatch, capsys):
    from vultus.cli.__main__ import main

    found = catalogue.papers()
    marked = [replace(found[0], status="shown", figure="gain 0.5", scale="nano", date="2026-11-25"), *found[1:3]]
    monkeypatch.setattr(catalogue, "papers", lambda: marked)
    assert main(["papers"]) == 0
    assert "gain 0.5 (nano, 2026-11-25)" in capsys.readouterr().out
    assert main(["papers", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["figure"] == "gain 0.5"

"""One page of all claims that opens offline: what was shown, what was not, and from what."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path
from typing import Any

from vultus import catalogue
from vultus.claims._claim import SCALES, Claim
from vultus.claims._picture import SIM, short, svg
from vultus.claims._results import read

__all__ = ["html"]

_MEANINGS = {
    "shown": "the interval of the gain excludes 0 in the direction that was declared, and no control gains",
    "not-shown": "the measurement does not support the claim; it stays here and is not tuned until it passes",
    "wired": "it runs at tiny scale; nothing is concluded",
    "budget": "stopped when its minutes were over",
    "refused": "a judge was in a loss, or another rule of the house was broken",
    "invalid": "the numbers may not be used, for instance because the judge fails on people it never saw",
    "not run": "no result yet",
}
_FACTS = ("scale", "seeds", "minutes", "budget_minutes", "version", "commit", "code", "device", "python", "date")


def html(known: Mapping[str, Claim], results: Iterable[tuple[Path, Mapping[str, Any]]]) -> str:
    """The page as text: asks nothing of the network, carries its own style and pictures.

    Args:
        known: claims by name; one without a result is listed as not run.
        results: (file, document) of runs; the newest at the largest scale speaks for a claim.
    """
    best: dict[str, tuple[Path, Mapping[str, Any]]] = {}
    for path, document in sorted(results, key=lambda pair: _rank(pair[1])):
        best[document["claim"]] = (path, document)
    titles = {paper.number: paper.title for paper in catalogue.papers()}
    names = sorted(set(known) | set(best))
    rows = [_row(name, known.get(name), best[name][1] if name in best else None, titles) for name in names]
    parts = [_section(*best[name], titles) for name in names if name in best]
    style = Path(__file__).with_name("page.css").read_text("utf-8")
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    meanings = "".join(f"<dt>{_badge(key)}</dt><dd>{escape(words)}</dd>" for key, words in _MEANINGS.items())
    columns = ("Claim", "Status", "Gain, 95 % interval", "Metric", "Data", "Scale", "Seeds", "Minutes", "Date")
    head = "".join(f'<th scope="col">{column}</th>' for column in columns)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Claims of vultus</title>\n<style>\n{style}</style>\n</head>\n<body><main>\n"
        "<h1>What is shown, and what is not</h1>\n"
        "<p>Each claim is a method against its baseline on the same data, budget and seeds. The interval is a paired "
        "bootstrap of the gain; positive speaks for the claim.</p>\n"
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>\n'
        f'<dl class="meanings">{meanings}</dl>\n{"".join(parts)}</main></body></html>\n'
    )


def _rank(document: Mapping[str, Any]) -> tuple[bool, str, int]:
    scale = SCALES.index(document["scale"])
    return scale > 0, str(document["date"]), scale


def _badge(status: str) -> str:
    return f'<span class="badge {escape(status.replace(" ", "-"), quote=True)}">{escape(status)}</span>'


def _row(name: str, claim: Claim | None, document: Mapping[str, Any] | None, titles: Mapping[int, str]) -> str:
    number = claim.paper if claim is not None else int((document or {}).get("paper", 0))
    paper = f'<span class="soft">{number} {escape(titles[number])}</span>' if number in titles else ""
    if document is None:
        cells = [_badge("not run"), *[""] * 7]
        return f'<tr><th scope="row">{escape(name)}{paper}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>'
    cells = [
        _badge(document["status"]),
        _gain(document),
        escape(str(document.get("metric", ""))),
        {"sim": "simulated", "real": "real"}.get(str(document.get("data")), ""),
        escape(document["scale"]),
        str(len(document["seeds"])),
        f"{document['minutes']:.1f}",
        escape(str(document["date"])[:10]),
    ]
    link = f'<a href="#{escape(name, quote=True)}">{escape(name)}</a>'
    return f'<tr><th scope="row">{link}{paper}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>'


def _gain(document: Mapping[str, Any]) -> str:
    """Digits, and the interval drawn on a line of its own with 0 marked."""
    effect = document["effect"]
    if not effect:
        return ""
    words = short(effect["value"])
    if effect["low"] is None:
        return words
    reach = 1.1 * max(abs(effect["low"]), abs(effect["high"]), abs(effect["value"])) or 1.0
    low, high, dot = (55 + 50 * effect[key] / reach for key in ("low", "high", "value"))
    drawn = (
        '<svg class="bar" viewBox="0 0 110 14" aria-hidden="true"><path class="zero" d="M55 0V14"/>'
        f'<path class="span" d="M{low:.1f} 7H{high:.1f}"/><circle cx="{dot:.1f}" cy="7" r="4"/></svg>'
    )
    return f"{drawn}{words} [{short(effect['low'])}, {short(effect['high'])}]"


def _section(path: Path, document: Mapping[str, Any], titles: Mapping[int, str]) -> str:
    name = escape(document["claim"], quote=True)
    number = document["paper"]
    paper = f"<p>Paper {number}: {escape(titles[number])}</p>" if number in titles else ""
    tier = f'<p class="tier">{SIM}</p>' if document.get("data") == "sim" else ""
    notes = f"<p>{escape(document['notes'])}</p>" if document.get("notes") else ""
    drawn = f'<div class="scroll">{svg(document)}</div>'
    judges = ", ".join(document.get("judges", ()))
    facts = {key: document[key] for key in _FACTS if key in document} | ({"judges": judges} if judges else {})
    facts |= dict(document.get("extra", {}))
    lines = "".join(f"<dt>{escape(str(key))}</dt><dd>{escape(_words(value))}</dd>" for key, value in facts.items())
    return (
        f'<section id="{name}"><h2>{name} {_badge(document["status"])}</h2><p>{escape(document.get("says", ""))}</p>'
        f"{paper}<p><b>{escape(document['why'])}</b></p>{tier}{drawn}{_own_picture(path)}{notes}"
        f'<dl class="facts">{lines}</dl></section>\n'
    )


def _words(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _own_picture(path: Path) -> str:
    """The claim's own picture, which lies beside its result."""
    file = path.with_suffix(".png")
    if not file.is_file():
        return ""
    code = base64.b64encode(file.read_bytes()).decode("ascii")
    return f'<img src="data:image/png;base64,{code}" alt="{escape(read(path)["claim"], quote=True)}">'

"""Write a Report as report.json and as one offline page, report.html.

The page asks nothing of the network (its content policy forbids it), carries its own style and drawings, follows the
reader's light or dark setting and prints. Any Report can be written. Keys of `provenance` that get a place of their
own, all optional:
    title       heading of the page
    headline    names of up to four metrics for the top of the page (default: the first four)
    groups      {prefix: words}: metrics named "prefix.rest" stand together under those words
    labels      {metric name: words}
    thresholds  [{"name", "value", "source", ...}]: every threshold in use, and where it comes from
    alarms      sentences: what stands out, at the top
    tables      [{"title", "columns": [words], "rows": [[cells]]}]: cells are words, numbers or Metrics, and the first
                of a row names it
    counts      {words: number}
    notes       sentences: policies and rules a reader must know
    worst       [{"kind", "score", "pictures": [names]}]: the worst errors, most wrong first
Everything else in `provenance` is printed as it is.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path
from typing import Any

from vultus.errors import InputError, StoreError
from vultus.evaluate import _curves
from vultus.evaluate._words import interval, number, sentence
from vultus.io.files import write_bytes
from vultus.types import Metric, Report

__all__ = ["html", "read", "write"]

_OWN_PLACE = ("title", "headline", "groups", "labels", "thresholds", "alarms", "tables", "counts", "notes", "worst")
_TIERS = {"real": "Real photographs", "sim": "Simulated data"}


def write(report: Report, folder: str | Path, *, pictures: Mapping[str, bytes] | None = None) -> tuple[Path, Path]:
    """Write report.json and report.html into `folder`, each complete or not at all.

    Args:
        report: what to write.
        folder: made when it does not exist.
        pictures: picture name -> encoded JPEG or PNG, shown beside the worst errors that name it; they are embedded in
            the page, so give crops.

    Returns:
        Paths of the JSON file and of the page.

    Raises:
        InputError: if a number is not finite, a curve is malformed or a picture is neither JPEG nor PNG.
        StoreError: if the folder cannot be written.
    """
    try:
        text = json.dumps(report.to_dict(), indent=1, ensure_ascii=False, allow_nan=False)
    except ValueError as error:
        raise InputError(f"report: expected finite numbers, got one that JSON cannot hold ({error})") from error
    page = html(report, pictures=pictures)
    target = Path(folder)
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"report: expected a writable folder, got {target} ({error.strerror})") from error
    files = target / "report.json", target / "report.html"
    write_bytes(files[0], text.encode() + b"\n")
    write_bytes(files[1], page.encode())
    return files


def read(folder: str | Path) -> Report:
    """The Report that `write` put into `folder`.

    Raises:
        StoreError: if report.json is missing or unreadable.
        InputError: if it is not a report.
    """
    path = Path(folder) / "report.json"
    try:
        fields: dict[str, Any] = json.loads(path.read_text("utf-8"))
        fields["metrics"] = {name: Metric(**metric) for name, metric in fields["metrics"].items()}
        fields.update({name: tuple(fields[name]) for name in ("spaces", "missing")})
        return Report(**fields)
    except OSError as error:
        raise StoreError(f"expected a report at {path}, could not read it ({error.strerror})") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: expected a report written by vultus, got something else ({error})") from error


def html(report: Report, *, pictures: Mapping[str, bytes] | None = None) -> str:
    """The page as text; arguments and errors as in `write`."""
    about = report.provenance
    title = str(about.get("title") or sentence(report.protocol))
    style = Path(__file__).with_name("report.css").read_text("utf-8")
    body = [
        _header(report, title),
        _headline(report),
        _section("What stands out", _list("notes", about.get("alarms", ()))),
        _section("Tables", _tables(about.get("tables", ()))),
        _section("Curves", _figures(report)),
        _section("Numbers", _metrics(report)),
        _section("Thresholds", _thresholds(about.get("thresholds", ()))),
        _section("Worst errors", _worst(about.get("worst", ()), pictures or {})),
        _section("Missing", _list("missing", report.missing)),
        _section("How it was measured", _list("notes", about.get("notes", ()))),
        _section("Counts", _pairs({key: f"{n:,}" for key, n in about.get("counts", {}).items()})),
        _section("Provenance", _pairs(_provenance(report))),
    ]
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)} · vultus</title>\n<style>\n{style}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(part for part in body if part)
        + "\n<footer>Written by a program; the same numbers are in report.json beside this page. Brackets hold 95% "
        "intervals.</footer>\n</main>\n</body>\n</html>\n"
    )


def _section(title: str, content: str) -> str:
    return f"<section>\n<h2>{title}</h2>\n<div>{content}</div>\n</section>" if content else ""


def _header(report: Report, title: str) -> str:
    tier = _TIERS.get(report.data_tier, f"Data tier: {report.data_tier}")
    facts = [f'<li class="tier {escape(report.data_tier, quote=True)}">{escape(tier)}</li>']
    facts += [f"<li>{escape(space)}</li>" for space in report.spaces]
    return (
        f'<header>\n<p class="eyebrow">vultus evaluation: {escape(report.protocol)}</p>\n<h1>{escape(title)}</h1>\n'
        f'<p class="lede">{escape(report.dataset)}</p>\n<ul class="facts">{"".join(facts)}</ul>\n</header>'
    )


def _headline(report: Report) -> str:
    names = [name for name in report.provenance.get("headline", list(report.metrics)[:4]) if name in report.metrics]
    tiles = []
    for name in names[:4]:
        metric = report.metrics[name]
        value, unit = number(metric.value, metric.unit)
        span = f"<span>{interval(metric)}</span> " if metric.low is not None else ""
        tiles.append(
            f'<div><dt>{_label(name, report)}</dt><dd class="value">{value}<small>{unit}</small></dd>'
            f'<dd class="range">{span}<span>n = {metric.n:,}</span></dd></div>'
        )
    return f'<dl class="headline">{"".join(tiles)}</dl>' if tiles else ""


def _tables(tables: Iterable[Mapping[str, Any]]) -> str:
    drawn = []
    for table in tables:
        first, *others = (escape(str(words)) for words in table["columns"])
        head = f'<th scope="col">{first}</th>' + "".join(f'<th scope="col" class="num">{w}</th>' for w in others)
        rows = "".join(
            f'<tr><th scope="row">{escape(str(row[0]))}</th>{"".join(map(_cell, row[1:]))}</tr>'
            for row in table["rows"]
        )
        caption = f"<caption>{escape(str(table['title']))}</caption>"
        body = f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody>"
        drawn.append(f'<div class="scroll"><table class="grid-table">{caption}{body}</table></div>')
    return "".join(drawn)


def _cell(content: Any) -> str:
    """A cell of a table; a Metric that was read from JSON is a mapping."""
    metric = Metric(**content) if isinstance(content, Mapping) else content
    if not isinstance(metric, Metric):
        return f'<td class="num">{escape(f"{metric:,}" if isinstance(metric, int) else str(metric))}</td>'
    value, unit = number(metric.value, metric.unit)
    missing = " none" if metric.value is None else ""
    span = f'<span class="note">{interval(metric)}</span>' if metric.low is not None else ""
    return f'<td class="num strong{missing}" title="{escape(metric.note, quote=True)}">{value} {unit}{span}</td>'


def _figures(report: Report) -> str:
    drawn = []
    for name, series in _curves.figures(report.curves).items():
        items: Iterable[str] = ()
        if len(series) > 1 or "series" in series[0][1]:
            items = (f'<li class="s{i % 4}">{_swatch(curve)}{escape(s)}</li>' for i, (s, curve) in enumerate(series))
        words = " ".join(dict.fromkeys(str(c["caption"]) for _, c in series if c.get("caption")))
        legend = f'<ul class="legend">{"".join(items)}</ul>'
        picture = _curves.svg(name, series) + _curves.svg(name, series, narrow=True)
        parts = f"<h3>{escape(sentence(name))}</h3>{legend}<div>{picture}</div><figcaption>{escape(words)}</figcaption>"
        drawn.append(f"<figure>{parts}</figure>")
    return f'<div class="wide-figures">{"".join(drawn)}</div>' if drawn else ""


def _swatch(curve: Mapping[str, Any]) -> str:
    kind = "box" if curve.get("kind") in ("histogram", "points") else "hyphens" if curve.get("dashed") else ""
    return f'<i class="{kind}"></i>'


def _metrics(report: Report) -> str:
    groups: dict[str, list[str]] = {}
    for name in report.metrics:
        groups.setdefault(name.split(".")[0] if "." in name else "", []).append(name)
    words = report.provenance.get("groups", {})
    bodies = []
    for group, names in groups.items():
        rows = [_row(name, report) for name in names]
        if len(groups) > 1 and group:
            title = escape(str(words.get(group, sentence(group))))
            rows.insert(0, f'<tr><th scope="rowgroup" colspan="4">{title}</th></tr>')
        bodies.append(f"<tbody>{''.join(rows)}</tbody>")
    head = '<thead><tr><th scope="col">Measure</th>' + "".join(
        f'<th scope="col" class="num">{column}</th>' for column in ("Value", "95% interval", "n")
    )
    return f'<table class="fold">{head}</tr></thead>{"".join(bodies)}</table>' if bodies else ""


def _row(name: str, report: Report) -> str:
    metric = report.metrics[name]
    value, unit = number(metric.value, metric.unit)
    note = f'<span class="note">{escape(metric.note)}</span>' if metric.note else ""
    span = interval(metric) if metric.low is not None else '<span class="without">–</span>'
    missing = " none" if metric.value is None else ""
    return (
        f'<tr><th scope="row">{_label(name, report)}{note}</th><td class="num strong{missing}">{value} {unit}</td>'
        f'<td class="num">{span}</td><td class="num" data-label="n">{metric.n:,}</td></tr>'
    )


def _label(name: str, report: Report) -> str:
    given = report.provenance.get("labels", {}).get(name)
    return escape(str(given) if given else sentence(name.split(".", 1)[-1]))


def _thresholds(rows: Iterable[Mapping[str, Any]]) -> str:
    lines = [
        f'<tr><th scope="row">{escape(sentence(str(row["name"])))}'
        f'<span class="note">{escape(str(row.get("source", "")))}</span></th>'
        f'<td class="num strong">{float(row["value"]):.4f}</td></tr>'
        for row in rows
    ]
    head = '<th scope="col">Used for, and where it comes from</th><th scope="col" class="num">Threshold</th>'
    return f'<table class="fold"><thead><tr>{head}</tr></thead><tbody>{"".join(lines)}</tbody></table>' if lines else ""


def _worst(rows: Iterable[Mapping[str, Any]], pictures: Mapping[str, bytes]) -> str:
    cards = []
    for row in rows:
        names = [str(name) for name in row["pictures"]]
        photos = "".join(_photo(name, pictures.get(name)) for name in names)
        score = number(row["score"], "")[0] if row.get("score") is not None else "no score"
        cards.append(
            f'<li><div class="photos">{photos}</div><p><b class="kind">{escape(str(row["kind"]))}</b>, {score}<br>'
            f"<span>{'<br>'.join(_breakable(name) for name in names)}</span></p></li>"
        )
    return f'<ul class="pairs">{"".join(cards)}</ul>' if cards else ""


def _breakable(path: str) -> str:
    return escape(path.rsplit("/", 1)[-1]).replace("_", "_<wbr>")


def _photo(name: str, data: bytes | None) -> str:
    if data is None:
        return '<span class="gone">picture not given</span>'
    kinds = {b"\xff\xd8\xff": "image/jpeg", b"\x89PN": "image/png"}
    if data[:3] not in kinds:
        raise InputError(f"pictures[{name!r}]: expected encoded JPEG or PNG bytes, got {data[:3]!r}...")
    code = base64.b64encode(data).decode("ascii")
    return f'<img src="data:{kinds[data[:3]]};base64,{code}" alt="{escape(name, quote=True)}" loading="lazy">'


def _list(kind: str, rows: Iterable[str]) -> str:
    lines = "".join(f"<li>{escape(str(row))}</li>" for row in rows)
    return f'<ul class="{kind}">{lines}</ul>' if lines else ""


def _provenance(report: Report) -> dict[str, Any]:
    rest = {key: value for key, value in report.provenance.items() if key not in _OWN_PLACE}
    return {"spaces": ", ".join(report.spaces), **rest} if report.spaces else rest


def _pairs(rows: Mapping[str, Any]) -> str:
    lines = "".join(f"<dt>{escape(sentence(str(key)))}</dt><dd>{_plain(value)}</dd>" for key, value in rows.items())
    return f'<dl class="plain">{lines}</dl>' if lines else ""


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{escape(str(key))} {_plain(item)}" for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(_plain(item) for item in value)
    return escape(str(value))

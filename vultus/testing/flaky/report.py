"""What was found, for the terminal and as one HTML file that needs no network."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from pathlib import Path

from vultus.errors import StoreError
from vultus.testing.flaky.classify import CATEGORIES, SHARES, UNKNOWN, Evidence
from vultus.testing.flaky.investigate import Diagnosis, Investigation
from vultus.testing.flaky.store import Quarantine, Repair
from vultus.testing.flaky.study import replicate

__all__ = ["page", "terminal", "write"]

_STYLE = """
:root { color-scheme: light dark; --ink: #1d2733; --soft: #5b6875; --line: #d5dce3; --bad: #b3261e; --ground: #fff; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6ebf0; --soft: #9fadba; --line: #36424e; --bad: #ff8a80; --ground: #14191f; }
}
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--ground); margin: 2rem auto;
       max-width: 70rem; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; margin: .5rem 0 2rem; }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid var(--line); vertical-align: top; }
th { color: var(--soft); font-weight: 600; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
code { font-size: 13px; overflow-wrap: anywhere; }
svg { vertical-align: middle; }
.soft { color: var(--soft); }
"""


def terminal(found: Investigation, *, every: bool = False) -> str:
    """A summary in lines: what is flaky, why, and how sure that is.

    Args:
        found: by `investigate`.
        every: also tests that are stable.
    """
    flaky = found.flaky()
    lines = [
        f"{len(found.diagnoses)} tests, {len(flaky)} flaky, {_count(found, 'suspect')} suspect, "
        f"{_count(found, 'broken')} broken; {found.processes} processes, {found.seconds:.0f} s"
    ]
    width = max((len(one.test) for one in found.diagnoses), default=0)
    for one in found.diagnoses:
        if one.status != "stable" or every:
            lines.append(f"  {one.test:<{width}}  {one.status:<7}  {_because(one)}".rstrip())
    leaving = [one for one in found.diagnoses if any(n > 0 for n in one.leaves)]
    lines += [f"  {one.test:<{width}}  leaves   {_leaves(one)}" for one in leaving]
    lines += [f"  {name}: a process did not come to its end; tests may be missing there" for name in found.lost]
    return "\n".join(lines)


def _because(one: Diagnosis) -> str:
    if one.attribution is None:
        return ""
    best = one.attribution
    if best.category == UNKNOWN:
        return "cause unknown"
    evidence = next(e for e in best.evidence if e.intervention == best.intervention)
    return f"{best.category}: {best.intervention}, {_counts(evidence)}, p = {best.p:.2g}"


def _counts(one: Evidence) -> str:
    return f"{one.failed} of {one.runs} failed beside {one.reference_failed} of {one.reference_runs}"


def _leaves(one: Diagnosis) -> str:
    names = ("descriptors", "threads", "temporary files")
    return ", ".join(f"{n} {name}" for n, name in zip(one.leaves, names, strict=True) if n > 0)


def _count(found: Investigation, status: str) -> int:
    return sum(one.status == status for one in found.diagnoses)


def page(
    found: Investigation | None = None,
    *,
    title: str = "Flaky tests",
    history: Mapping[str, Sequence[str]] | None = None,
    quarantine: Sequence[Quarantine] = (),
    repairs: Sequence[Repair] = (),
) -> str:
    """The whole report as one HTML document without scripts or links to elsewhere.

    Args:
        found: by `investigate`.
        title: of the page.
        history: test -> commits at which it was flaky, of `History.flaky`.
        quarantine: of `History.quarantined`.
        repairs: of `History.repairs`.

    Returns:
        The document.
    """
    parts = [f"<h1>{_e(title)}</h1>"]
    if found is not None:
        parts += _found(found)
    if history:
        rows = [[_code(test), str(len(at)), _code(", ".join(r[:10] for r in at[-5:]))] for test, at in history.items()]
        parts += [
            "<h2>Both passed and failed at one commit</h2>",
            _table(("test", "commits", "the last of them"), rows),
        ]
    if quarantine:
        rows = [[_code(q.test), _e(q.owner), q.expires.isoformat(), _e(q.reason)] for q in quarantine]
        parts += ["<h2>Quarantine</h2>", _table(("test", "owner", "until", "reason"), rows)]
    if repairs:
        parts += _repairs(repairs)
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{_e(title)}</title>'
    body = "\n".join(parts)
    return (
        f'<!doctype html>\n<html lang="en"><head>{head}<style>{_STYLE}</style></head><body>\n{body}\n</body></html>\n'
    )


def _found(found: Investigation) -> list[str]:
    unclear = sum(one.category == UNKNOWN for one in found.flaky())
    words = (
        f"{len(found.diagnoses)} tests, {len(found.flaky())} flaky, of which {unclear} of unknown cause; "
        f"{_count(found, 'suspect')} failed under an intervention and were not confirmed. "
        f"{found.processes} processes, screen {found.screen_seconds:.0f} s, trials {found.trial_seconds:.0f} s."
        + (f" Not whole: {', '.join(found.lost)}." if found.lost else "")
    )
    rows = []
    for one in found.diagnoses:
        if one.status == "stable":
            continue
        rows.append([_code(one.test), one.status, _e(one.category or ""), _bars(one), _e(_because(one))])
    shares = []
    for category in CATEGORIES:
        n = sum(one.category == category for one in found.flaky())
        shares.append([category, str(n), f"{SHARES[category]:.0%}"])
    return [
        f"<p>{_e(words)}</p>",
        "<h2>What is not stable</h2>",
        _table(("test", "", "cause", "failures: with, without", "evidence"), rows),
        "<h2>Causes</h2>",
        _table(("cause", "here", "of 200 in the study"), shares),
        "<p class='soft'>Shares of the study are quoted from memory except for the largest; see the guide.</p>",
    ]


def _bars(one: Diagnosis) -> str:
    """Failure probability with the intervention above that without it."""
    if one.attribution is None or one.attribution.category == UNKNOWN:
        return ""
    best = next(e for e in one.attribution.evidence if e.intervention == one.attribution.intervention)
    with_, without = best.failed / best.runs, best.reference_failed / best.reference_runs
    bars = "".join(
        f'<rect x="0" y="{y}" width="120" height="9" fill="none" stroke="var(--line)"/>'
        f'<rect x="0" y="{y}" width="{120 * share:.0f}" height="9" fill="{fill}"/>'
        for y, share, fill in ((1, with_, "var(--bad)"), (13, without, "var(--soft)"))
    )
    return f'<svg width="122" height="24" role="img" aria-label="{with_:.0%}, {without:.0%}">{bars}</svg>'


def _repairs(repairs: Sequence[Repair]) -> list[str]:
    rows = [[_code(r.test), r.nature, r.tool, r.origin, f"{r.minutes:g}", _e(r.fix), _e(r.owner)] for r in repairs]
    numbers = [[_e(name), f"{value:.3g}"] for name, value in replicate(repairs).items()]
    return [
        "<h2>Repairs</h2>",
        _table(("test", "cause", "the tool said", "origin", "minutes", "what was done", "by"), rows),
        _table(("all repairs", ""), numbers),
    ]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    top = "".join(f"<th>{_e(cell)}</th>" for cell in head)
    body = "\n".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{top}</tr></thead><tbody>\n{body}\n</tbody></table>"


def _code(text: str) -> str:
    return f"<code>{_e(text)}</code>"


def _e(text: str) -> str:
    return html.escape(text, quote=True)


def write(path: Path, document: str) -> None:
    """Write a page.

    Raises:
        StoreError: the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(document, encoding="utf-8")
    except OSError as error:
        raise StoreError(f"{path}: the report cannot be written here ({error}); name a folder to write in") from error

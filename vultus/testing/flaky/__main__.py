"""python -m vultus.testing.flaky: find flaky tests of a project, keep the quarantine, read the history."""

from __future__ import annotations

import argparse
import datetime
import sys
from collections.abc import Sequence
from pathlib import Path

from vultus.errors import InputError, VultusError
from vultus.testing.flaky import report
from vultus.testing.flaky.classify import CATEGORIES, UNKNOWN
from vultus.testing.flaky.interventions import BASELINE, SCREEN
from vultus.testing.flaky.investigate import investigate, rates
from vultus.testing.flaky.runner import Project
from vultus.testing.flaky.store import ORIGINS, History, Repair
from vultus.testing.flaky.study import replicate


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; 0 is well, 1 is "something is flaky", 2 is an error in words on stderr."""
    options = _parser().parse_args(argv)
    try:
        return int(options.verb(options))
    except VultusError as error:
        print(f"flaky: {error}", file=sys.stderr)  # noqa: T201
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m vultus.testing.flaky", description=__doc__)
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    run = verbs.add_parser("run", help="find flaky tests and their causes")
    run.add_argument("--project", type=Path, default=Path(), help="folder that pytest is started in")
    run.add_argument("--test", action="append", help="look at this test only; may be given again")
    run.add_argument("--repeats", type=int, default=8, help="trials of a suspect under each condition (8)")
    run.add_argument("--jobs", type=int, default=1, help="processes side by side (1)")
    run.add_argument("--seed", type=int, default=0)
    run.add_argument("--html", type=Path, help="write the report here")
    run.add_argument("pytest", nargs="*", help="for pytest, after --: files, folders, options")
    run.set_defaults(verb=_run)
    rate = verbs.add_parser("rates", help="failures of one test in fresh processes and in its suite")
    rate.add_argument("test")
    rate.add_argument("--project", type=Path, default=Path())
    rate.add_argument("--runs", type=int, default=10)
    rate.add_argument("--jobs", type=int, default=1)
    rate.add_argument("pytest", nargs="*")
    rate.set_defaults(verb=_rates)
    for name, verb, about in (
        ("history", _history, "tests that both passed and failed at one commit"),
        ("quarantine", _quarantine, "put a test into quarantine, or list it"),
        ("lift", _lift, "end a quarantine with the form of its repair"),
        ("report", _report, "history, quarantine and repairs as HTML"),
        ("study", _study, "one's own repairs in the terms of the study"),
    ):
        sub = verbs.add_parser(name, help=about)
        sub.add_argument("--db", type=Path, default=Path(".flaky.sqlite"), help="history file (.flaky.sqlite)")
        sub.set_defaults(verb=verb)
        _arguments(name, sub)
    listed = verbs.add_parser("interventions", help="what is tried, and for which cause")
    listed.set_defaults(verb=_interventions)
    return parser


def _arguments(name: str, sub: argparse.ArgumentParser) -> None:
    if name == "quarantine":
        sub.add_argument("test", nargs="?")
        sub.add_argument("--owner", default="")
        sub.add_argument("--until", default="", metavar="YYYY-MM-DD", help="the first day on which it fails again")
        sub.add_argument("--reason", default="")
    elif name == "lift":
        sub.add_argument("test")
        sub.add_argument("--owner", required=True)
        sub.add_argument("--nature", required=True, choices=CATEGORIES)
        sub.add_argument("--origin", required=True, choices=ORIGINS)
        sub.add_argument("--minutes", required=True, type=float)
        sub.add_argument("--fix", required=True)
        sub.add_argument("--tool", default="", choices=(*CATEGORIES, UNKNOWN, ""), help="cause that the tool had named")
    elif name == "report":
        sub.add_argument("--html", type=Path, default=Path("flaky.html"))


def _run(options: argparse.Namespace) -> int:
    project = Project(options.project, options.pytest)
    found = investigate(
        project,
        repeats=options.repeats,
        seed=options.seed,
        jobs=options.jobs,
        tests=options.test,
        progress=_progress if sys.stderr.isatty() else None,
    )
    _say(report.terminal(found))
    if options.html:
        report.write(options.html, report.page(found))
    return 1 if found.flaky() else 0


def _progress(done: int, total: int, what: str) -> None:
    sys.stderr.write(f"\r{done}/{total} {what:<28}" + ("\n" if done == total else ""))
    sys.stderr.flush()


def _rates(options: argparse.Namespace) -> int:
    found = rates(Project(options.project, options.pytest), options.test, runs=options.runs, jobs=options.jobs)
    _say(f"alone    {found.alone[0]} of {found.alone[1]} failed\nin suite {found.suite[0]} of {found.suite[1]} failed")
    _say(f"Fisher's exact test of the difference: p = {found.p:.3g}")
    return 0


def _history(options: argparse.Namespace) -> int:
    with History(options.db, read_only=True) as history:
        flaky = history.flaky()
    for test, at in flaky.items():
        _say(f"{test}: at {', '.join(revision[:10] for revision in at)}")
    if not flaky:
        _say("no test both passed and failed at one commit")
    return 1 if flaky else 0


def _quarantine(options: argparse.Namespace) -> int:
    if options.test is None:
        with History(options.db, read_only=True) as history:
            for known in history.quarantined().values():
                _say(f"{known.test}: {known.owner}, until {known.expires}{': ' + known.reason if known.reason else ''}")
        return 0
    try:
        until = datetime.date.fromisoformat(options.until)
    except ValueError as error:
        raise InputError(f"--until: expected YYYY-MM-DD, got {options.until!r}; a quarantine has an end") from error
    with History(options.db) as history:
        history.quarantine(options.test, options.owner, until, reason=options.reason)
    _say(f"{options.test}: in quarantine until {until}, {options.owner} answers for it")
    return 0


def _lift(options: argparse.Namespace) -> int:
    answers = (options.test, options.owner, options.nature, options.origin, options.minutes, options.fix, options.tool)
    with History(options.db) as history:
        history.lift(Repair(*answers))
    _say(f"{options.test}: out of quarantine")
    return 0


def _report(options: argparse.Namespace) -> int:
    with History(options.db, read_only=True) as history:
        document = report.page(
            history=history.flaky(), quarantine=list(history.quarantined().values()), repairs=history.repairs()
        )
    report.write(options.html, document)
    _say(f"wrote {options.html}")
    return 0


def _study(options: argparse.Namespace) -> int:
    with History(options.db, read_only=True) as history:
        for name, value in replicate(history.repairs()).items():
            _say(f"{name:<40} {value:.3g}")
    return 0


def _interventions(options: argparse.Namespace) -> int:
    for one in (BASELINE, *SCREEN):
        _say(f"{one.name:<18} {one.category or '-':<22} {one.what}")
    return 0


def _say(text: str) -> None:
    print(text)  # noqa: T201


if __name__ == "__main__":
    raise SystemExit(main())

"""`vultus evaluate fairness`: error rates of groups of people, on a set of one's own or a balanced one."""

from __future__ import annotations

import argparse
from typing import Any

from vultus.cli import _options, _output
from vultus.types import Metric, Report

SOURCES = ("self_reported", "annotator", "model", "inferred", "simulated")


def add(verbs: Any) -> argparse.ArgumentParser:
    """Declare the sub-verb."""
    parser: argparse.ArgumentParser = verbs.add_parser(
        "fairness", help="error rates of groups side by side, one threshold for all and one per group"
    )
    parser.add_argument("folder", type=_options.place, help="one folder per person with --groups, else a flat set")
    parser.add_argument(
        "--groups", type=_options.place, metavar="FILE", help="CSV with the column person and a column per facet"
    )
    parser.add_argument(
        "--pattern", metavar="REGEX", help="how file names hold id and facets (default: id_race_gender_age_pose)"
    )
    parser.add_argument(
        "--labels-from",
        choices=SOURCES,
        metavar="SOURCE",
        help=f"who says which group somebody is in: {', '.join(SOURCES)} (default: simulated or annotator)",
    )
    parser.add_argument("--fmr", type=_options.rate, default=1e-2, metavar="RATE", help="wanted FMR (default: 0.01)")
    parser.add_argument(
        "--seed", type=_options.seed, metavar="N", default=0, help="of halves and draws (default: %(default)s)"
    )
    return parser


def faces(args: argparse.Namespace) -> Any:
    """The set, with the groups of its people."""
    from vultus.io.datasets import folder
    from vultus.io.datasets.controlface import PATTERN, controlface, with_groups

    if args.groups is not None:
        return with_groups(folder(args.folder), args.groups)
    return controlface(args.folder, pattern=args.pattern or PATTERN)


def measured(args: argparse.Namespace, found: Any, embed: Any) -> Report:
    """Run the protocol; labels of a model are taken because the option says so."""
    from vultus.evaluate.protocols.controlface import controlface

    return controlface(found, embed, fmr_target=args.fmr, source=args.labels_from, rng=args.seed, title="Fairness")


def tell(report: Report) -> None:
    """Both policies of each facet, and what was found; everything else is in the report."""
    for shown in report.provenance["tables"]:
        if not shown["title"].endswith("both policies"):
            continue
        first, *others = shown["columns"]
        table = _output.table(f"={first}", *(f">{name}" for name in others), title=shown["title"])
        for row in shown["rows"]:
            table.add(*map(_cell, row))
        _output.console().print(table)
    for alarm in report.provenance["alarms"]:
        _output.say(alarm)


def _cell(content: Any) -> str:
    if not isinstance(content, Metric):
        return str(content)
    value = "insufficient" if content.value is None else f"{100 * content.value:.3g} %"
    span = (
        "" if content.low is None or content.high is None else f" [{100 * content.low:.3g}, {100 * content.high:.3g}]"
    )
    return value + span

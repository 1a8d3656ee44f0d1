"""`vultus papers`: the published systems and how far each of them is."""

from __future__ import annotations

import argparse
from collections import Counter
from dataclasses import asdict

from vultus import catalogue
from vultus.cli import _options, _output


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "words", nargs="*", metavar="WORD", help="only papers whose name, title or room has all these words"
    )
    parser.add_argument("--status", choices=catalogue.PAPER_STATUS, help="only papers of this status")
    _options.add_output(parser)


def run(args: argparse.Namespace) -> int:
    """List the papers with their status, and the methods that exist for them."""
    words = [word.lower() for word in args.words]
    chosen = [
        paper
        for paper in catalogue.papers()
        if (args.status in (None, paper.status))
        and all(word in f"{paper.number} {paper.name} {paper.title} {paper.room}".lower() for word in words)
    ]
    if args.json:
        _output.print_json([asdict(paper) for paper in chosen])
        return 0
    more = ("room", "methods") if _output.wide() else ()
    shown = any(paper.figure for paper in chosen)
    table = _output.table(">no", "=name", "=status", "title", *more, *(["newest figure"] if shown else []))
    for paper in chosen:
        extra = [paper.room, ", ".join(paper.methods)][: len(more)]
        figure = f"{paper.figure} ({paper.scale}, {paper.date})" if paper.figure else ""
        extra += [figure] if shown else []
        table.add(str(paper.number), paper.name, paper.status, paper.title, *extra)
    _output.console().print(table)
    counts = Counter(paper.status for paper in chosen)
    _output.say(f"{len(chosen)} papers: " + ", ".join(f"{counts[s]} {s}" for s in catalogue.PAPER_STATUS if counts[s]))
    return 0

"""`vultus clean`: which pictures in a folder per person show that person, as tables; nothing is moved or deleted."""

from __future__ import annotations

import argparse
from pathlib import Path

from vultus.cli import _options, _output
from vultus.errors import InputError, StoreError
from vultus.io.datasets import folder


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("people", type=_options.place, metavar="PEOPLE", help="a folder per person")
    parser.add_argument(
        "--out",
        type=_options.place,
        required=True,
        metavar="FOLDER",
        help="gets actions.csv, what became of every picture and why, and kept.csv, those that are kept",
    )
    parser.add_argument(
        "--min-pictures",
        type=_number,
        default=3,
        metavar="N",
        help="leave out people of whom fewer are kept (default: %(default)s)",
    )
    parser.add_argument(
        "--near-bits",
        type=int,
        default=4,
        metavar="N",
        help="pictures of a person whose hashes of 64 bits differ in so few are one (default: %(default)s)",
    )
    parser.add_argument(
        "--without", type=_options.place, metavar="FILE", help="leave out people of a test set: a name in each line"
    )
    _options.add_fmr(parser)
    _options.add_output(parser)
    _options.add_pipeline(parser)


def run(args: argparse.Namespace) -> int:
    """Clean, write the tables, and say how many of each."""
    from vultus.train.clean.collector import Collector
    from vultus.train.clean.dedup import HeldOut
    from vultus.train.clean.pages import folder_pages

    out = _output.writable(args.out)
    there = [name for name in ("actions.csv", "kept.csv") if (out / name).exists()]
    if there:
        raise StoreError(f"{out / there[0]} is there already: choose another --out")
    held_out = None if args.without is None else HeldOut(_names(Path(args.without)))
    dataset = folder(args.people)
    pipe = _options.pipeline(args)
    threshold, _ = pipe.calibration.threshold(args.fmr)
    pages = _output.progress(folder_pages(dataset, out), len(dataset), "pictures")
    report = Collector(
        pages,
        pipe,
        threshold=threshold,
        min_pictures=args.min_pictures,
        near_bits=args.near_bits,
        held_out=held_out,
    ).run()
    report.write(out)
    counts = report.counts()
    if args.json:
        kept = {"pictures": len(report.kept()), "people": len(report.people)}
        _output.print_json({"out": str(out), "pictures": len(dataset), "kept": kept, "counts": counts})
        return 0
    table = _output.table(">pictures", "what becomes of them")
    for what, count in counts.items():
        table.add(str(count), what)
    _output.console().print(table)
    _output.say(
        f"kept: {len(report.kept())} of {len(dataset)} pictures, {len(report.people)} of {len(dataset.names)} people; "
        f"see {out / 'actions.csv'} before you delete anything"
    )
    return 0


def _names(path: Path) -> tuple[str, ...]:
    try:
        names = tuple(line.strip() for line in path.read_text("utf-8-sig").splitlines() if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: expected a text file with a name in each line, got none: {error}") from error
    if not names:
        raise InputError(f"{path}: expected a name in each line, got no line")
    return names


def _number(text: str) -> int:
    if not (text.isdecimal() and int(text)):
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, got {text!r}")
    return int(text)

"""`vultus sim controlface`: a balanced evaluation set of simulated people, in a folder."""

from __future__ import annotations

import argparse
from typing import Any

from vultus.cli import _options, _output
from vultus.errors import InputError

MAX_PEOPLE = 20_000


def add(verbs: Any) -> None:
    """Declare the sub-verb."""
    parser = verbs.add_parser(
        "controlface", help="a balanced evaluation set: as many people in every group, gender and age, the same poses"
    )
    parser.add_argument("--out", type=_options.place, required=True, metavar="DIR", help="where to write")
    parser.add_argument(
        "--people",
        type=int,
        default=48,
        metavar="N",
        help="people in all, a multiple of the cells (default: %(default)s)",
    )
    for name, plural, values in (
        ("groups", "groups", "A,B,C,D"),
        ("genders", "genders", "female,male"),
        ("ages", "ages", "young,adult,old"),
        ("poses", "poses", "frontal,left,right"),
    ):
        parser.add_argument(f"--{name}", metavar="LIST", help=f"only these {plural} (default: {values})")
    parser.add_argument("--size", type=int, default=128, metavar="PX", help="side of a picture (default: %(default)s)")
    parser.add_argument(
        "--seed", type=_options.seed, default=0, metavar="S", help="other people (default: %(default)s)"
    )
    _options.add_output(parser)


def run(args: argparse.Namespace) -> int:
    """Write the set; the same command goes on where an earlier one stopped."""
    from vultus.evaluate.balanced_set import build, simulated
    from vultus.types import Basis

    _check(args)
    slots = {name: _listed(getattr(args, name)) for name in ("groups", "genders", "ages", "poses")}
    pipeline = simulated(size=args.size, slots=slots)
    cells = len(pipeline.builder.cells)
    if args.people % cells:
        near = max(cells, round(args.people / cells) * cells)
        raise InputError(
            f"--people: expected a multiple of {cells}, so that every cell gets as many, got {args.people}; "
            f"{near} would do"
        )
    steps = build(args.out, pipeline, args.people // cells, basis=Basis.synthetic(), seed=args.seed)
    begun = next(steps)
    made = [begun, *_output.progress(steps, args.people - begun.people, "people")][-1]
    if args.json:
        document = {
            "folder": str(made.folder),
            "people": made.people,
            "pictures": made.pictures,
            "cells": made.cells,
            "chi2": made.chi2,
            "rejected": dict(made.rejected),
            "resumed": made.resumed,
        }
        _output.print_json(document)
    else:
        _output.say(
            f"{made.people} people x {len(pipeline.builder.poses)} poses, {made.people // cells} in each of {cells} "
            f"cells, simulated: {made.folder}"
        )
        why = ", ".join(f"{reason} {n}" for reason, n in sorted(made.rejected.items(), key=lambda item: -item[1]))
        _output.say(f"thrown away: {why or 'nothing'}")
    return 0


def _listed(text: str | None) -> list[str] | None:
    return None if text is None else [word.strip() for word in text.split(",") if word.strip()]


def _check(args: argparse.Namespace) -> None:
    """Refuse before anything is written.

    Raises:
        InputError: a number out of range, or an empty list.
    """
    for name, low, high in (("people", 1, MAX_PEOPLE), ("size", 64, 1024)):
        if not low <= getattr(args, name) <= high:
            raise InputError(f"--{name}: expected a whole number from {low} to {high}, got {getattr(args, name)}")
    for name in ("groups", "genders", "ages", "poses"):
        if getattr(args, name) is not None and not _listed(getattr(args, name)):
            raise InputError(f"--{name}: expected values with commas between them, got an empty list")

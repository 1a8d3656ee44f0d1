"""`vultus sim`: simulated people, nobody's face and no download: a contact sheet, one row each, or a whole set."""

from __future__ import annotations

import argparse

import numpy as np

from vultus.cli import _controlface, _options, _output
from vultus.errors import InputError
from vultus.io import annotate, images
from vultus.sim import faces

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
MAX_PEOPLE, MAX_PICTURES, MAX_SHEET_SIDE = 200, 24, 8192
_WORDS_SIDE = 96  # px; below this a caption cannot be read


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the sub-verbs."""
    verbs = parser.add_subparsers(dest="what", required=True, metavar="sheet|controlface")
    sheet = verbs.add_parser("sheet", help="one row per person: the same person in other pose, light, age and hair")
    sheet.add_argument(
        "--out", type=_options.place, default="sheet.png", metavar="FILE", help="where to write (default: %(default)s)"
    )
    sheet.add_argument("--people", type=int, default=4, metavar="N", help="rows (default: %(default)s)")
    sheet.add_argument("--pictures", type=int, default=6, metavar="K", help="pictures of each (default: %(default)s)")
    sheet.add_argument("--size", type=int, default=192, metavar="PX", help="side of a picture (default: %(default)s)")
    sheet.add_argument(
        "--seed", type=_options.seed, default=0, metavar="S", help="other people and pictures (default: %(default)s)"
    )
    _options.add_output(sheet)
    _controlface.add(verbs)


def run(args: argparse.Namespace) -> int:
    """Draw the sheet, or the set, and write it."""
    if args.what == "controlface":
        return _controlface.run(args)
    _check(args)
    world, rng = faces.World(sex_typical=1), np.random.default_rng(args.seed)
    pictures, captions, rows = [], [], []
    people = faces.people("test")
    for row in _output.progress(range(args.people), args.people, "people"):
        seed = people[(args.seed + row) % len(people)]
        person = faces.person_of(seed, world)
        for _ in range(args.pictures):
            sample = faces.render(person, faces.sample_factors(rng, world, person), args.size, lod=2)
            yaw, age = round(float(sample.pose_deg[0])), round(sample.factors.age)
            pictures.append(sample.image)
            captions.append(f"{person.name}\n{age} years, yaw {yaw}°")
            rows.append({"seed": seed, "name": person.name, "caption": sample.caption, "yaw_deg": yaw, "age": age})
    words = captions if args.size >= _WORDS_SIDE else ()
    images.write(args.out, annotate.montage(pictures, words, columns=args.pictures, side=args.size), quality=90)
    if args.json:
        _output.print_json({"sheet": str(args.out), "seed": args.seed, "size": args.size, "pictures": rows})
    else:
        _output.say(f"{args.people} people x {args.pictures} pictures, simulated: {args.out}")
    return 0


def _check(args: argparse.Namespace) -> None:
    """Refuse before anything is drawn.

    Raises:
        InputError: a number out of range, or a name whose suffix is no picture's.
    """
    for name, low, high in (("people", 1, MAX_PEOPLE), ("pictures", 1, MAX_PICTURES), ("size", 16, 1024)):
        if not low <= getattr(args, name) <= high:
            raise InputError(f"--{name}: expected a whole number from {low} to {high}, got {getattr(args, name)}")
    side = args.size * max(args.people, args.pictures)
    if side > MAX_SHEET_SIDE:
        raise InputError(
            f"--size: the sheet would be {side} pixels long, more than {MAX_SHEET_SIDE}; "
            "ask for smaller or fewer pictures"
        )
    if not args.out.lower().endswith(SUFFIXES):
        raise InputError(f"--out: expected a name that ends in {', '.join(SUFFIXES)}, got {args.out!r}")

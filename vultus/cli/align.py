"""`vultus align FOLDER --out CROPS`: photos of people as the crops that training wants, one folder per person."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from vultus import catalogue
from vultus.cli import _options, _output
from vultus.contracts import Aligner, Refiner
from vultus.errors import InputError, NoFace, VultusError
from vultus.io import images
from vultus.pipeline import Pipeline
from vultus.pipeline._enroll import people_folders
from vultus.types import CropSpec

SIDES = (32, 512)  # px
WHICH = ("largest", "central")


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("folder", help="one folder of photos per person: FOLDER/NAME/photo.jpg")
    parser.add_argument(
        "--out", type=_options.place, required=True, metavar="CROPS", help="where: CROPS/NAME/photo.png; resumable"
    )
    parser.add_argument("--size", type=int, default=112, metavar="PX", help="side of the crops (default: %(default)s)")
    parser.add_argument(
        "--which",
        choices=WHICH,
        default=WHICH[0],
        help="which face of a photo is the person's: the largest, or the one nearest to the middle (default: largest)",
    )
    _options.add_output(parser)
    _options.add_pipeline(parser)


def run(args: argparse.Namespace) -> int:
    """Cut one crop per photo; what is there already is left alone, and photos without a face are named."""
    if not SIDES[0] <= args.size <= SIDES[1]:
        raise InputError(f"--size: expected a side from {SIDES[0]} to {SIDES[1]} pixels, got {args.size}")
    people = people_folders(args.folder)
    out = _output.writable(args.out)
    if Path(args.folder).resolve() in (out.resolve(), *out.resolve().parents):
        raise InputError(f"--out: expected a folder outside {args.folder}, got {args.out}: crops are no photos of it")
    photos = [(name, path) for name, paths in people.items() for path in paths]
    places = _places(out, photos)
    todo = [(path, place) for (_, path), place in zip(photos, places, strict=True) if not place.exists()]
    results, bad = _cut(args, todo)
    if args.json:
        document = {
            "out": args.out,
            "people": len(people),
            "crops": len(results),
            "known": len(photos) - len(todo),
            "failed": _output.failures(bad),
        }
        _output.print_json(document)
    else:
        known = f", {len(photos) - len(todo):,} were there already" if len(todo) < len(photos) else ""
        failed = f", {len(bad):,} photos gave none" if bad else ""
        _output.say(f"{len(results):,} crops of {len(people):,} people{known}{failed}: {args.out}")
    return _output.complain(bad)


def _places(out: Path, photos: list[tuple[str, Path]]) -> list[Path]:
    """CROPS/NAME/photo.png; of several photos of a person that are called alike the later ones get a number."""
    found: dict[Path, None] = {}  # in order
    for name, path in photos:
        place, more = out / name / f"{path.stem}.png", 1
        while place in found:
            more += 1
            place = out / name / f"{path.stem}-{more}.png"
        found[place] = None
    return list(found)


def _cut(args: argparse.Namespace, todo: list[tuple[Path, Path]]) -> tuple[list[Path], list[tuple[str, VultusError]]]:
    pipe = _options.pipeline(args)
    aligner: Aligner = catalogue.load(pipe.parts.aligner)
    refiner: Refiner | None = catalogue.load(pipe.parts.refiner) if pipe.parts.refiner else None
    spec = CropSpec("arcface112", (args.size, args.size))

    def each() -> Iterator[tuple[Path, Path | VultusError]]:
        for path, place in todo:
            try:
                yield path, _one(pipe, path, place, (aligner, refiner, spec, args.which))
            except (InputError, NoFace) as error:
                yield path, error

    good, bad = [], []
    for path, result in _output.progress(each(), len(todo), "align"):
        if isinstance(result, VultusError):
            bad.append((str(path), result))
        else:
            good.append(result)
    return good, bad


def _one(pipe: Pipeline, path: Path, place: Path, how: tuple[Aligner, Refiner | None, CropSpec, str]) -> Path:
    aligner, refiner, spec, which = how
    found = pipe.detect(path)
    if not len(found):
        raise NoFace(f"{path}: expected a face, found none; look at it with `vultus detect`")
    if found.points is None:
        raise InputError(
            "this detector gives boxes without points, and alignment needs five points; "
            "use centerface, yunet, scrfd or retinaface"
        )
    pixels = images.read(path, truncated="accept").pixels
    left, top, right, bottom = found.boxes.T
    if which == "largest":
        face = int(np.argmax((right - left) * (bottom - top)))
    else:
        face = int(np.argmin((left + right - pixels.shape[1]) ** 2 + (top + bottom - pixels.shape[0]) ** 2))
    points = found.points[face : face + 1]
    points = points if refiner is None else refiner.refine(pixels, points)
    crop = aligner.align(pixels, points, spec)[0][0]
    _output.make_folder(place.parent)
    images.write(place, crop)
    return place

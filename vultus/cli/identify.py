"""`vultus identify PHOTO...`: who is in these photos?"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path

from vultus.cli import _draw, _options, _output
from vultus.errors import InputError, VultusError
from vultus.gallery import Gallery, open_gallery
from vultus.pipeline import Encoded, Pipeline
from vultus.types import Decision

Result = tuple[Encoded, list[Decision]]


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("photos", nargs="+", metavar="PHOTO", help="photos, or folders of photos")
    parser.add_argument("-k", type=int, default=3, help="candidates listed with --json (default: %(default)s)")
    _options.add_gallery(parser)
    _options.add_fmr(parser)
    parser.add_argument(
        "--fpir",
        type=_options.rate,
        metavar="RATE",
        help="instead of --fmr: share of searches with a stranger that may name somebody, whatever the gallery's size",
    )
    _options.add_output(parser, draw=True)
    _options.add_pipeline(parser)


def run(args: argparse.Namespace) -> int:
    """Name every face of every photo, or refuse, or abstain."""
    if args.k < 1:
        raise InputError(f"-k: expected at least 1 candidate, got {args.k}")
    pipe = _options.pipeline(args)
    paths = _output.photos(args.photos)
    places = _draw.targets(paths, args.draw)
    drawn: list[Path] = []
    with _opened(args.gallery) as gallery:
        stream = _output.progress(pipe.stream(paths), len(paths), "identify")
        if args.fpir is not None:
            args.fmr = gallery.fmr_for_fpir(args.fpir)
        results, bad = _output.kept(zip(paths, _decided(pipe, stream, gallery, args), strict=True))
        for encoded, decisions in results if args.draw else ():
            drawn.append(_draw.identified(encoded, decisions, places[str(encoded.source)]))
        if args.json:
            document = _document(args, pipe, gallery, results)
            _output.print_json({**document, "drawn": [str(d) for d in drawn], "failed": _output.failures(bad)})
        else:
            _tell(args, pipe, gallery, results)
    return _output.complain(bad)


def _opened(name: str) -> Gallery:
    """A gallery that exists: looking for somebody must not make an empty one."""
    gallery = open_gallery(name)
    if not gallery.store.exists():
        raise InputError(f"--gallery: expected a gallery, got nothing at {name}; make one with `vultus enroll FOLDER`")
    if not len(gallery):
        raise InputError(
            f"--gallery: expected a gallery of people, but {name} holds nobody; run `vultus enroll FOLDER`"
        )
    return gallery


def _decided(
    pipe: Pipeline, stream: Iterable[Encoded | VultusError], gallery: Gallery, args: argparse.Namespace
) -> Iterator[Result | VultusError]:
    pipe.check(gallery, args.fmr)  # what cannot be decided is said before the photos are read
    for encoded in stream:
        if isinstance(encoded, VultusError):
            yield encoded
        else:
            yield encoded, pipe.identify(encoded, gallery, fmr=args.fmr, fpir=args.fpir)


def _tell(args: argparse.Namespace, pipe: Pipeline, gallery: Gallery, results: list[Result]) -> None:
    table = _output.table("photo", ">face", "=decision", "name", ">similarity", "closest")
    asides: list[str] = []
    for encoded, decisions in results:
        photo, closest = _output.where(encoded.source), pipe.search(encoded, gallery, k=1)
        for i, (d, found) in enumerate(zip(decisions, closest, strict=True)):
            name = d.match.name if d.match else "stranger" if d.outcome == "reject" else ""
            like = [cell for match in found for cell in (f"{match.score:.3f}", match.name)]
            table.add(photo, str(i + 1), _output.verdict(d), name, *like)
            if d.outcome == "abstain":
                asides.append(f"{encoded.source}, face {i + 1}: {d.reason}")
        if not decisions:
            table.add(photo, "none")
    _output.console().print(table)
    for aside in asides:
        _output.say(aside, "yellow")
    for d in [d for _, decisions in results for d in decisions][:1]:
        n = len(gallery)
        rate = args.fmr if d.fmr.value is None else d.fmr.value
        chance, often = f"{gallery.expected_fpir(rate):.2%}", _output.one_in(d.fmr)
        _output.say(
            f"threshold {d.threshold:.3f}: a stranger is taken for a given person {often} times, and for one of the "
            f"{n} enrolled in about {chance} of searches"
        )
        _output.say(f"measured on {d.calibration}")
    if args.draw:
        _output.say(f"annotated photos: {args.draw}")


def _document(
    args: argparse.Namespace,
    pipe: Pipeline,
    gallery: Gallery,
    results: list[Result],
) -> dict[str, object]:
    photos = []
    for encoded, decisions in results:
        candidates = pipe.search(encoded, gallery, k=args.k)
        faces = [
            {
                **face.to_dict(),
                "quality": float(quality),
                "decision": d.to_dict(),
                "candidates": [m.to_dict() for m in c],
            }
            for face, quality, d, c in zip(encoded.faces(), encoded.quality, decisions, candidates, strict=True)
        ]
        photos.append({"source": encoded.source, "sha256": encoded.sha256, "faces": faces})
    return {
        "gallery": args.gallery,
        "people": len(gallery),
        "space": pipe.space,
        "fmr": args.fmr,
        "fpir": args.fpir,
        "expected_fpir": gallery.expected_fpir(args.fmr),
        "photos": photos,
    }

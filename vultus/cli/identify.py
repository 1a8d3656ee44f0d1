"""`vultus identify PHOTO...`: who is in these photos?"""

from __future__ import annotations

import argparse
from pathlib import Path

from vultus.cli import _draw, _options, _output
from vultus.errors import InputError, VultusError
from vultus.gallery import Gallery, open_gallery
from vultus.pipeline import Encoded, Pipeline
from vultus.types import Decision


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("photos", nargs="+", metavar="PHOTO", help="photos, or folders of photos")
    parser.add_argument("-k", type=int, default=3, help="candidates listed with --json (default: %(default)s)")
    _options.add_gallery(parser)
    _options.add_fmr(parser)
    _options.add_output(parser, draw=True)
    _options.add_pipeline(parser)


def run(args: argparse.Namespace) -> int:
    """Name every face of every photo, or refuse, or abstain."""
    if "://" not in args.gallery and not Path(args.gallery).is_file():
        raise InputError(
            f"--gallery: expected a gallery, got nothing at {args.gallery}; make one with `vultus enroll FOLDER`"
        )
    if args.k < 1:
        raise InputError(f"-k: expected at least 1 candidate, got {args.k}")
    paths = _output.photos(args.photos)
    pipe = _options.pipeline(args)
    results: list[tuple[Encoded, list[Decision]]] = []
    drawn: list[Path] = []
    places = _draw.targets(paths, args.draw) if args.draw else {}
    with open_gallery(args.gallery) as gallery:
        for encoded in _output.progress(pipe.stream(paths), len(paths), "identify"):
            if isinstance(encoded, VultusError):
                raise encoded
            decisions = pipe.identify(encoded, gallery, fmr=args.fmr)
            results.append((encoded, decisions))
            if args.draw:
                drawn.append(_draw.identified(encoded, decisions, places[str(encoded.source)]))
        if args.json:
            _output.print_json(_document(args, pipe, gallery, results, drawn))
            return 0
        _tell(args, len(gallery), results)
    return 0


def _tell(args: argparse.Namespace, people: int, results: list[tuple[Encoded, list[Decision]]]) -> None:
    out = _output.console()
    table = _output.table("photo", ">face", "decision", "name", ">similarity", ">threshold", "why")
    for encoded, decisions in results:
        for i, d in enumerate(decisions):
            score = "" if d.score is None else f"{d.score:.3f}"
            name = d.match.name if d.match else "stranger" if d.outcome == "reject" else ""
            table.add_row(
                str(encoded.source), str(i + 1), _output.verdict(d), name, score, f"{d.threshold:.3f}", d.reason
            )
        if not decisions:
            table.add_row(str(encoded.source), "none", "", "", "", "", "no face found")
    out.print(table)
    for d in [d for _, decisions in results for d in decisions][:1]:
        out.print(
            f"at this threshold a stranger is taken for a given person {_output.one_in(d.fmr)} times; "
            f"{people} people are enrolled ({d.calibration})"
        )
    if args.draw:
        out.print(f"annotated photos: {args.draw}")


def _document(
    args: argparse.Namespace,
    pipe: Pipeline,
    gallery: Gallery,
    results: list[tuple[Encoded, list[Decision]]],
    drawn: list[Path],
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
        "expected_fpir": gallery.expected_fpir(args.fmr),
        "photos": photos,
        "drawn": [str(d) for d in drawn],
    }

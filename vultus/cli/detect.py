"""`vultus detect PHOTO...`: boxes, scores and points."""

from __future__ import annotations

import argparse

from vultus.cli import _draw, _options, _output


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("photos", nargs="+", metavar="PHOTO", help="photos, or folders of photos")
    _options.add_output(parser, draw=True)
    _options.add_pipeline(parser)


def run(args: argparse.Namespace) -> int:
    """Find faces in every photo; a photo without faces is an answer, not an error."""
    paths = _output.photos(args.photos)
    pipe = _options.pipeline(args)
    results = [(path, pipe.detect(path)) for path in _output.progress(paths, len(paths), "detect")]
    places = _draw.targets(paths, args.draw) if args.draw else {}
    drawn = [_draw.detections(path, found, places[str(path)]) for path, found in results] if args.draw else []
    if args.json:
        document = {
            "detector": pipe.parts.detector,
            "photos": [{"source": str(p), "faces": [f.to_dict() for f in found.faces()]} for p, found in results],
            "drawn": [str(d) for d in drawn],
        }
        _output.print_json(document)
        return 0
    table = _output.table("photo", ">face", ">score", ">left", ">top", ">right", ">bottom")
    for path, found in results:
        for i, face in enumerate(found.faces()):
            table.add_row(str(path), str(i + 1), f"{face.score:.2f}", *(f"{v:.0f}" for v in face.box_xyxy_px))
        if not len(found):
            table.add_row(str(path), "none", *[""] * 5)
    _output.console().print(table)
    if drawn:
        _output.console().print(f"annotated photos: {args.draw}")
    return 0

"""`vultus detect PHOTO...`: boxes, scores and points."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from vultus.cli import _draw, _options, _output
from vultus.errors import InputError, StoreError, VultusError
from vultus.pipeline import Pipeline
from vultus.types import Detections


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("photos", nargs="+", metavar="PHOTO", help="photos, or folders of photos")
    _options.add_output(parser, draw=True)
    _options.add_pipeline(parser)


def run(args: argparse.Namespace) -> int:
    """Find faces in every photo; a photo without faces is an answer, not an error."""
    pipe = _options.pipeline(args)
    paths = _output.photos(args.photos)
    places = _draw.targets(paths, args.draw)
    found = ((path, _found(pipe, path)) for path in _output.progress(paths, len(paths), "detect"))
    results, bad = _output.kept(found)
    drawn = [_draw.detections(path, faces, places[str(path)]) for path, faces in results] if args.draw else []
    if args.json:
        document: dict[str, Any] = {
            "detector": pipe.parts.detector,
            "photos": [{"source": str(p), "faces": [f.to_dict() for f in faces.faces()]} for p, faces in results],
            "drawn": [str(d) for d in drawn],
            "failed": _output.failures(bad),
        }
        _output.print_json(document)
        return _output.complain(bad)
    table = _output.table("photo", ">face", ">score", ">left", ">top", ">right", ">bottom")
    for path, faces in results:
        for i, face in enumerate(faces.faces()):
            table.add(_output.where(path), str(i + 1), f"{face.score:.2f}", *(f"{v:.0f}" for v in face.box_xyxy_px))
        if not len(faces):
            table.add(_output.where(path), "none")
    _output.console().print(table)
    if drawn:
        _output.say(f"annotated photos: {args.draw}")
    return _output.complain(bad)


def _found(pipe: Pipeline, path: Path) -> tuple[Path, Detections] | VultusError:
    try:
        return path, pipe.detect(path)
    except (InputError, StoreError) as error:
        return error

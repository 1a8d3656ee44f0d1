"""`vultus embed PHOTO... --out FILE`: one unit vector per face."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from vultus.cli import _options, _output
from vultus.errors import InputError
from vultus.io.files import write_atomic
from vultus.pipeline import Encoded


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("photos", nargs="+", metavar="PHOTO", help="photos, or folders of photos")
    parser.add_argument(
        "--out",
        type=_options.place,
        metavar="FILE.npz",
        help="write vectors, boxes, photo names and the space as NumPy arrays",
    )
    _options.add_output(parser)
    _options.add_pipeline(parser)


def run(args: argparse.Namespace) -> int:
    """Embed every face of every photo."""
    if args.out is not None:
        if Path(args.out).suffix != ".npz":
            raise InputError(f"--out: expected a file name ending in .npz, got {args.out!r}")
        _output.make_folder(_output.writable(Path(args.out).parent))
    pipe = _options.pipeline(args)
    paths = _output.photos(args.photos)
    stream = _output.progress(pipe.stream(paths), len(paths), "embed")
    results, bad = _output.kept(zip(paths, stream, strict=True))
    if args.out:
        _write(Path(args.out), results)
    if args.json:
        document = {
            "space": pipe.space,
            "photos": [r.to_dict() for r in results],
            "out": args.out,
            "failed": _output.failures(bad),
        }
        _output.print_json(document)
        return _output.complain(bad)
    table = _output.table("photo", ">face", ">quality", "vector")
    for result in results:
        for i, (quality, vector) in enumerate(zip(result.quality, result.embedded.vec, strict=True)):
            start = " ".join(f"{v:+.3f}" for v in vector[:5]) + " ..."
            table.add(_output.where(result.source), str(i + 1), f"{quality:.2f}", start)
        if not len(result):
            table.add(_output.where(result.source), "none")
    _output.console().print(table)
    _output.say(f"space {pipe.space}" + (f"; written to {args.out}" if args.out else ""))
    return _output.complain(bad)


def _write(path: Path, results: list[Encoded]) -> None:
    counts = [len(r) for r in results]
    arrays = {
        "vectors": np.concatenate([r.embedded.vec for r in results]),
        "boxes_xyxy_px": np.concatenate([r.detections.boxes for r in results]),
        "quality": np.concatenate([r.quality for r in results]),
        "photo": np.repeat(np.arange(len(results)), counts),
        "photos": np.array([str(r.source) for r in results]),
        "space": np.array(results[0].embedded.space),
    }
    write_atomic(path, lambda stream: np.savez(stream, **arrays))  # type: ignore[arg-type]

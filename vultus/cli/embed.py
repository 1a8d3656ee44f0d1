"""`vultus embed PHOTO... --out FILE`: one unit vector per face."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from vultus.cli import _options, _output
from vultus.errors import InputError, VultusError
from vultus.io.files import write_atomic
from vultus.pipeline import Encoded


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("photos", nargs="+", metavar="PHOTO", help="photos, or folders of photos")
    parser.add_argument(
        "--out", metavar="FILE.npz", help="write vectors, boxes, photo names and the space as NumPy arrays"
    )
    _options.add_output(parser)
    _options.add_pipeline(parser)


def run(args: argparse.Namespace) -> int:
    """Embed every face of every photo."""
    paths = _output.photos(args.photos)
    if args.out and Path(args.out).suffix != ".npz":
        raise InputError(f"--out: expected a file name ending in .npz, got {args.out!r}")
    pipe = _options.pipeline(args)
    results: list[Encoded] = []
    for result in _output.progress(pipe.stream(paths), len(paths), "embed"):
        if isinstance(result, VultusError):
            raise result
        results.append(result)
    if args.out:
        _write(Path(args.out), results)
    if args.json:
        _output.print_json({"space": pipe.space, "photos": [r.to_dict() for r in results], "out": args.out})
        return 0
    table = _output.table("photo", ">face", ">quality", "vector")
    for result in results:
        for i, (quality, vector) in enumerate(zip(result.quality, result.embedded.vec, strict=True)):
            table.add_row(
                str(result.source), str(i + 1), f"{quality:.2f}", " ".join(f"{v:+.3f}" for v in vector[:6]) + " ..."
            )
        if not len(result):
            table.add_row(str(result.source), "none", "", "")
    _output.console().print(table)
    _output.console().print(f"space {pipe.space}" + (f"; written to {args.out}" if args.out else ""))
    return 0


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

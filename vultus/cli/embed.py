"""`vultus embed PHOTO... [--out FILE.npz | --out FOLDER | --gallery URL]`: one unit vector per face."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from vultus.cli import _options, _output
from vultus.cli._exits import EXIT_CODES
from vultus.errors import InputError
from vultus.gallery import open_gallery
from vultus.io.datasets.webdataset import shards
from vultus.io.files import write_atomic
from vultus.pipeline import Encoded, Pipeline
from vultus.pipeline._work import Failure, Spec
from vultus.pipeline.spread import CHUNK, FolderSink, GallerySink, Step, plan, spread

NAMED = 100  # failures that are named; all are counted


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "photos",
        nargs="+",
        metavar="PHOTO",
        help="photos, folders of photos, or WebDataset shards: a-{000000..000123}.tar",
    )
    parser.add_argument(
        "--out",
        type=_options.place,
        metavar="PLACE",
        help="FILE.npz: vectors, boxes, photo names and the space as NumPy arrays; FOLDER: many such files, resumable",
    )
    parser.add_argument(
        "--gallery", type=_options.place, metavar="URL", help="keep the faces, unnamed, in this gallery; resumable"
    )
    group = parser.add_argument_group("large collections (with --gallery or --out FOLDER)")
    group.add_argument(
        "--engine", choices=["local", "ray"], default="local", help="where to work (default: %(default)s)"
    )
    group.add_argument(
        "--ray-address",
        type=_options.place,
        metavar="HOST:PORT",
        help="of a Ray cluster (default: RAY_ADDRESS, or a new one)",
    )
    group.add_argument(
        "--chunk", type=int, default=CHUNK, metavar="N", help="pictures that are kept together (default: %(default)s)"
    )
    _options.add_output(parser)
    _options.add_pipeline(parser)


def run(args: argparse.Namespace) -> int:
    """Embed every face of every photo."""
    place = Path(args.out or "")
    many = args.gallery is not None or (args.out is not None and (place.is_dir() or not place.suffix))
    tars = [word for word in args.photos if word.lower().endswith(".tar")]
    if many:
        return _run_many(args, tars)
    if tars or args.engine != "local" or args.ray_address:
        what = tars[0] if tars else "--engine ray"
        raise InputError(f"{what}: expected --gallery URL or --out FOLDER (a name without a suffix) with it")
    if args.out is not None:
        if place.suffix != ".npz":
            raise InputError(f"--out: expected a file name ending in .npz, or a folder, got {args.out!r}")
        _output.make_folder(_output.writable(place.parent))
    return _run_few(args)


def _run_few(args: argparse.Namespace) -> int:
    """Everything in memory, and shown."""
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


def _run_many(args: argparse.Namespace, tars: list[str]) -> int:
    """Chunk by chunk, in bounded memory; what is done stays done when interrupted."""
    if args.gallery is not None and args.out is not None:
        raise InputError(f"--out: expected --gallery or --out FOLDER, got both ({args.gallery} and {args.out})")
    pipe = _options.pipeline(args)
    photos = [word for word in args.photos if word not in tars]
    chunks = plan(_output.photos(photos), [path for word in tars for path in shards(word)], args.chunk)
    total = sum(map(len, chunks))
    options = {"engine": args.engine, "address": args.ray_address}
    if args.out is not None:
        sink = FolderSink(_output.writable(args.out), pipe.space, Spec.of(pipe).words())
        return _tell(args, pipe, _counted(spread(pipe, chunks, sink, **options), total))
    with open_gallery(args.gallery) as gallery:
        pipe.check(gallery)
        return _tell(args, pipe, _counted(spread(pipe, chunks, GallerySink(gallery, pipe.space), **options), total))


class _Counts:
    """What came of it, and the first failures."""

    def __init__(self) -> None:
        self.pictures = self.known = self.faces = self.failed = 0
        self.named: list[Failure] = []

    def add(self, step: Step) -> None:
        self.pictures += step.pictures
        self.known += step.known
        self.faces += step.faces
        self.failed += len(step.failed)
        self.named += step.failed[: max(0, NAMED - len(self.named))]


def _counted(steps: Iterable[Step], total: int) -> _Counts:
    counts = _Counts()

    def pictures() -> Iterator[None]:
        for step in steps:
            counts.add(step)
            yield from [None] * (step.pictures + step.known + len(step.failed))

    for _ in _output.progress(pictures(), total, "embed"):
        pass
    return counts


def _tell(args: argparse.Namespace, pipe: Pipeline, counts: _Counts) -> int:
    code = EXIT_CODES.get(counts.named[0][1], EXIT_CODES["InputError"]) if counts.named else 0
    if args.json:
        document = {
            "space": pipe.space,
            "engine": args.engine,
            "pictures": counts.pictures,
            "known": counts.known,
            "faces": counts.faces,
            "n_failed": counts.failed,
            "failed": [{"source": a, "code": b, "message": c} for a, b, c in counts.named],
            "out": args.out,
            "gallery": args.gallery,
        }
        _output.print_json(document)
    for _, name, message in counts.named:
        _output.warn(f"{name}: {message}")
    if counts.failed > len(counts.named):
        _output.warn(f"and {counts.failed - len(counts.named)} more pictures of which nothing came")
    if not args.json:
        known = f", {counts.known:,} were there already" if counts.known else ""
        failed = f", {counts.failed:,} failed" if counts.failed else ""
        _output.say(f"{counts.faces:,} faces on {counts.pictures:,} pictures{known}{failed}")
        _output.say(f"space {pipe.space}; kept in {args.gallery or args.out}")
    return code


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

"""`vultus evaluate ijb|tinyface|open-set`: templates and galleries, from the user's own copies or folders."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vultus.cli import _options, _output
from vultus.types import Report

if TYPE_CHECKING:
    from vultus.pipeline import Pipeline

VERBS = ("ijb", "tinyface", "open-set")


def add(verbs: Any) -> list[argparse.ArgumentParser]:
    """Declare the sub-verbs."""
    ijb = verbs.add_parser("ijb", help="IJB-B or IJB-C: templates 1:1 and 1:N, faces cut by the points of the set")
    ijb.add_argument("where", type=_options.place, help="folder of meta and loose_crop, such as IJBC")
    ijb.add_argument("--alike", action="store_true", help="pictures weigh alike, not by their detection score")
    tiny = verbs.add_parser("tinyface", help="TinyFace: ranks among distractors")
    tiny.add_argument("where", type=_options.place, help="folder that holds Testing_Set")
    tiny.add_argument(
        "--images", type=_options.place, metavar="FOLDER", help="aligned copies: Probe, Gallery_Match, ..."
    )
    tiny.add_argument(
        "--faces",
        choices=("whole", "detect"),
        default="whole",
        help="whole: each picture is the crop; detect: look for a face in it (default: %(default)s)",
    )
    people = verbs.add_parser("open-set", help="a gallery of some people, probes of them and of strangers")
    people.add_argument("where", type=_options.place, help="folder with one folder of photos per person")
    people.add_argument(
        "--known", type=_options.rate, default=0.5, metavar="SHARE", help="of the people (default: 0.5)"
    )
    people.add_argument("--enrolled", type=_options.count, default=1, metavar="N", help="photos of each (default: 1)")
    people.add_argument(
        "--albums", action="store_true", help="folders in a person's folder are videos or albums: keep them apart"
    )
    people.add_argument(
        "--trained-on",
        type=_options.place,
        metavar="FILE",
        help="names the model was trained on, a line each: left out",
    )
    for verb in (ijb, tiny, people):
        verb.add_argument("--seed", type=_options.seed, metavar="N", default=0, help="of draws (default: %(default)s)")
    return [ijb, tiny, people]


def measured(
    args: argparse.Namespace, pipe: Pipeline, embedder: Callable[..., Any]
) -> tuple[str, Report, dict[str, bytes]]:
    """Run the protocol.

    Args:
        args: as parsed.
        pipe: what finds, aligns and embeds.
        embedder: makes of a pipeline what a protocol calls.
    """
    run = {"ijb": _ijb, "tinyface": _tinyface, "open-set": _open_set}[args.what]
    return args.what, run(args, pipe, embedder), {}


def _ijb(args: argparse.Namespace, pipe: Pipeline, embedder: Callable[..., Any]) -> Report:
    from vultus.evaluate.protocols.ijb import embed_at, ijb
    from vultus.io.datasets.ijb import ijb as read

    return ijb(read(args.where), embed_at(*_parts(pipe), watch=_watch), weighted=not args.alike, rng=args.seed)


def _tinyface(args: argparse.Namespace, pipe: Pipeline, embedder: Callable[..., Any]) -> Report:
    from vultus.evaluate.protocols.tinyface import embed_whole, tinyface
    from vultus.io.datasets.tinyface import tinyface as read

    data = read(args.where, images=args.images)
    embed = embedder(pipe, alone=True)
    words = "found by the detector; a picture in which it found none counts as missed"
    if args.faces == "whole":
        embed, words = (
            embed_whole(*_parts(pipe), watch=_watch),
            "none were looked for, each picture is taken for the crop",
        )
    return tinyface(data, embed, rng=args.seed, faces=words)


def _open_set(args: argparse.Namespace, pipe: Pipeline, embedder: Callable[..., Any]) -> Report:
    from vultus.evaluate.protocols.open_set import draw_split, open_set
    from vultus.io.datasets import folder
    from vultus.io.datasets.tables import text_of

    faces = folder(args.where)
    albums = np.unique([str(path.parent) for path in faces.paths], return_inverse=True)[1] if args.albums else None
    lines = [] if args.trained_on is None else text_of(Path(args.trained_on)).splitlines()
    trained_on = {line.strip() for line in lines} - {""}
    nobody = sorted(trained_on - set(faces.names))
    if nobody:
        _output.warn(
            f"{args.trained_on}: {len(nobody):,} of {len(trained_on):,} names are nobody's here, such as {nobody[0]}: "
            "names are those of the folders, letter by letter"
        )
    split = draw_split(
        faces,
        rng=np.random.default_rng(args.seed),
        known=args.known,
        enrolled=args.enrolled,
        apart=albums,
        trained_on=trained_on,
    )
    return open_set(faces, split, embedder(pipe, alone=True), rng=args.seed)


def _parts(pipe: Pipeline) -> tuple[Any, Any]:
    """Embedder and aligner of a pipeline."""
    from vultus import catalogue
    from vultus.pipeline._encode import load_embedder

    return load_embedder(pipe.parts.embedder, pipe.cores), catalogue.load(pipe.parts.aligner)


def _watch(paths: Sequence[Path]) -> Iterable[Path]:
    return _output.progress(paths, len(paths), "embed")

"""Options that several verbs share, and the pipeline they describe."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vultus.pipeline import Pipeline


def rate(text: str) -> float:
    """A false match rate: 0.001, 1e-3 or 1/1000."""
    top, _, bottom = text.partition("/")
    try:
        value = float(top) / float(bottom) if "/" in text else float(text)
    except (ValueError, ZeroDivisionError):
        value = -1.0
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"expected a rate between 0 and 1 such as 0.001, 1e-3 or 1/1000, got {text!r}")
    return value


def seed(text: str) -> int:
    """A whole number from 0."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a whole number from 0, got {text!r}")
    return int(text)


def count(text: str) -> int:
    """A whole number from 1."""
    if not (text.isascii() and text.isdecimal()) or not 0 < int(text) < 1_000_000:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 below 1,000,000, got {text!r}")
    return int(text)


def place(text: str) -> str:
    """The name of a file or folder."""
    if not text:
        raise argparse.ArgumentTypeError("expected the name of a file or folder, got an empty one")
    return text


def add_output(parser: argparse.ArgumentParser, *, draw: bool = False) -> None:
    """`--json` and, where pictures are made, `--draw`."""
    parser.add_argument("--json", action="store_true", help="print exactly one JSON document on stdout")
    if draw:
        parser.add_argument(
            "--draw", type=place, metavar="FOLDER", help="write annotated copies of the photos into FOLDER"
        )


def add_pipeline(parser: argparse.ArgumentParser) -> None:
    """Which models, how many threads, which licenses."""
    group = parser.add_argument_group("models")
    group.add_argument(
        "--model", default="default", metavar="NAME", help="default, accurate or fused (default: %(default)s)"
    )
    group.add_argument("--detector", metavar="ROW", help="catalogue row of another detector")
    group.add_argument(
        "--embedder",
        metavar="ROW",
        help="catalogue row of another embedder, a RUN of `vultus train`, or an ArcFace-style .onnx file",
    )
    group.add_argument("--refiner", metavar="ROW", help="catalogue row of a point refiner, or none")
    group.add_argument(
        "--min-score", type=float, metavar="SCORE", help="detection threshold (default: the one on the model's card)"
    )
    group.add_argument(
        "--tile", type=int, metavar="PX", help="for crowds: also search windows of this side at full size"
    )
    group.add_argument("--upright", action="store_true", help="also search the photo turned by 90, 180 and 270 degrees")
    group.add_argument("--threads", type=int, metavar="N", help="cores to use (default: all)")
    group.add_argument(
        "--license", choices=["any", "commercial"], help="commercial: refuse weights that do not allow it"
    )


def add_fmr(parser: argparse.ArgumentParser) -> None:
    """`--fmr`."""
    parser.add_argument(
        "--fmr", type=rate, default=1e-3, metavar="RATE", help="false match rate to decide at (default: %(default)s)"
    )


def add_gallery(parser: argparse.ArgumentParser) -> None:
    """`--gallery`."""
    parser.add_argument(
        "--gallery",
        type=place,
        default="people.db",
        metavar="FILE",
        help="the gallery, one file (default: %(default)s)",
    )


def pipeline(args: argparse.Namespace) -> Pipeline:
    """The pipeline that the options describe; nothing is loaded yet."""
    from vultus.pipeline import Pipeline

    if args.license:
        os.environ["VULTUS_LICENSE"] = args.license
    return Pipeline(
        args.model,
        detector=args.detector,
        embedder=args.embedder,
        refiner=args.refiner,
        threads=args.threads,
        min_score=args.min_score,
        tile=args.tile,
        upright=args.upright,
    )

"""Options that several verbs share, and the pipeline they describe."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

from vultus.errors import InputError

if TYPE_CHECKING:
    from vultus.pipeline import Pipeline


def rate(text: str) -> float:
    """A false match rate: 0.001, 1e-3 or 1/1000."""
    try:
        value = float(text.split("/")[0]) / float(text.split("/")[1]) if "/" in text else float(text)
    except (ValueError, ZeroDivisionError, IndexError):
        value = -1.0
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"expected a rate between 0 and 1 such as 0.001, 1e-3 or 1/1000, got {text!r}")
    return value


def add_output(parser: argparse.ArgumentParser, *, draw: bool = False) -> None:
    """`--json` and, where pictures are made, `--draw`."""
    parser.add_argument("--json", action="store_true", help="print exactly one JSON document on stdout")
    if draw:
        parser.add_argument("--draw", metavar="FOLDER", help="write annotated copies of the photos into FOLDER")


def add_pipeline(parser: argparse.ArgumentParser) -> None:
    """Which models, how many threads, which licenses."""
    group = parser.add_argument_group("models")
    group.add_argument("--model", default="default", help="default, accurate or fused (default: %(default)s)")
    group.add_argument("--detector", help="catalogue row of another detector")
    group.add_argument("--embedder", help="catalogue row of another embedder, or an ArcFace-style .onnx file")
    group.add_argument("--refiner", help="catalogue row of a point refiner, or none")
    group.add_argument("--min-score", type=float, help="detection threshold (default: the one on the model's card)")
    group.add_argument("--threads", type=int, help="cores to use (default: all)")
    group.add_argument(
        "--license", choices=["any", "commercial"], help="commercial: refuse weights that do not allow it"
    )


def add_fmr(parser: argparse.ArgumentParser) -> None:
    """`--fmr`."""
    parser.add_argument("--fmr", type=rate, default=1e-3, help="false match rate to decide at (default: %(default)s)")


def add_gallery(parser: argparse.ArgumentParser) -> None:
    """`--gallery`."""
    parser.add_argument(
        "--gallery", default="people.db", metavar="FILE", help="the gallery, one file (default: %(default)s)"
    )


def pipeline(args: argparse.Namespace) -> Pipeline:
    """The pipeline that the options describe; nothing is loaded yet."""
    from vultus.pipeline import Pipeline

    if args.license:
        os.environ["VULTUS_LICENSE"] = args.license
    if args.threads is not None and args.threads < 1:
        raise InputError(f"--threads: expected a whole number from 1, got {args.threads}")
    return Pipeline(
        args.model,
        detector=args.detector,
        embedder=args.embedder,
        refiner=args.refiner,
        threads=args.threads,
        min_score=args.min_score,
    )

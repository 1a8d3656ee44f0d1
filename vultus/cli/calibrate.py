"""`vultus calibrate FOLDER`: what scores mean on your own photos."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vultus.cli import _options, _output
from vultus.errors import InputError, VultusError
from vultus.gallery import calibrate
from vultus.io import datasets
from vultus.ops import stats
from vultus.pipeline import Encoded, Pipeline
from vultus.types import F32
from vultus.zoo import store


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("folder", help="one folder of photos per person; more people support smaller rates")
    parser.add_argument(
        "--seed", type=_options.seed, metavar="N", default=0, help="of the bootstrap (default: %(default)s)"
    )
    _options.add_fmr(parser)
    _options.add_output(parser)
    _options.add_pipeline(parser)


def run(args: argparse.Namespace) -> int:
    """Compare everybody with everybody, fit the threshold, and keep it where verify and identify look."""
    pipe = _options.pipeline(args)
    if not args.folder:
        raise InputError("expected the name of a folder with one folder of photos per person, got an empty one")
    data = datasets.folder(args.folder)
    _refuse_too_few(data, args.fmr)
    _output.writable(store.home() / "calibration")
    vectors, subjects, left_out = _vectors(pipe, data)
    name = Path(args.folder).resolve().name
    origin = calibrate.Origin(pipe.space, pipe.alignment, name, "user", note=f"{len(left_out)} photos left out")
    table = calibrate.fit_all_pairs(vectors, subjects, origin, rng=np.random.default_rng(args.seed), targets=[args.fmr])
    path = calibrate.save(table)
    threshold, rate = table.threshold(args.fmr)
    if args.json:
        document = {
            "space": pipe.space,
            "file": str(path),
            "threshold": threshold,
            "fmr": rate.to_dict(),
            "smallest_fmr": table.smallest_fmr,
            "calibration": table.to_dict(),
            "left_out": [{"photo": photo, "reason": reason} for photo, reason in left_out],
        }
        _output.print_json(document)
        return 0
    rows = _output.table(">false match rate", ">95 % interval", ">threshold", ">false non-match rate")
    for target in (f for f in (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6) if f >= table.smallest_fmr):
        bar, metric = table.threshold(target)
        missed = [r.fnmr for r in table.rates if r.threshold >= bar and r.fnmr is not None]
        rows.add(
            f"{target:g}",
            f"{metric.low:.2g} to {metric.high:.2g}",
            f"{bar:.3f}",
            f"{missed[0]:.3f}" if missed else "no pairs of one person",
        )
    _output.console().print(rows)
    for photo, reason in left_out:
        _output.say(f"left out {reason if photo in reason else f'{photo}: {reason}'}", "yellow")
    _output.say(f"threshold {threshold:.3f} for a false match rate of {args.fmr:g}; {table.describe()}")
    _output.say(f"these data support rates down to {table.smallest_fmr:.2g} (30 expected errors)")
    _output.say(f"verify and identify use it from now on: {path}")
    return 0


def _refuse_too_few(data: datasets.Dataset, fmr: float) -> None:
    """Say at once, not after an hour of embedding, that even with a face on every photo the rate has no support."""
    n, sizes = len(data), np.bincount(data.subjects)
    stats.allowed_errors((n * n - int((sizes * sizes).sum())) // 2 or 1, fmr)


def _vectors(pipe: Pipeline, data: datasets.Dataset) -> tuple[F32, NDArray[np.int64], list[tuple[str, str]]]:
    """Main face of every photo, whose it is, and which photos gave none."""
    vectors, subjects, left_out = [], [], []
    stream = pipe.stream(data.paths, truncated="accept")
    for path, subject, result in zip(
        data.paths, data.subjects, _output.progress(stream, len(data), "embed"), strict=True
    ):
        if isinstance(result, VultusError):
            left_out.append((str(path), str(result)))
        elif not isinstance(result, Encoded) or not len(result):
            left_out.append((str(path), "no face found"))
        else:
            vectors.append(result.embedded.vec[result.main()])
            subjects.append(int(subject))
    if not vectors:
        raise InputError(f"{data.name}: expected photos with faces, found a face in none of {len(data)}")
    return np.stack(vectors), np.array(subjects), left_out

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
from vultus.pipeline import Encoded, Pipeline
from vultus.types import F32


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("folder", help="one folder of photos per person; more people support smaller rates")
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap (default: %(default)s)")
    _options.add_fmr(parser)
    _options.add_output(parser)
    _options.add_pipeline(parser)


def run(args: argparse.Namespace) -> int:
    """Compare everybody with everybody, fit the threshold, and keep it where verify and identify look."""
    pipe = _options.pipeline(args)
    data = datasets.folder(args.folder)
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
    out = _output.console()
    rows = _output.table(">false match rate", ">95 % interval", ">threshold", ">false non-match rate")
    for target in (f for f in (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6) if f >= table.smallest_fmr):
        bar, metric = table.threshold(target)
        missed = [r.fnmr for r in table.rates if r.threshold >= bar and r.fnmr is not None]
        rows.add_row(
            f"{target:g}",
            f"{metric.low:.2g} to {metric.high:.2g}",
            f"{bar:.3f}",
            f"{missed[0]:.3f}" if missed else "no pairs of one person",
        )
    out.print(rows)
    for photo, reason in left_out:
        out.print(f"left out {photo}: {reason}", style="yellow", markup=False)
    out.print(f"threshold {threshold:.3f} for a false match rate of {args.fmr:g}; {table.describe()}")
    out.print(f"these data support rates down to {table.smallest_fmr:.2g} (30 expected errors)")
    out.print(f"verify and identify use it from now on: {path}", markup=False)
    return 0


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

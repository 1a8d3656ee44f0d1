"""`vultus evaluate lfw|detection|fairness|pairs|ijb|tinyface|open-set`: measure, and write a report."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vultus.cli import _fairness, _options, _output, _pair_sets, _searches
from vultus.errors import InputError, NoFace, VultusError
from vultus.evaluate import report as reports
from vultus.pipeline import Pipeline
from vultus.types import Embedded, Report

DETECTION_SETS = ("dlib_faces", "human_faces_detection", "wider_val416", "pareidolia_noise")


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the sub-verbs."""
    verbs = parser.add_subparsers(
        dest="what", required=True, metavar="lfw|detection|fairness|pairs|ijb|tinyface|open-set"
    )
    lfw = verbs.add_parser("lfw", help="LFW View 2: 10 folds, TAR at FAR, all against all")
    lfw.add_argument("--images", help="folder of the pictures (default: $VULTUS_DATA/lfw_deepfunneled)")
    lfw.add_argument("--pairs", help="pairs.txt (default: $VULTUS_DATA/lfw_meta/pairs.txt)")
    lfw.add_argument(
        "--seed", type=_options.seed, metavar="N", default=0, help="of the bootstrap (default: %(default)s)"
    )
    detection = verbs.add_parser("detection", help="average precision, recall and false alarms of a detector")
    detection.add_argument("sets", nargs="*", metavar="SET", help=f"{', '.join(DETECTION_SETS)} (default: all)")
    detection.add_argument("--data", help="folder of the data sets (default: $VULTUS_DATA)")
    detection.add_argument(
        "--seed", type=_options.seed, metavar="N", default=0, help="of the bootstrap (default: %(default)s)"
    )
    for verb in (lfw, detection, _fairness.add(verbs), _pair_sets.add(verbs), *_searches.add(verbs)):
        verb.add_argument(
            "--out", type=_options.place, metavar="FOLDER", help="write report.json and report.html there"
        )
        _options.add_output(verb)
        _options.add_pipeline(verb)


def run(args: argparse.Namespace) -> int:
    """Measure and print; the report is written when --out is given."""
    if args.out is not None:
        _output.writable(args.out)
    known = {"lfw": _lfw, "detection": _detection, "fairness": _groups, "pairs": _pairs}
    results = known.get(args.what, _search)(args)
    documents = []
    for name, report, pictures in results:
        where = None
        if args.out:
            folder = Path(args.out) / name if args.what == "detection" else Path(args.out)
            where = [str(path) for path in reports.write(report, folder, pictures=pictures)]
        documents.append({**report.to_dict(), "files": where})
        if not args.json:
            _tell(report, where)
    if args.json:
        _output.print_json(documents if args.what == "detection" else documents[0])
    return 0


def _tell(report: Report, where: list[str] | None) -> None:
    if report.protocol == "controlface":
        _fairness.tell(report)
    else:
        _every(report)
    _output.say(f"{', '.join(report.spaces)}; {report.data_tier} data")
    if where:
        _output.say(f"report: {where[-1]}")
    _output.say("")


def _every(report: Report) -> None:
    """One line per metric."""
    table = _output.table("=metric", ">value", ">95 % interval", ">n", "note", title=report.dataset)
    for name, m in report.metrics.items():
        digits = {"ms": 1, "boxes": 0}.get(m.unit, 4)
        value = "insufficient" if m.value is None else f"{m.value:.{digits}f}" + (" ms" if m.unit == "ms" else "")
        interval = "" if m.low is None or m.high is None else f"{m.low:.{digits}f} to {m.high:.{digits}f}"
        table.add(name, value, interval, f"{m.n:,}", m.note)
    _output.console().print(table)


def _lfw(args: argparse.Namespace) -> Iterator[tuple[str, Report, dict[str, bytes]]]:
    from vultus.evaluate.protocols.lfw import lfw
    from vultus.io.datasets import lfw_pairs

    images = args.images or _data(None, "--images") / "lfw_deepfunneled"
    pairs = lfw_pairs(args.pairs or _data(None, "--pairs") / "lfw_meta/pairs.txt", images)
    pipe = _options.pipeline(args)
    report = lfw(pairs, embedder(pipe, alone=True), rng=args.seed)
    worst = report.provenance.get("worst", ())
    by_name = {f"{path.parent.name}/{path.name}": path for path in pairs.paths} if args.out else {}
    shown = {name for row in worst for name in row["pictures"]} & set(by_name)
    yield "lfw", report, {name: by_name[name].read_bytes() for name in shown}


def _groups(args: argparse.Namespace) -> Iterator[tuple[str, Report, dict[str, bytes]]]:
    faces = _fairness.faces(args)
    yield "fairness", _fairness.measured(args, faces, embedder(_options.pipeline(args), alone=True)), {}


def _pairs(args: argparse.Namespace) -> Iterator[tuple[str, Report, dict[str, bytes]]]:
    yield _pair_sets.measured(args, _options.pipeline(args), embedder)


def _search(args: argparse.Namespace) -> Iterator[tuple[str, Report, dict[str, bytes]]]:
    yield _searches.measured(args, _options.pipeline(args), embedder)


def embedder(pipe: Pipeline, *, alone: bool) -> Callable[[Sequence[Path]], tuple[Embedded, NDArray[np.bool_]]]:
    """What a protocol calls with all pictures: vectors of the faces nearest to the middle, and where one was found."""

    def embed(paths: Sequence[Path]) -> tuple[Embedded, NDArray[np.bool_]]:
        rows, found = [], []
        stream = pipe.stream(paths, truncated="accept")
        for result in _output.progress(stream, len(paths), "embed") if alone else stream:
            if isinstance(result, VultusError):
                raise result
            found.append(len(result) > 0)
            if len(result):
                rows.append(result.embedded.vec[result.main("central")])
        if not rows:
            raise NoFace(f"expected pictures of faces, found a face on none of {len(paths)}; look with `vultus detect`")
        return Embedded(np.stack(rows), pipe.space), np.array(found)

    return embed


def _detection(args: argparse.Namespace) -> Iterator[tuple[str, Report, dict[str, bytes]]]:
    from vultus import catalogue
    from vultus.evaluate.protocols.detection import evaluate_detection
    from vultus.io.datasets import boxes

    unknown = set(args.sets) - set(DETECTION_SETS)
    if unknown:
        raise InputError(f"sets: expected some of {', '.join(DETECTION_SETS)}, got {', '.join(sorted(unknown))}")
    root = _data(args.data, "--data")
    pipe = _options.pipeline(args)
    options: dict[str, Any] = {"threads": pipe.cores, "tile": args.tile, "upright": args.upright}
    if args.min_score is not None:
        options["min_score"] = args.min_score
    detector = catalogue.load(pipe.parts.detector, **options)
    for name in args.sets or DETECTION_SETS:
        data = getattr(boxes, name)(root / name)
        pictures = _output.progress(data, len(data), name)
        rng = np.random.default_rng(args.seed)
        report = evaluate_detection(
            detector, pictures, dataset=name, rng=rng, iou_at=data.iou, name=pipe.parts.detector
        )
        yield name, report, {}


def _data(given: str | None, option: str) -> Path:
    root = given or os.environ.get("VULTUS_DATA")
    if not root:
        raise InputError(f"expected {option}, or VULTUS_DATA set to the folder of data sets; got neither")
    return Path(root)

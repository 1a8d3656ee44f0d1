"""`vultus migrate`: move a gallery to another embedder, from its photos or through a learned map."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from vultus.cli import _kept, _options, _output
from vultus.errors import InputError, NoFace, VultusError
from vultus.gallery import Gallery, migrate
from vultus.gallery.adapter import Adapter
from vultus.io import datasets
from vultus.pipeline import Encoded, Pipeline


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--learn-from",
        type=_options.place,
        metavar="FOLDER",
        help="photos of any people, one folder each: learn a map between the embedders for faces whose photo is gone",
    )
    parser.add_argument(
        "--from", dest="old", default="default", metavar="NAME", help="--model of the gallery, for --learn-from"
    )
    parser.add_argument(
        "--force", action="store_true", help="cut over although faces lack a vector and will not be found"
    )
    parser.add_argument("--keep-old", action="store_true", help="keep the old vectors, so that the way back stays open")
    _options.add_gallery(parser)
    _options.add_output(parser)
    _options.add_pipeline(parser)


def run(args: argparse.Namespace) -> int:
    """Fill the next space, cut over, and drop the old one; run again to go on after an interruption."""
    pipe = _options.pipeline(args)
    with _kept.opened(args.gallery) as gallery:
        old = gallery.space
        if old is None:
            raise InputError(f"--gallery: {args.gallery} holds nobody: there is nothing to move")
        adapter = _learned(args, gallery, pipe) if args.learn_from else None
        state = list(_output.progress(pipe.migrate(gallery, adapter=adapter), None, "move"))[-1]
        migrate.cut_over(gallery, pipe.space, force=args.force)
        if not args.keep_old:
            migrate.retire(gallery, old)
    if args.json:
        document = {"from": old, "to": state.space, "faces": state.faces, "moved": state.done, "adapted": state.adapted}
        lost = [{"photo": photo, "reason": reason} for photo, reason in state.lost]
        _output.print_json({**document, "not_from_photos": lost, "loss": adapter.report.to_dict() if adapter else None})
        return 0
    _output.say(f"{state.done} of {state.faces} faces moved from {old} to {state.space}, {state.adapted} through a map")
    for photo, reason in state.lost:
        _output.say(f"not from its photo: {photo}: {reason}", "yellow")
    if adapter is not None:
        _output.say(adapter.report.words())
    return 0


def _learned(args: argparse.Namespace, gallery: Gallery, pipe: Pipeline) -> Adapter:
    """A map learned from photos embedded by both."""
    before = Pipeline(args.old)
    if before.space != gallery.space:
        raise InputError(
            f"--from: expected the model of this gallery ({gallery.space}), got {args.old} ({before.space})"
        )
    data = datasets.folder(args.learn_from)
    total = len(data.paths)
    pairs, people = [], []
    shown = _output.progress(zip(before.stream(data.paths), pipe.stream(data.paths), strict=True), total, "learn")
    for subject, (one, other) in zip(data.subjects, shown, strict=True):
        a, b = _main(one), _main(other)
        if a is not None and b is not None:
            pairs.append((a, b))
            people.append(int(subject))
    if not pairs:
        raise InputError(f"--learn-from: expected photos of people in {Path(args.learn_from)}, found no usable one")
    source, target = (np.stack([pair[i] for pair in pairs]) for i in range(2))
    rng = np.random.default_rng(0)
    return Adapter.fit(
        source, target, np.array(people), rng=rng, source_space=before.space, target_space=pipe.space, force=args.force
    )


def _main(result: Encoded | VultusError) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]] | None:
    if isinstance(result, VultusError):
        return None
    try:
        return result.template().vector
    except NoFace:
        return None

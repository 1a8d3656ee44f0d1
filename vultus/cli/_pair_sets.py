"""`vultus evaluate pairs`: a verification set after LFW, from the folder of its release or an InsightFace .bin file."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vultus.cli import _options, _output
from vultus.errors import InputError
from vultus.types import Report

if TYPE_CHECKING:
    from vultus.pipeline import Pipeline

LEARNERS = ("kissme", "sild", "lda", "joint_bayes")


def add(verbs: Any) -> argparse.ArgumentParser:
    """Declare the sub-verb."""
    parser: argparse.ArgumentParser = verbs.add_parser(
        "pairs", help="CALFW, CPLFW, CFP, AgeDB-30 and other sets after LFW: accuracy over folds"
    )
    parser.add_argument("where", type=_options.place, help="folder of the release, or a .bin file of InsightFace")
    parser.add_argument("--set", metavar="NAME", help="which set a folder is; of a .bin, what to call it")
    parser.add_argument("--list", type=_options.place, metavar="FILE", help="the list, where it is not in the folder")
    parser.add_argument(
        "--images", type=_options.place, metavar="FOLDER", help="the pictures, where the release holds them twice"
    )
    parser.add_argument(
        "--per-fold",
        type=_options.count,
        metavar="N",
        help="pairs of one person in a fold, and as many of two, where folds are the order of the list (default: 300)",
    )
    parser.add_argument(
        "--leaking", action="store_true", help="go on where people are in two folds, and state it in the report"
    )
    parser.add_argument(
        "--learn",
        action="append",
        default=[],
        choices=LEARNERS,
        metavar="ROW",
        help=f"also compare by what is learned from the other folds: {', '.join(LEARNERS)}; may be repeated",
    )
    parser.add_argument(
        "--seed", type=_options.seed, metavar="N", default=0, help="of the bootstrap (default: %(default)s)"
    )
    return parser


def measured(
    args: argparse.Namespace, pipe: Pipeline, embedder: Callable[..., Any]
) -> tuple[str, Report, dict[str, bytes]]:
    """Run the protocol; gives its report and the encoded pictures of the worst errors.

    Args:
        args: as parsed.
        pipe: what finds, aligns and embeds.
        embedder: makes of a pipeline what a protocol calls.
    """
    from vultus import catalogue
    from vultus.evaluate.protocols.lfw_family import Judging, verification
    from vultus.io.datasets.lfw_family import FAMILY, read_set

    learners = {name: lambda name=name: catalogue.load(name) for name in args.learn}
    if Path(args.where).suffix.lower() == ".bin":
        if args.per_fold is not None:
            raise InputError(
                f"--per-fold: expected none, {args.where} has ten folds of equal length, got {args.per_fold}"
            )
        pairs, embed, judging = _bin(args, pipe)
    elif args.set is None:
        raise InputError(f"--set: expected which set {args.where} is (one of {', '.join(FAMILY)}), got none")
    else:
        member = FAMILY.get(args.set)
        pairs = read_set(args.set, args.where, listing=args.list, images=args.images, per_fold=args.per_fold)
        embed = embedder(pipe, alone=True)
        judging = Judging(
            title=member.title if member else args.set,
            # where nobody knows whether folds share people, it is counted and said
            leaks="refuse" if member and member.disjoint and not args.leaking else "state",
            held_out=args.set == "lfw-view1",
            flip=_flip(pipe.parts.embedder),
            unsure=member.unsure if member else "",
        )
    report = verification(pairs, embed, judging, learners=learners, rng=args.seed)
    return "pairs", report, _pictures(pairs, report) if args.out else {}


def _bin(args: argparse.Namespace, pipe: Pipeline) -> tuple[Any, Any, Any]:
    """The set of a .bin, what embeds its pictures, and how it is judged."""
    from vultus import catalogue
    from vultus.evaluate.protocols.lfw_family import Judging, aligned_embed
    from vultus.io.datasets.bin_pairs import bin_pairs
    from vultus.io.datasets.insight_bin import insight_bin
    from vultus.io.datasets.lfw_family import FAMILY
    from vultus.pipeline._encode import load_embedder

    source = insight_bin(args.where, name=args.set)
    for fault in source.faults[:5]:
        _output.warn(f"left out: {fault}")
    if source.faults[5:]:
        _output.warn(f"and {len(source.faults) - 5} more that cannot be used")
    pairs = bin_pairs(source)
    embed = aligned_embed(pairs, load_embedder(pipe.parts.embedder, pipe.cores), catalogue.load(pipe.parts.aligner))
    title = FAMILY[args.set].title if args.set in FAMILY else source.name
    judging = Judging(
        title=title,
        leaks="state",  # its folds are runs of the file, whatever the publication says of folds
        flip=_flip(pipe.parts.embedder),
        faces="aligned by whoever made the file; the five points are taken from the ArcFace template",
        unsure="how its pictures were aligned, and its folds: ten runs of equal length, as InsightFace cuts them",
    )
    return pairs, embed, judging


def _pictures(pairs: Any, report: Report) -> dict[str, bytes]:
    """The encoded pictures of the worst errors, by the names they have there."""
    shown = {name for row in report.provenance.get("worst", ()) for name in row["pictures"]}
    found = {}
    for i, path in enumerate(pairs.paths):
        name = "/".join(path.parts[-2:])
        if name in shown:
            source = getattr(pairs, "source", None)
            found[name] = path.read_bytes() if source is None else source.encoded[int(pairs.place[i])]
    return found


def _flip(embedder: str) -> str:
    """Whether the vector of the mirrored picture is added, in words."""
    from vultus import catalogue
    from vultus.zoo.cards import cards

    if embedder.endswith(".onnx"):
        return "as the file's card says; not added without one"
    row = catalogue.row(embedder)
    own = row.args.get("flip")
    if isinstance(own, (list, tuple)):
        names = [name for name, flip in zip(row.args["parts"], own, strict=True) if flip]
        return f"its vector was added for {', '.join(names)}" if names else "not used"
    added = bool(own) if own is not None else any(cards()[name].flip for name in row.weights if name in cards())
    return "its vector was added" if added else "not used"

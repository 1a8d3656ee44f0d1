"""`vultus export RUN`: a finished run becomes an embedder that needs no torch."""

from __future__ import annotations

import argparse
import shlex

from vultus.cli import _options, _output
from vultus.cli.train import launched


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("run", metavar="RUN", type=_options.place, help="folder of a finished run of `vultus train`")
    parser.add_argument("--name", default="", help="the first half of the embedding space (default: the folder's name)")
    _options.add_output(parser)


def run(args: argparse.Namespace) -> int:
    """Write model.onnx and card.toml, once ONNX Runtime gives what torch gives."""
    made = launched().export_run(args.run, name=args.name)
    following = f"vultus calibrate FOLDER --embedder {shlex.quote(args.run)}"
    if args.json:
        document = {
            "run": args.run,
            "space": made.space,
            "parity": made.parity,
            "onnx_bytes": made.onnx_bytes,
            "crop": [made.card.crop.template, *made.card.crop.size_hw] if made.card.crop else None,
            "license": made.card.license,
            "next": following,
        }
        _output.print_json(document)
        return 0
    _output.say(f"space {made.space}; {made.onnx_bytes / 1e6:.1f} MB; ONNX Runtime within {made.parity:.1g} of torch")
    _output.say(f"next: {following}    (photos of people you know; then: vultus verify A B --embedder ...)")
    return 0

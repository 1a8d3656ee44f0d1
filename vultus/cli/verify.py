"""`vultus verify A B`: one person or two?"""

from __future__ import annotations

import argparse

from rich.text import Text

from vultus.cli import _draw, _options, _output
from vultus.errors import InputError


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("a", help="photo")
    parser.add_argument("b", help="photo")
    parser.add_argument("--exit-code", action="store_true", help="exit with 1 unless the answer is accept")
    _options.add_fmr(parser)
    _options.add_output(parser, draw=True)
    _options.add_pipeline(parser)


def run(args: argparse.Namespace) -> int:
    """Compare the largest faces of two photos."""
    pipe = _options.pipeline(args)
    places = _draw.targets((args.a, args.b), args.draw)
    for photo in (args.a, args.b):
        if not photo:
            raise InputError("expected the names of two photos, got an empty one")
    a, b = pipe.encode(args.a), pipe.encode(args.b)
    decision = pipe.verify(a, b, fmr=args.fmr)
    drawn = [_draw.main_face(e, decision, places[str(e.source)]) for e in (a, b)] if args.draw else []
    if args.json:
        _output.print_json(
            {
                "a": args.a,
                "b": args.b,
                "space": pipe.space,
                "decision": decision.to_dict(),
                "drawn": [str(d) for d in drawn],
            }
        )
    else:
        score = f"  similarity {decision.score:.3f}, threshold {decision.threshold:.3f}"
        _output.console().print(_output.verdict(decision) + Text(score))
        often = _output.one_in(decision.fmr)
        _output.say(f"at this threshold a stranger is accepted {often} times ({decision.calibration})")
        if decision.reason:
            _output.say(decision.reason)
        for name, encoded in ((args.a, a), (args.b, b)):
            if len(encoded) > 1:
                _output.say(f"{name} shows {len(encoded)} faces; the largest was compared")
        if drawn:
            _output.say(f"annotated photos: {args.draw}")
    return 0 if decision.accepted or not args.exit_code else 1

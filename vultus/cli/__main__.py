"""`vultus VERB ...`: a table from verb to module, and one place where errors become exit codes."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from vultus import __version__
from vultus.errors import VultusError

__all__ = ["EXIT_CODES", "VERBS", "main"]

VERBS = {
    "detect": "find faces in photos",
    "embed": "turn faces into vectors",
    "verify": "do two photos show one person?",
    "enroll": "add people to a gallery from a folder of photos",
    "identify": "name the faces in photos",
    "calibrate": "fit the threshold to a false match rate on your own photos",
    "evaluate": "measure: lfw, detection",
    "models": "list, pull, verify, prune and import weights",
    "papers": "the published systems and their status",
    "doctor": "check this installation",
}

EXIT_CODES = {
    "VultusError": 1,
    "InputError": 3,
    "NoFace": 4,
    "SpaceMismatch": 5,
    "UnknownMethod": 6,
    "MissingExtra": 7,
    "WeightsError": 8,
    "MissingWeights": 8,
    "HashMismatch": 9,
    "Refused": 10,
    "StoreError": 11,
}
INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return its exit code: 0 done, 2 wrong usage, 3 to 11 by error class, 130 interrupted."""
    argv = list(sys.argv[1:] if argv is None else argv)
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(_help())
        return 0 if argv else 2
    if argv[0] in ("-V", "--version"):
        print(f"vultus {__version__}")
        return 0
    if argv[0] not in VERBS:
        import difflib

        near = difflib.get_close_matches(argv[0], VERBS, n=1)
        print(
            f"vultus: no verb {argv[0]!r}{f'; did you mean {near[0]!r}?' if near else ''}\n\n{_help()}", file=sys.stderr
        )
        return 2
    return _run(argv[0], argv[1:])


def _run(verb: str, argv: list[str]) -> int:
    module = import_module(f"vultus.cli.{verb}")
    parser = argparse.ArgumentParser(f"vultus {verb}", description=VERBS[verb])
    module.add(parser)
    try:
        args = parser.parse_args(argv)
    except SystemExit as stop:  # argparse ends the process; a caller of main() wants a number
        return int(stop.code or 0)
    try:
        return int(module.run(args))
    except VultusError as error:
        return _report(error, as_json=getattr(args, "json", False))
    except KeyboardInterrupt:
        print("vultus: interrupted; what was finished is kept, run the same command to go on", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output (head, less) has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _report(error: VultusError, *, as_json: bool) -> int:
    name = type(error).__name__
    code = next(EXIT_CODES[c.__name__] for c in type(error).__mro__ if c.__name__ in EXIT_CODES)
    print(f"vultus: {name}: {error}", file=sys.stderr)
    if as_json:
        import json

        print(json.dumps({"error": {"code": name, "message": str(error), "exit_code": code}}))
    return code


def _help() -> str:
    width = max(map(len, VERBS))
    verbs = "\n".join(f"  {verb:<{width}}  {what}" for verb, what in VERBS.items())
    return (
        "usage: vultus VERB [options]        vultus VERB --help\n\n"
        "Find faces, say who they are, and at which error rate.\n\n"
        f"{verbs}\n\n"
        "exit codes: 0 done, 2 wrong usage, 3 bad input, 4 no face, 5 space mismatch, 6 unknown name,\n"
        "            7 missing extra, 8 missing weights, 9 wrong weights, 10 refused, 11 store error, 130 interrupted"
    )


if __name__ == "__main__":
    sys.exit(main())

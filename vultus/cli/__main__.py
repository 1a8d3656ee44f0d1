"""`vultus VERB ...`: a table from verb to module, and one place where errors become exit codes."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NoReturn

from vultus import __version__
from vultus.cli._exits import EXIT_CODES, exit_code
from vultus.cli._words import printable
from vultus.errors import VultusError

__all__ = ["EXIT_CODES", "VERBS", "main"]

VERBS = {
    "detect": "find faces in photos",
    "embed": "turn faces into vectors",
    "verify": "do two photos show one person?",
    "enroll": "add people to a gallery from a folder of photos",
    "identify": "name the faces in photos",
    "people": "who is in a gallery: list, show, rename, merge, split, undo, security",
    "cluster": "sort unknown faces into groups, and name them",
    "migrate": "move a gallery to another embedder",
    "erase": "remove a person with everything kept of them, with a receipt",
    "audit": "who did what to a gallery: show, verify, export",
    "backup": "copy a gallery to a new file and look it through",
    "restore": "a backup into a gallery that holds nothing yet",
    "gallery": "check, encrypt and give another key",
    "serve": "the HTTP server and its page",
    "keys": "who may ask the server: create, list and revoke keys",
    "calibrate": "fit the threshold to a false match rate on your own photos",
    "evaluate": "measure on a published set: pairs, templates, galleries, groups, detection",
    "clean": "which pictures of a folder per person show that person, as tables",
    "align": "photos of people as the crops that training wants",
    "train": "a recognizer of your own: train a backbone by a recipe",
    "export": "make a finished run an embedder: ONNX with a card",
    "claim": "run a claim: a method against its baseline, with an interval",
    "sim": "simulated people with known truth: a contact sheet, a balanced evaluation set",
    "models": "list, pull, verify, prune and import weights",
    "papers": "the published systems and their status",
    "doctor": "check this installation",
}

DEFECT, USAGE, INTERRUPTED = 1, 2, 130


class _Usage(Exception):
    """The words on the command line do not fit the verb."""


class _Parser(argparse.ArgumentParser):
    """Options are written out in full, and what is wrong with them is one sentence."""

    def __init__(self, prog: str | None = None, *, description: str | None = None, **options: Any) -> None:
        super().__init__(prog, description=description, **{**options, "allow_abbrev": False})

    def error(self, message: str) -> NoReturn:
        raise _Usage(f"{message}; see `{self.prog} --help`")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return its exit code.

    0 done, 2 wrong usage, 3 to 11 by error class, 130 interrupted. What is a defect of vultus is raised.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    _prepare_streams()
    as_json, license = "--json" in argv, os.environ.get("VULTUS_LICENSE")
    try:
        code = _run(argv)
        sys.stdout.flush()  # here, where a full disk or a reader that has gone can still be told
        return code
    except VultusError as error:
        return _report(type(error).__name__, str(error), exit_code(error), as_json)
    except _Usage as error:
        return _report("Usage", str(error), USAGE, as_json)
    except KeyboardInterrupt as stop:
        again = (
            "nothing half-written is left; run the same command again (enroll, embed, align, migrate, claim, sim go on)"
        )
        text = str(stop) or again  # a verb that knows better says how to go on
        return _report("Interrupted", text, INTERRUPTED, as_json)
    except BrokenPipeError:  # the reader of our output (head, less) has gone
        _abandon_stdout()
        return 0
    except OSError as error:
        return _report("StoreError", _system_said(error), EXIT_CODES["StoreError"], as_json)
    except MemoryError:
        text = "there is not enough memory for this: work on fewer or smaller photos at a time"
        return _report("StoreError", text, EXIT_CODES["StoreError"], as_json)
    except Exception as error:  # a defect of ours: programs get their document, and people the whole story
        _report("Defect", f"{type(error).__name__}: {error}; please report this with the lines below", DEFECT, as_json)
        raise
    finally:
        _restore("VULTUS_LICENSE", license)  # --license is for this run; the caller may be a program


def _run(argv: list[str]) -> int:
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(_help())
        return 0 if argv else USAGE
    if argv[0] in ("-V", "--version"):
        print(f"vultus {__version__}")
        return 0
    verb = argv[0]
    if verb not in VERBS:
        import difflib

        near = difflib.get_close_matches(verb, VERBS, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise _Usage(f"no verb {verb!r}; {hint}see `vultus --help`")
    module = import_module(f"vultus.cli.{verb}")
    parser = _Parser(f"vultus {verb}", description=VERBS[verb])
    module.add(parser)
    try:
        args = parser.parse_args(argv[1:])
    except SystemExit as stop:  # --help ends the process; a caller of main() wants a number
        return int(stop.code or 0)
    return int(module.run(args))


def _report(name: str, message: str, code: int, as_json: bool) -> int:
    """The error in words on stderr and, with --json, as the one document on stdout."""
    try:
        print(f"vultus: {name}:", printable(message, keep="\n"), file=sys.stderr, flush=True)
        if as_json:
            import json

            print(json.dumps({"error": {"code": name, "message": message, "exit_code": code}}))
        sys.stdout.flush()
    except OSError:  # nobody can be told any more
        _abandon_stdout()
    return code


def _prepare_streams() -> None:
    """A closed stdout is the null device; letters that it does not have are spelled out."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 for the life of the process
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _abandon_stdout() -> None:
    """What is still to be written goes nowhere; otherwise Python complains about it at its end."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115


def _system_said(error: OSError) -> str:
    if error.filename is None:  # nothing of ours is written without a name but the output itself
        return f"the output cannot be written: {error.strerror or error}; free some space or write elsewhere"
    return f"{error.filename}: the system refuses: {error.strerror}; check the path and its permissions"


def _restore(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value


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

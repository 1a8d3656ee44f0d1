"""Run benchmark suites and write their records.

python -m benchmarks.run                            every suite, records to benchmarks/results
python -m benchmarks.run pipeline --threads 1 ...   one suite; --out - prints the record instead of writing it
python -m benchmarks.run search --tag 10m ...       a second record of a suite: search.10m.json
"""

from __future__ import annotations

import argparse
import importlib
import json
import re
import sys
from pathlib import Path

from benchmarks import schema

__all__ = ["SUITES", "main"]

SUITES = ("import_time", "cold_start", "pipeline", "search", "roc", "train_step")
RESULTS = Path(__file__).parent / "results"


def main(argv: list[str] | None = None) -> int:
    """Run the suites named on the command line, or all; returns 1 when a limit is broken."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description="Measure speed.")
    verbs = parser.add_subparsers(dest="suite", metavar="SUITE")
    for name in SUITES:
        module = importlib.import_module(f"benchmarks.{name}")
        verb = verbs.add_parser(name, help=(module.__doc__ or "").split("\n")[0])
        module.add(verb)
        verb.add_argument("--tag", type=_tag, default="", help="of a second record of the suite, in the file's name")
        verb.add_argument("--out", type=Path, default=RESULTS, help="folder of the record, or - for the screen")
    given = list(sys.argv[1:] if argv is None else argv)
    for line in [given] if given else [[name] for name in SUITES]:
        args = parser.parse_args(line)
        record = importlib.import_module(f"benchmarks.{args.suite}").run(args)
        schema.validate(record)
        if str(args.out) == "-":
            print(json.dumps(record, indent=1, ensure_ascii=False))
        else:
            schema.write(record, args.out / (f"{args.suite}.{args.tag}.json" if args.tag else f"{args.suite}.json"))
        if not all(result.get("within", True) for result in record["results"]):
            return 1
    return 0


def _tag(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9_-]*", text):
        raise argparse.ArgumentTypeError(f"expected small letters, digits, - and _, got {text!r}")
    return text


if __name__ == "__main__":
    sys.exit(main())

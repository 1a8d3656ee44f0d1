"""`vultus claim`: run the claims of the house or one's own, and see what was shown."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from typing import Any

from rich.text import Text

from vultus import claims
from vultus.claims import Claim, Outcome
from vultus.cli import _options, _output
from vultus.errors import InputError, VultusError
from vultus.io.files import write_bytes
from vultus.zoo.store import home

_EVERY_S = 0.1  # a terminal is not written to more often
STYLES = {"shown": "green", "not-shown": "yellow", "wired": "cyan"}


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a number above 0, got {text!r}")
    return value


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("names", nargs="*", metavar="NAME", help="names of claims, or a Python file with your own")
    parser.add_argument("--all", action="store_true", help="every claim")
    parser.add_argument("--list", action="store_true", help="say which claims there are, and run none")
    parser.add_argument(
        "--scale",
        choices=claims.SCALES,
        default="tiny",
        help="tiny: does it run; nano: two cores, minutes; mini: an accelerator or hours (default: %(default)s)",
    )
    parser.add_argument("--seeds", type=int, metavar="N", help="how many seeds (default: what the claim declares)")
    parser.add_argument("--minutes", type=_positive, metavar="M", help="stop after M minutes with status budget")
    parser.add_argument("--fresh", action="store_true", help="forget what an interrupted run has finished")
    parser.add_argument(
        "--out", type=_options.place, metavar="FOLDER", help="where results go (default: $VULTUS_HOME/claims)"
    )
    parser.add_argument(
        "--page", type=_options.place, metavar="FILE", help="write one page of all claims; opens offline"
    )
    parser.add_argument(
        "--write", action="store_true", help="for contributors: results into the package, and papers.toml from them"
    )
    _options.add_output(parser)


def run(args: argparse.Namespace) -> int:
    """Run the claims; one that cannot run does not stop the others."""
    if args.list:
        if args.page:
            _files(args, [])
        return _list(args)
    chosen = _chosen(args)
    if args.out is not None:
        _output.writable(args.out)
    outcomes: list[Outcome] = []
    bad: list[tuple[str, VultusError]] = []
    for claim in chosen:
        try:
            outcomes.append(_one(claim, args))
        except VultusError as error:
            if len(chosen) == 1:
                raise
            bad.append((claim.name, error))
    files = _files(args, outcomes)
    if args.json:
        documents = [outcome.document for outcome in outcomes]
        _output.print_json({"claims": documents, "failed": _output.failures(bad), "written": files})
    else:
        _table(outcomes)
        if len(outcomes) == 1:
            _arms(outcomes[0].document)
        if any(outcome.document.get("data") == "sim" for outcome in outcomes):
            _output.say(claims.SIM)
        for file in files:
            _output.say(f"written: {file}")
    return _output.complain(bad)


def _files(args: argparse.Namespace, outcomes: list[Outcome]) -> list[str]:
    """Where the results lie, and what --write and --page add."""
    files = [str(outcome.folder) for outcome in outcomes]
    if args.write:
        files += [str(path) for outcome in outcomes for path in claims.keep(outcome)]
        files += ["papers.toml"] if claims.write_papers() else []
    if args.page:
        write_bytes(args.page, claims.page(args.out or home() / "claims").encode())
        files.append(args.page)
    return files


def _chosen(args: argparse.Namespace) -> list[Claim]:
    if args.all and args.names:
        raise InputError("expected names of claims or --all, got both")
    if not args.all and not args.names and not args.page and not args.write:
        raise InputError("expected names of claims or --all, got neither; `vultus claim --list` names all claims")
    if args.all:
        return list(claims.claims().values())
    return [claim for name in args.names for claim in claims.find(name)]


def _one(claim: Claim, args: argparse.Namespace) -> Outcome:
    tell, done = _progress(claim.name)
    try:
        return claims.run(
            claim,
            scale=args.scale,
            seeds=args.seeds,
            minutes=args.minutes,
            folder=args.out,
            fresh=args.fresh,
            tell=tell,
        )
    finally:
        done()


def _progress(name: str) -> tuple[Callable[[int, int, str], None] | None, Callable[[], None]]:
    """A line on stderr that is written over and at last wiped; nothing off a terminal."""
    if not sys.stderr.isatty():
        return None, lambda: None

    last = 0.0

    def tell(done: int, total: int, what: str) -> None:
        nonlocal last
        if time.monotonic() - last < _EVERY_S and done < total:
            return
        last = time.monotonic()
        print(f"\r\x1b[2K{name}: {what} {done} of {total}", end="", file=sys.stderr, flush=True)

    return tell, lambda: print("\r\x1b[2K", end="", file=sys.stderr, flush=True)


def _list(args: argparse.Namespace) -> int:
    known = claims.claims().values()
    results = claims.results()
    said = {claim.name: str(results[claim.name]["status"]) if claim.name in results else "" for claim in known}
    if args.json:
        keys = ("name", "paper", "scale", "minutes", "seeds", "summary")
        rows = [{key: getattr(claim, key) for key in keys} | {"status": said[claim.name]} for claim in known]
        _output.print_json(rows)
        return 0
    table = _output.table("=claim", ">paper", "=status", "=scale", ">minutes", ">seeds", "says")
    for claim in known:
        about = (claim.scale, f"{claim.minutes:g}", str(claim.seeds), claim.summary)
        table.add(claim.name, str(claim.paper), said[claim.name], *about)
    _output.console().print(table)
    return 0


def _table(outcomes: list[Outcome]) -> None:
    if not outcomes:
        return
    table = _output.table("=claim", "=status", ">gain", ">95 % interval", "metric", "=data", ">minutes", "why")
    for outcome in outcomes:
        doc: dict[str, Any] = outcome.document
        effect = outcome.effect
        gain = "" if effect is None or effect.value is None else f"{effect.value:.4g}"
        span = "" if effect is None or effect.low is None else f"{effect.low:.4g} to {effect.high:.4g}"
        status = Text(outcome.status, STYLES.get(outcome.status, "red"))
        words = (doc.get("metric", ""), doc.get("data", ""), f"{doc['minutes']:.1f}", doc["why"])
        table.add(doc["claim"], status, gain, span, *words)
    _output.console().print(table)


def _arms(document: dict[str, Any]) -> None:
    """What every arm measured, and what each control gained."""
    arms: dict[str, Any] = document.get("arms", {})
    if not arms:
        return
    roles = {document["method"]: "method", document["baseline"]: "baseline"}
    table = _output.table("=arm", "=role", ">mean", ">95 % interval", ">gain of a control", "seed by seed")
    for name, metric in arms.items():
        control = document["controls"].get(name)
        role = "control" if control else roles.get(name, "")
        seeds = ", ".join(f"{value:.4g}" for value in document["per_seed"][name])
        table.add(name, role, f"{metric['value']:.4g}", _span(metric), _span(control) if control else "", seeds)
    _output.console().print(table)


def _span(metric: dict[str, Any]) -> str:
    return "" if metric["low"] is None else f"{metric['low']:.4g} to {metric['high']:.4g}"

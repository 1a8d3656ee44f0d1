"""`vultus audit show|verify|export`: who did what to a gallery, and whether its log is whole."""

from __future__ import annotations

import argparse
import json

from vultus.cli import _kept, _options, _output
from vultus.errors import InputError, StoreError
from vultus.gallery import audit


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the sub-verbs."""
    verbs = parser.add_subparsers(dest="what", required=True, metavar="show|verify|export")
    show = verbs.add_parser("show", help="rows of the log, oldest first")
    show.add_argument("--after", type=_options.seed, default=0, metavar="N", help="start after this row")
    show.add_argument("--limit", type=_options.seed, default=100, metavar="N", help="at most so many (default: 100)")
    verify = verbs.add_parser("verify", help="is any row altered, moved or missing?")
    verify.add_argument("--pin", type=_options.place, metavar="FILE", help="a log exported earlier and kept elsewhere")
    export = verbs.add_parser("export", help="write the log to a new file: one JSON document a line, its end last")
    export.add_argument("file", type=_options.place)
    for verb in (show, verify, export):
        _options.add_gallery(verb)
        _options.add_output(verb)


def run(args: argparse.Namespace) -> int:
    """Do what was asked."""
    return {"show": _show, "verify": _verify, "export": _export}[args.what](args)


def _show(args: argparse.Namespace) -> int:
    with _kept.opened(args.gallery) as gallery:
        rows = gallery.audit(args.after, max(args.limit, 1))
    if args.json:
        _output.print_json(rows)
        return 0
    table = _output.table(">row", "=at", "actor", "=did", "to", "details")
    for row in rows:
        details = ", ".join(f"{key} {value}" for key, value in row["details"].items())
        table.add(str(row["seq"]), row["at"][:19], row["actor"], row["verb"], row["subject"], details)
    _output.console().print(table)
    return 0


def _verify(args: argparse.Namespace) -> int:
    pinned = _pin(args.pin) if args.pin else None
    with _kept.opened(args.gallery) as gallery:
        found = gallery.verify_audit(pinned)
        with gallery.pages() as pages:
            end = audit.head(pages.rows)
    if found:
        raise StoreError(f"{args.gallery}: the audit log is not whole: {'; '.join(found)}")
    if args.json:
        _output.print_json({"whole": True, "head": end.to_dict()})
    else:
        _output.say(f"{end.seq} rows, none altered, moved or missing; the last is {end.hash}")
    return 0


def _pin(path: str) -> audit.Pin:
    try:
        head = _kept.read_log(path)[-1]["head"]
        return audit.Pin(int(head["seq"]), str(head["hash"]))
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path}: expected an audit log of `vultus audit export`, whose last line is its end"
        ) from error


def _export(args: argparse.Namespace) -> int:
    with _kept.opened(args.gallery) as gallery, gallery.pages() as pages:
        rows = list(audit.export(pages.rows))
    _kept.write_new(args.file, (json.dumps(row, ensure_ascii=False) for row in rows))
    end = rows[-1]["head"]
    if args.json:
        _output.print_json({"file": args.file, "head": end})
    else:
        _output.say(f"{end['seq']} rows in {args.file}; keep it where the gallery is not")
    return 0

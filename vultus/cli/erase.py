"""`vultus erase PERSON`: remove a person with everything that was kept of them, and write a receipt."""

from __future__ import annotations

import argparse
import html
import json
import sys
from pathlib import Path

from vultus.cli import _kept, _options, _output, _words
from vultus.errors import Refused, StoreError
from vultus.gallery.erase import Receipt


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("person", metavar="PERSON", help="name or id")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument(
        "--receipt", type=_options.place, metavar="FILE", help="write the receipt to a new .json or .html file"
    )
    _options.add_gallery(parser)
    _options.add_output(parser)


def run(args: argparse.Namespace) -> int:
    """Ask, erase, tell."""
    if args.receipt and Path(args.receipt).exists():
        raise StoreError(f"{args.receipt} is there already: choose another name for the receipt")
    with _kept.opened(args.gallery) as gallery:
        person_id, name = _kept.person(gallery, args.person)
        if not args.yes:
            _ask(name, person_id)
        receipt = gallery.erase(person_id)
    if args.json:
        _output.print_json(receipt.to_dict())
    else:
        _tell(receipt)
    if args.receipt:
        as_html = args.receipt.lower().endswith((".html", ".htm"))
        text = _page(receipt) if as_html else json.dumps(receipt.to_dict(), indent=1)
        _kept.write_new(args.receipt, [text])
    return 0


def _ask(name: str, person_id: str) -> None:
    if not sys.stdin.isatty():
        raise Refused("erasing cannot be taken back: say --yes where nobody can be asked")
    print(f"Erase {_words.printable(name)} ({person_id}) for good? Type yes: ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() != "yes":
        raise Refused("nothing was erased: the answer was not yes")


def _tell(receipt: Receipt) -> None:
    removed = ", ".join(f"{count} {table}" for table, count in receipt.removed.items())
    _output.say(f"{receipt.person_id} is erased: {removed}")
    for line in receipt.verified:
        _output.say(f"checked: {line}", "green")
    for line in receipt.beyond:
        _output.say(f"out of reach: {line}", "yellow")
    _output.say(f"receipt {receipt.id}; audit row {receipt.audit_seq}, {receipt.audit_hash}")


def _page(receipt: Receipt) -> str:
    """The receipt as one HTML page without anything from elsewhere."""
    cells = "".join(
        f"<tr><th>{html.escape(key)}</th><td>{html.escape(str(value))}</td></tr>"
        for key, value in receipt.to_dict().items()
        if isinstance(value, (str, int))
    )
    lists = "".join(
        f"<h2>{title}</h2><ul>{''.join(f'<li>{html.escape(line)}</li>' for line in lines)}</ul>"
        for title, lines in (
            ("Removed", [f"{count} {table}" for table, count in receipt.removed.items()]),
            ("Checked afterwards", receipt.verified),
            ("Out of reach", receipt.beyond),
        )
    )
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Receipt of erasure</title>'
        f"<h1>Receipt of erasure</h1><table>{cells}</table>{lists}</html>"
    )

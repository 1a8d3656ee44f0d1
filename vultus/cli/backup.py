"""`vultus backup FILE`: a copy of a gallery that was looked through before it counts."""

from __future__ import annotations

import argparse

from vultus.cli import _kept, _options, _output
from vultus.gallery import backup
from vultus.gallery.vault import load_key


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("file", type=_options.place, help="a file that is not there yet")
    _options.add_gallery(parser)
    _options.add_output(parser)


def run(args: argparse.Namespace) -> int:
    """Copy and check."""
    with _kept.opened(args.gallery) as gallery:
        report = backup.backup(gallery.store, args.file, key=load_key())
    tell(report, as_json=args.json)
    return 0


def tell(report: backup.CopyReport, *, as_json: bool) -> None:
    """What was copied and looked at."""
    if as_json:
        _output.print_json(report.to_dict())
        return
    _output.say(f"{report.rows['people']} people and {report.rows['faces']} faces: {report.target}")
    for line in report.checks:
        _output.say(f"checked: {line}", "green")
    for line in report.unchecked:
        _output.say(f"not checked: {line}", "yellow")
    for key in report.erased:
        _output.say(f"erased again: {key}")
    if report.encrypted:
        _output.say("it is encrypted, and the key is not in it")

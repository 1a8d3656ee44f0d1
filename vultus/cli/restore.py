"""`vultus restore FILE`: a backup into a gallery that holds nothing yet, of any kind of store."""

from __future__ import annotations

import argparse

from vultus.cli import _kept, _options
from vultus.cli.backup import tell
from vultus.gallery import backup
from vultus.gallery.stores.opened import store_for
from vultus.gallery.vault import load_key


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("file", type=_options.place, help="a file that `vultus backup` wrote")
    parser.add_argument(
        "--erased", type=_options.place, metavar="LOG", help="a later audit log: erase again whom it says was erased"
    )
    _options.add_gallery(parser)
    _options.add_output(parser)


def run(args: argparse.Namespace) -> int:
    """Copy and check."""
    later = _kept.read_log(args.erased) if args.erased else []
    store = store_for(args.gallery)
    try:
        report = backup.restore(args.file, store, key=load_key(), later=later)
    finally:
        store.close()
    tell(report, as_json=args.json)
    return 0

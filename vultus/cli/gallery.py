"""`vultus gallery check|encrypt|rotate-key`: is a gallery whole, and who can read it?"""

from __future__ import annotations

import argparse

from vultus.cli import _kept, _options, _output
from vultus.errors import InputError, StoreError
from vultus.gallery import vault


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the sub-verbs."""
    verbs = parser.add_subparsers(dest="what", required=True, metavar="check|encrypt|rotate-key")
    check = verbs.add_parser("check", help="checksums, references against their photos, the audit log")
    encrypt = verbs.add_parser("encrypt", help="seal vectors and crops under a key per person")
    rotate = verbs.add_parser("rotate-key", help="give an encrypted gallery another key")
    for verb in (encrypt, rotate):
        verb.add_argument(
            "--key-file", type=_options.place, required=True, metavar="FILE", help="a new file for the new key (0600)"
        )
    for verb in (check, encrypt, rotate):
        _options.add_gallery(verb)
        _options.add_output(verb)


def run(args: argparse.Namespace) -> int:
    """Do what was asked."""
    with _kept.opened(args.gallery) as gallery:
        if args.what == "check":
            found = gallery.damage()
            if found:
                raise StoreError(f"{args.gallery} is not whole: {'; '.join(found)}")
            return _said(args, {"whole": True, "encrypted": gallery.encrypted}, f"{args.gallery} is whole")
        encrypted = gallery.encrypted  # before a key is written: asks for the present one
        if encrypted != (args.what == "rotate-key"):
            state = "encrypted already: use rotate-key" if encrypted else "not encrypted: use encrypt"
            raise InputError(f"{args.gallery} is {state}")
        key = vault.new_key()
        vault.write_key(args.key_file, key)  # first: a gallery must not be sealed under a key that nobody has
        done = {"keys": gallery.rotate_key(key)} if encrypted else gallery.encrypt(key)
    words = (
        f"done; from now on set {vault.KEY_FILE_VARIABLE}={args.key_file}; without that key nobody can read the gallery"
    )
    return _said(args, {**done, "key_file": args.key_file}, words)


def _said(args: argparse.Namespace, document: dict[str, object], words: str) -> int:
    if args.json:
        _output.print_json(document)
    else:
        _output.say(words)
    return 0

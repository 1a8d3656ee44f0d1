"""`vultus keys create|list|revoke`: who may ask the server; works on the key file, the server need not run."""

from __future__ import annotations

import argparse

from vultus.cli import _options, _output
from vultus.errors import MissingExtra

ROLES = ("read", "identify", "enroll", "admin")


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the sub-verbs."""
    verbs = parser.add_subparsers(dest="what", required=True, metavar="create|list|revoke")
    create = verbs.add_parser("create", help="make a key; it is shown once")
    create.add_argument("name", metavar="NAME", help="whose it is")
    create.add_argument("--role", choices=ROLES, default="identify", help="what it may do (default: %(default)s)")
    listing = verbs.add_parser("list", help="all keys, without their secrets")
    revoke = verbs.add_parser("revoke", help="make a key invalid; a running server knows at its next request")
    revoke.add_argument("id", metavar="ID")
    for verb in (create, listing, revoke):
        add_key_file(verb)
        _options.add_output(verb)


def add_key_file(parser: argparse.ArgumentParser) -> None:
    """`--keys`."""
    parser.add_argument(
        "--keys", type=_options.place, metavar="FILE", help="key file (default: $VULTUS_HOME/keys.json)"
    )


def run(args: argparse.Namespace) -> int:
    """Do what was asked."""
    try:
        from vultus.serve.auth import Keys
    except ModuleNotFoundError as error:
        raise MissingExtra("`vultus keys`", "server") from error
    keys = Keys.open(args.keys)
    if args.what == "create":
        key, token = keys.create(args.name, args.role)
        if args.json:
            _output.print_json({**key.shown(), "key": token})
        else:
            _output.say(f"{key.name}, {key.role}; keep this key, it cannot be shown again:")
            print(token)
        return 0
    if args.what == "revoke":
        key = keys.revoke(args.id)
        if args.json:
            _output.print_json(key.shown())
        else:
            _output.say(f"{key.id} ({key.name}) is revoked")
        return 0
    if args.json:
        _output.print_json([key.shown() for key in keys.list()])
        return 0
    table = _output.table("=id", "name", "=role", "=made", "=revoked")
    for key in keys.list():
        table.add(key.id, key.name, key.role, key.created_at, key.revoked_at or "")
    _output.console().print(table)
    return 0

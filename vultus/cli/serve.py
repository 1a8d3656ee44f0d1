"""`vultus serve`: the HTTP server and its page."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from vultus.cli import _options
from vultus.cli.keys import add_key_file
from vultus.errors import InputError, MissingExtra, StoreError

if TYPE_CHECKING:
    from vultus.serve.auth import Keys

LOCAL = ("localhost", "127.0.0.1", "[::1]")


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    _options.add_gallery(parser)
    add_key_file(parser)
    group = parser.add_argument_group("server")
    group.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s, this machine)")
    group.add_argument("--port", type=_port, default=8040, help="port to listen on, 0 for a free one (default: 8040)")
    group.add_argument(
        "--server-name",
        action="append",
        default=[],
        metavar="NAME",
        help="name that requests may ask for (header Host) when it listens on more than this machine; repeatable",
    )
    group.add_argument("--no-auth", action="store_true", help="ask for no key; on this machine's own address only")
    group.add_argument("--metrics-open", action="store_true", help="/metrics needs no key")
    group.add_argument(
        "--import-folder", action="append", default=[], metavar="FOLDER", help="jobs may import below it; repeatable"
    )
    group.add_argument("--log", choices=["debug", "info", "warning", "error"], default="info", help="what is logged")
    _options.add_pipeline(parser)


def run(args: argparse.Namespace) -> int:
    """Serve until SIGTERM or Ctrl-C."""
    try:
        from vultus.serve import logs, server
        from vultus.serve.app import Options, create_app
        from vultus.serve.auth import Keys
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] == "vultus":
            raise
        raise MissingExtra("`vultus serve`", "server") from error
    local = server.is_loopback(args.host)
    if args.no_auth and not local:
        raise InputError(f"--no-auth: expected an address of this machine only, got --host {args.host}")
    folders = tuple(Path(folder).resolve() for folder in args.import_folder)
    for folder in folders:
        if not folder.is_dir():
            raise InputError(f"--import-folder: expected a folder, got {folder}")
    pipe = _options.pipeline(args)
    keys = Keys.open(args.keys)
    options = Options(
        hosts=LOCAL if local else tuple(name.lower() for name in args.server_name),
        auth=not args.no_auth,
        metrics_open=args.metrics_open,
        folders=folders,
        state=keys.path.parent / "serve",
    )
    logs.set_up(args.log)
    app = create_app(args.gallery, pipe=pipe, keys=keys, options=options)
    sock = server.listen(args.host, args.port)
    address = f"http://{args.host}:{sock.getsockname()[1]}"
    first = None if args.no_auth or any(key.revoked_at is None for key in keys.list()) else _first_key(keys)
    server.run(app, sock, ready=lambda: _tell(address, first, keys))
    return 0


def _first_key(keys: Keys) -> str:
    """An admin's key, so that somebody can begin."""
    _, token = keys.create("first", "admin")
    return token


def _tell(address: str, token: str | None, keys: Keys) -> None:
    """Where the server is; the first key is shown on a terminal, or else written where only its owner can read it."""
    if token is None:
        print(f"vultus: serving at {address}", flush=True)
    elif sys.stdout.isatty():
        print(f"vultus: serving at {address}", flush=True)
        print(f"vultus: the first key, shown this once: {token}", flush=True)
        print(f"vultus: open {address}/#key={token}", flush=True)
    else:
        path = keys.path.with_name("first-key.txt")
        _write_secret(path, token)
        print(f"vultus: serving at {address}; the first key is in {path}: move it to where you keep keys", flush=True)


def _write_secret(path: Path, token: str) -> None:
    try:
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
            file.write(token + "\n")
    except OSError as error:
        raise StoreError(f"{path}: the first key cannot be written: {error.strerror}") from error


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to 65535, got {text!r}")
    return int(text)

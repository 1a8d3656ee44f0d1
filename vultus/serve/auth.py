"""API keys: who may do what. A key is 256 random bits; the file keeps its hash, never the key.

A key is written `vlt_<id>_<secret>`. The id finds the row, the secret is compared in constant time with its hash. A
hash without salt and stretching is enough here: nobody guesses 256 random bits, and a slow hash would be a lever for
those who want to slow the server down.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import os
import re
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, get_args

from vultus.errors import InputError, StoreError
from vultus.io.files import write_atomic
from vultus.serve.roles import Role
from vultus.zoo import store

__all__ = ["Key", "Keys"]

FORMAT = "vultus-keys-1"
_TOKEN = re.compile(r"vlt_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
_NOBODY = hashlib.sha256(b"").hexdigest()  # compared with when there is no such id, so that both take the same time


@dataclass(frozen=True, slots=True)
class Key:
    """One row of the key file.

    Attributes:
        id: 12 hex digits; part of the key, and what logs and audits name.
        name: whose it is, in the operator's words.
        role: see `vultus.serve.roles`.
        sha256: of the secret, hex.
        created_at: UTC, ISO 8601.
        revoked_at: likewise, or None while it is valid.
    """

    id: str
    name: str
    role: Role
    sha256: str
    created_at: str
    revoked_at: str | None = None

    def shown(self) -> dict[str, Any]:
        """Everything but the hash."""
        return {key: value for key, value in asdict(self).items() if key != "sha256"}


class Keys:
    """The key file: made with mode 0600, replaced as a whole, read again when another process has changed it.

    Args:
        path: of the file; it need not exist.
        most: how many keys it may hold.
    """

    def __init__(self, path: str | os.PathLike[str], *, most: int = 1000) -> None:
        self.path = Path(path)
        self.most = most
        self._lock = threading.Lock()
        self._stamp: tuple[int, int, int] | None = None
        self._keys: dict[str, Key] = {}
        self._signing = b""

    @classmethod
    def open(cls, path: str | os.PathLike[str] | None = None) -> Keys:
        """The key file of this user, `$VULTUS_HOME/keys.json`, unless another is given."""
        return cls(path if path is not None else store.home() / "keys.json")

    def list(self) -> list[Key]:
        """All keys, revoked ones included, in the order of their making."""
        self._refresh()
        return list(self._keys.values())

    def create(self, name: str, role: Role, *, most_chars: int = 200) -> tuple[Key, str]:
        """Make a key; the whole of it is returned here and can never be shown again.

        Raises:
            InputError: if the name is blank or too long, there is no such role, or the file is full.
            StoreError: if the file cannot be written.
        """
        name = name.strip() if isinstance(name, str) else ""
        if not 1 <= len(name) <= most_chars or any(c < " " or c == "\x7f" for c in name):
            raise InputError(f"name: expected 1 to {most_chars} letters, on one line, that say whose key it is")
        if role not in get_args(Role):
            raise InputError(f"role: expected one of {', '.join(get_args(Role))}, got {role!r}")
        secret = secrets.token_urlsafe(32)
        key = Key(secrets.token_hex(6), name, role, _hash(secret), _now())
        with self._changing():
            if len(self._keys) >= self.most:
                raise InputError(f"keys: the file holds {self.most} already: delete those that are revoked")
            self._keys[key.id] = key
        return key, f"vlt_{key.id}_{secret}"

    def revoke(self, key_id: str) -> Key:
        """Make a key invalid from now on.

        Raises:
            InputError: if there is no such key.
        """
        with self._changing():
            key = self._keys.get(key_id)
            if key is None:
                raise InputError(f"key: expected the id of a key, got {key_id!r}: see `vultus keys list`")
            if key.revoked_at is None:
                key = self._keys[key.id] = replace(key, revoked_at=_now())
        return key

    def check(self, token: str) -> Key | None:
        """The valid key that this is, or None."""
        self._refresh()
        match = _TOKEN.fullmatch(token)
        key = self._keys.get(match[1]) if match else None
        given = _hash(match[2] if match else token)
        right = hmac.compare_digest(given, key.sha256 if key else _NOBODY)
        return key if right and key is not None and key.revoked_at is None else None

    def signing_key(self) -> bytes:
        """32 random bytes of this file, for cursors; made at the first call."""
        self._refresh()
        if not self._signing:
            with self._changing():
                self._signing = self._signing or secrets.token_bytes(32)
        return self._signing

    # -- the file ------------------------------------------------------------------------------------------------

    def _refresh(self) -> None:
        """Read the file again if it is not the one read last."""
        with self._lock:
            self._read()

    def _read(self) -> None:
        try:
            about = self.path.stat()
        except FileNotFoundError:
            self._keys, self._signing, self._stamp = {}, b"", None
            return
        except OSError as error:
            raise StoreError(f"{self.path}: the key file cannot be read: {error.strerror}") from error
        stamp = (about.st_ino, about.st_mtime_ns, about.st_size)
        if stamp == self._stamp:
            return
        if about.st_mode & 0o077:
            raise StoreError(f"{self.path}: expected a file that only its owner may read: chmod 600 {self.path}")
        try:
            document = json.loads(self.path.read_text("utf-8"))
            if document["format"] != FORMAT:
                raise ValueError(f"format {document['format']!r}")
            self._keys = {row["id"]: Key(**row) for row in document["keys"]}
            self._signing = bytes.fromhex(document["signing_key"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StoreError(
                f"{self.path}: expected a key file, could not read it: {type(error).__name__}: bring back a copy, or "
                "delete it and make new keys with `vultus keys create`"
            ) from error
        self._stamp = stamp

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """One writer at a time, of this and of other processes; nothing is kept when the block raises."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            guard = os.open(self.path.with_name(f".{self.path.name}.lock"), os.O_CREAT | os.O_RDWR, 0o600)
        except OSError as error:
            raise StoreError(f"{self.path}: the key file cannot be written: {error.strerror}") from error
        try:
            fcntl.flock(guard, fcntl.LOCK_EX)
            with self._lock:
                self._read()
                before = dict(self._keys), self._signing
                try:
                    yield
                    write_atomic(self.path, self._fill)
                except BaseException:
                    self._keys, self._signing = before
                    raise
                self._stamp = None
        finally:
            os.close(guard)

    def _fill(self, file: Any) -> None:
        os.fchmod(file.fileno(), 0o600)  # before the first byte is in it
        rows = [asdict(key) for key in self._keys.values()]
        document = {"format": FORMAT, "signing_key": self._signing.hex(), "keys": rows}
        file.write((json.dumps(document, indent=1) + "\n").encode())


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")

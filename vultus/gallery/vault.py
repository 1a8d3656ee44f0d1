"""Encryption at rest with a key per person, so that destroying one small key makes everything of that person noise.

Two layers. The *gallery key* (32 bytes, given by the caller, never stored) wraps one *data key* (32 random bytes) per
person, and one per face that nobody has named; these lie, wrapped, in the table `keys`. Vectors, references and crops
are sealed under the data key of their owner with AES-256-GCM. Which row it is (its table, key and space) goes in as
associated data, so that a row copied over another one is noticed.

    sealed   1 | nonce (12) | ciphertext and tag (n + 16)
    wrapped  nonce (12) | ciphertext and tag (32 + 16), bound to its owner

Nonces are 96 random bits. Under one key the chance that any two of n are equal is below n^2 / 2^97: 2^-33 after 2^32
uses, where NIST SP 800-38D ends. The gallery key is used once per owner and rotation, a data key once per write of a
row of its owner.

Not sealed: names and attributes (they are searched), boxes, scores, times, file names of pictures, links, the history
and the audit log. Whoever reads the file without the key learns who is in it, and not what they look like. Data keys
lie in the memory of the running process while they are used.

A gallery without encryption has `Vault.plain()`: sealing changes nothing there.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import os
import secrets
import stat
import weakref
from collections.abc import Iterable
from datetime import datetime, timezone
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from vultus.errors import InputError, MissingExtra, Refused, StoreError
from vultus.gallery.audit import Mac
from vultus.gallery.stores.schema import Edit, Row, Rows

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

__all__ = ["KEY_BYTES", "Vault", "load_key", "new_key", "read_key", "write_key"]

KEY_BYTES = 32
KEY_VARIABLE, KEY_FILE_VARIABLE = "VULTUS_GALLERY_KEY", "VULTUS_GALLERY_KEY_FILE"
_CIPHER, _VERSION, _NONCE, _TAG = "AES-256-GCM", b"\x01", 12, 16


class Vault:
    """Seals and opens what is kept of people; made by `Vault.open`, `Vault.plain` or `Vault.start`."""

    def __init__(self, key: bytes | None, mac: Mac | None = None) -> None:
        self._key = key
        self._mac = mac
        self._seen: weakref.ref[Rows] | None = None

    def __repr__(self) -> str:
        return f"Vault({'encrypted' if self.encrypted else 'plain'})"

    def __reduce__(self) -> NoReturn:
        raise Refused("a vault is not sent to another process, as its key would go with it: open the gallery there")

    @staticmethod
    def plain() -> Vault:
        """The vault of a gallery that is not encrypted."""
        return Vault(None)

    @staticmethod
    def open(rows: Rows, key: bytes | None) -> Vault:
        """The vault of a gallery.

        Args:
            rows: a view of it.
            key: the gallery key, 32 bytes, or None for a gallery that is not encrypted.

        Raises:
            Refused: if the gallery is encrypted and the key is missing or another one, or if it is not encrypted and
                a key is given.
            MissingExtra: if the gallery is encrypted and `cryptography` is not installed.
        """
        lock = _lock(rows)
        if lock is None:
            if key is not None:
                raise Refused(
                    "a key was given, but this gallery is not encrypted: open it without one, or run `vultus gallery"
                    " encrypt`"
                )
            return Vault.plain()
        if key is None:
            raise Refused(
                f"this gallery is encrypted: give its key, set {KEY_VARIABLE} (base64), or name a file that holds it in"
                f" {KEY_FILE_VARIABLE}"
            )
        _checked_key(key)
        if not hmac.compare_digest(str(lock["check"]), _check_value(key)):
            raise Refused("this is not the key of this gallery: give the key that it was encrypted with last")
        return Vault(key, _mac(rows, key))

    @staticmethod
    def start(edit: Edit, key: bytes) -> Vault:
        """Turn encryption on. What is there already is not sealed by this: the caller seals it in the same transaction.

        Raises:
            Refused: if the gallery is encrypted already.
            MissingExtra: if `cryptography` is not installed.
        """
        if _lock(edit) is not None:
            raise Refused("this gallery is encrypted already: `vultus gallery rotate-key` gives it another key")
        _checked_key(key)
        _put_lock(edit, key)
        head = edit.get("facts", "audit_head")
        since = 1 + (int(json.loads(head["value"])["seq"]) if head else 0)
        mac = Mac(secrets.token_bytes(KEY_BYTES), since)
        _put_mac(edit, key, mac)
        return Vault(key, mac)

    @property
    def encrypted(self) -> bool:
        """Whether sealing does anything."""
        return self._key is not None

    @property
    def mac(self) -> Mac | None:
        """What the audit log of an encrypted gallery is authenticated with."""
        return self._mac

    def seal(self, edit: Edit, owner: str, plain: bytes, context: str) -> bytes:
        """Bytes to keep in place of `plain`.

        Args:
            edit: the transaction; the owner's data key is made in it when there is none.
            owner: the id of a person, or "face:" and the id of a face that nobody has named.
            plain: what is to be kept.
            context: which row this is, such as "vector", key and space joined by NUL; needed again to open it.

        Raises:
            StoreError: if the gallery was encrypted, or got another key, since it was opened.
        """
        self._current(edit)
        if self._key is None:
            return plain
        row = edit.get("keys", owner)
        if row is None:
            data_key = secrets.token_bytes(KEY_BYTES)
            edit.put("keys", _key_row(owner, _wrap(self._key, data_key, owner)))
        else:
            data_key = _unwrap(self._key, row["wrapped"], owner)
        nonce = secrets.token_bytes(_NONCE)
        return _VERSION + nonce + _cipher(data_key).encrypt(nonce, plain, _bound(owner, context))

    def unseal(self, rows: Rows, owner: str, blob: bytes, context: str) -> bytes:
        """What was sealed for this owner in this context.

        Raises:
            StoreError: if the owner's key is gone, or the bytes are damaged, of another owner, or of another row.
        """
        self._current(rows)
        if self._key is None:
            return blob
        row = rows.get("keys", owner)
        return _open(self._key, None if row is None else row["wrapped"], owner, blob, context)

    def unseal_many(self, rows: Rows, items: Iterable[tuple[str, bytes, str]]) -> list[bytes]:
        """`unseal` of many (owner, blob, context): reads the keys once instead of one by one."""
        self._current(rows)
        if self._key is None:
            return [blob for _, blob, _ in items]
        wrapped = {row["owner"]: row["wrapped"] for row in rows.find("keys")}
        return [_open(self._key, wrapped.get(owner), owner, blob, context) for owner, blob, context in items]

    def forget(self, edit: Edit, owner: str) -> bool:
        """Destroy an owner's data key: what is sealed under it can be opened by nobody. Whether there was one.

        The wrapped key is unreadable in the files only after `Store.compact`.
        """
        return edit.delete("keys", owner=owner) > 0

    def rewrap(self, edit: Edit, old_key: bytes, new_key: bytes) -> int:
        """Give the gallery another key: every data key is wrapped again, and no sealed row changes. How many keys.

        This vault and every other one that is open stop working: open the gallery again with the new key. Copies made
        earlier still open with the old key; only when that is destroyed are they noise.

        Raises:
            Refused: if the gallery is not encrypted, or `old_key` is not its key.
        """
        if _lock(edit) is None:
            raise Refused("this gallery is not encrypted: run `vultus gallery encrypt` first")
        mac = Vault.open(edit, old_key).mac
        _checked_key(new_key)
        done, at = 0, None
        while page := edit.after("keys", at, 1000):
            at = (page[-1]["owner"],)
            for row in page:
                data_key = _unwrap(old_key, row["wrapped"], row["owner"])
                edit.put("keys", {**row, "wrapped": _wrap(new_key, data_key, row["owner"])})
            done += len(page)
        _put_lock(edit, new_key)
        if mac is not None:
            _put_mac(edit, new_key, mac)
        return done

    def _current(self, rows: Rows) -> None:
        """Refuse to work on a gallery that another process has encrypted or given another key; once per view."""
        if self._seen is not None and self._seen() is rows:
            return
        lock = _lock(rows)
        mine = None if self._key is None else _check_value(self._key)
        if mine != (None if lock is None else lock["check"]):
            raise StoreError(
                "the gallery was encrypted, or got another key, since it was opened: open it again with its key"
            )
        try:
            self._seen = weakref.ref(rows)
        except TypeError:  # a view that cannot be remembered is asked every time
            self._seen = None


def new_key() -> bytes:
    """A gallery key: 32 random bytes. Keep it where the gallery and its backups are not."""
    return secrets.token_bytes(KEY_BYTES)


def write_key(path: str | PathLike[str], key: bytes) -> None:
    """Write a key as base64 to a new file that only its owner may read (0600).

    Raises:
        StoreError: if the file is there already or cannot be written.
    """
    _checked_key(key)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(base64.b64encode(key).decode() + "\n")
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError as error:
        raise StoreError(f"{os.fspath(path)}: a file is there already, and a key is never overwritten") from error
    except OSError as error:
        raise StoreError(f"{os.fspath(path)}: the key cannot be written: {error.strerror}") from error


def load_key() -> bytes | None:
    """The gallery key of this process: $VULTUS_GALLERY_KEY (base64), or the file $VULTUS_GALLERY_KEY_FILE; else None.

    Raises:
        InputError: if both are set, or what they hold is not base64 of 32 bytes.
        StoreError: if the file cannot be read.
        Refused: if others than its owner may read the file.
    """
    text, file = os.environ.get(KEY_VARIABLE), os.environ.get(KEY_FILE_VARIABLE)
    if text and file:
        raise InputError(f"expected one of {KEY_VARIABLE} and {KEY_FILE_VARIABLE}, got both: unset one")
    if text:
        return _decoded(KEY_VARIABLE, text)
    return read_key(file) if file else None


def read_key(path: str | PathLike[str]) -> bytes:
    """The key in a file, which only its owner may read; errors as of `load_key`."""
    try:
        with Path(path).open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = file.read(4096)
    except OSError as error:
        raise StoreError(f"{os.fspath(path)}: the key cannot be read: {error.strerror}") from error
    if os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise Refused(
            f"{os.fspath(path)}: others may read this key (mode {stat.S_IMODE(mode):04o}): run chmod 600 on it"
        )
    return _decoded(os.fspath(path), content.decode("ascii", errors="replace"))


def _decoded(where: str, text: str) -> bytes:
    try:
        key = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InputError(f"{where}: expected a key of {KEY_BYTES} bytes as base64, got other letters") from error
    if len(key) != KEY_BYTES:
        raise InputError(f"{where}: expected a key of {KEY_BYTES} bytes as base64, got {len(key)} bytes")
    return key


def _checked_key(key: bytes) -> None:
    if not isinstance(key, bytes) or len(key) != KEY_BYTES:
        raise InputError(
            f"key: expected {KEY_BYTES} bytes, got {len(key) if isinstance(key, bytes) else type(key).__name__}"
        )
    _cipher(key)  # says that the extra is missing before anything is written


def _cipher(key: bytes) -> AESGCM:
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    except ImportError as error:
        raise MissingExtra("an encrypted gallery", "encrypt") from error
    return AESGCM(key)


def _bound(*parts: str) -> bytes:
    """Associated data: the parts with their lengths, so that no two lists of parts give the same bytes."""
    encoded = [part.encode() for part in ("vultus", *parts)]
    return b"".join(len(part).to_bytes(4, "big") + part for part in encoded)


def _wrap(gallery_key: bytes, secret: bytes, owner: str) -> bytes:
    nonce = secrets.token_bytes(_NONCE)
    return nonce + _cipher(gallery_key).encrypt(nonce, secret, _bound("key", owner))


def _unwrap(gallery_key: bytes, wrapped: bytes, owner: str) -> bytes:
    from cryptography.exceptions import InvalidTag

    if len(wrapped) != _NONCE + KEY_BYTES + _TAG:
        raise StoreError(f"the key of {owner!r} is damaged: restore a backup")
    try:
        return _cipher(gallery_key).decrypt(wrapped[:_NONCE], wrapped[_NONCE:], _bound("key", owner))
    except InvalidTag as error:
        raise StoreError(f"the key of {owner!r} is damaged or of somebody else: restore a backup") from error


def _open(gallery_key: bytes, wrapped: bytes | None, owner: str, blob: bytes, context: str) -> bytes:
    if wrapped is None:
        raise StoreError(f"the key of {owner!r} is gone: what was sealed under it cannot be read any more")
    cipher = _cipher(_unwrap(gallery_key, wrapped, owner))
    from cryptography.exceptions import InvalidTag

    if len(blob) < 1 + _NONCE + _TAG or blob[:1] != _VERSION:
        raise StoreError(f"what is kept of {owner!r} is damaged: restore a backup")
    try:
        return cipher.decrypt(blob[1 : 1 + _NONCE], blob[1 + _NONCE :], _bound(owner, context))
    except InvalidTag as error:
        raise StoreError(
            f"what is kept of {owner!r} is damaged or lies in another row's place: restore a backup"
        ) from error


def _lock(rows: Rows) -> dict[str, str] | None:
    row = rows.get("facts", "encrypted")
    if row is None:
        return None
    try:
        lock = json.loads(row["value"])
        known = lock["cipher"] == _CIPHER and isinstance(lock["check"], str)
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError("the gallery's note of how it is encrypted is damaged: restore a backup") from error
    if not known:
        raise StoreError(
            f"expected a gallery encrypted with {_CIPHER}, got {lock['cipher']!r}: use the vultus it is from"
        )
    return {"cipher": lock["cipher"], "check": lock["check"]}


def _put_lock(edit: Edit, key: bytes) -> None:
    value = json.dumps({"cipher": _CIPHER, "check": _check_value(key)}, sort_keys=True)
    edit.put("facts", {"key": "encrypted", "value": value})


def _check_value(key: bytes) -> str:
    """Tells the right key from another one and, the key being random, nothing else."""
    return hmac.new(key, b"vultus gallery key check", hashlib.sha256).hexdigest()


def _mac(rows: Rows, key: bytes) -> Mac | None:
    row = rows.get("facts", "audit_key")
    if row is None:
        raise StoreError("the key of the audit log is missing from this encrypted gallery: restore a backup")
    try:
        kept = json.loads(row["value"])
        since, wrapped = int(kept["since"]), base64.b64decode(kept["wrapped"])
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError("the key of the audit log is damaged: restore a backup") from error
    return Mac(_unwrap(key, wrapped, f"audit since {since}"), since)


def _put_mac(edit: Edit, key: bytes, mac: Mac) -> None:
    wrapped = base64.b64encode(_wrap(key, mac.key, f"audit since {mac.since}")).decode()
    edit.put("facts", {"key": "audit_key", "value": json.dumps({"since": mac.since, "wrapped": wrapped})})


def _key_row(owner: str, wrapped: bytes) -> Row:
    return {
        "owner": owner,
        "wrapped": wrapped,
        "made_at": datetime.now(timezone.utc).isoformat(timespec="microseconds"),
    }

"""Who did what to the gallery and when: rows that are only added, each holding the hash of the one before.

    hash = sha256(previous hash, newline, canonical JSON of [seq, at, actor, verb, subject, details])

In an encrypted gallery it is HMAC-SHA256 with a key of the log's own, which lies wrapped beside it.

What the chain shows, by `verify`: a row that was altered, removed, added between others or moved; and, by the number
and hash of the last row, which are kept in `facts`, a log that was cut at its end. What it cannot show: somebody who
may write the file can also write all of it anew, hashes and last row included. Against that helps what such a person
does not have: the gallery key, without which rows of an encrypted gallery cannot be made up; or the end of the log as
it was exported (`vultus audit export`) and kept elsewhere. Handed to `verify` as `pinned`, it fixes everything before
it, whoever rewrote that. An act that never wrote a row is in no log.

The log is no place for biometrics or names. Details are numbers, yes or no, words from a fixed list and ids; every key
is named in `DETAILS`, and another one is refused. An id that is not 16 or more hexadecimal digits may have been chosen
by a person and may say who it is ("ada"), so its digest is written instead: see `pseudonym`. The actor is written as
given.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from vultus.errors import InputError, StoreError
from vultus.gallery.stores.schema import Edit, Row, Rows

__all__ = ["DETAILS", "START", "Mac", "Pin", "append", "export", "head", "page", "pseudonym", "verify"]

START = "0" * 64
_PAGE = 1000
_HEX_ID = re.compile(r"[0-9a-f]{16,64}")
_PSEUDONYM = re.compile(r"h:[0-9a-f]{16}")
_SPACE = re.compile(r"[A-Za-z0-9_.+-]{1,80}@[0-9a-f]{12}")
_VERB = re.compile(r"[a-z][a-z_]{1,31}")


def _names(text: str) -> list[str]:
    return text.split()


_WORDS = _names(
    "must cannot not_person enroll user cluster import sqlite postgresql milvus photo face person accept reject abstain"
    " merge split assign unassign rename link unlink set_exclusive name_cluster"
)


@dataclass(frozen=True)
class Mac:
    """The key of the log of an encrypted gallery; rows from number `since` on are authenticated with it."""

    key: bytes
    since: int

    def __repr__(self) -> str:
        return f"Mac(since={self.since})"


@dataclass(frozen=True)
class Pin:
    """The head of the log at one time, to be kept away from the gallery.

    Attributes:
        seq: number of the last row; also how many there were.
        hash: of that row.
    """

    seq: int
    hash: str

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"seq": self.seq, "hash": self.hash}


def _count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**53


def _rate(value: Any) -> bool:
    return value is None or (isinstance(value, (int, float)) and not isinstance(value, bool) and -1e9 < value < 1e9)


def _flag(value: Any) -> bool:
    return isinstance(value, bool)


def _word(value: Any) -> bool:
    return isinstance(value, str) and value in _WORDS


def _space(value: Any) -> bool:
    return value is None or (isinstance(value, str) and _SPACE.fullmatch(value) is not None)


def _id(value: Any) -> bool:
    return value is None or (isinstance(value, str) and bool(value))


# What a row may tell: key -> what its value may be. Values of `_id` are written as `pseudonym`s.
DETAILS: Mapping[str, Callable[[Any], bool]] = {
    **dict.fromkeys(
        _names(
            "people faces photos media templates vectors crops links undo keys changes adapters audit clusters indexes"
            " rows known added removed files seq undone of"
        ),
        _count,
    ),
    **dict.fromkeys(_names("fmr fpir fnmr threshold quality purity seconds"), _rate),
    **dict.fromkeys(_names("exclusive encrypted forced verified resumed"), _flag),
    **dict.fromkeys(_names("kind by store action"), _word),
    **dict.fromkeys(_names("space source_space target_space"), _space),
    **dict.fromkeys(_names("person absorbed into face other link cluster receipt"), _id),
}


def pseudonym(key: str) -> str:
    """An id as the log writes it: hexadecimal ids as they are, every other one as "h:" and 16 digits of its sha256.

    Whoever has the id finds its rows; whoever has the log would have to guess the id.
    """
    if not isinstance(key, str) or not key:
        raise InputError(f"id: expected some text, got {key!r}")
    if _HEX_ID.fullmatch(key) or _PSEUDONYM.fullmatch(key):
        return key
    return "h:" + hashlib.sha256(key.encode("utf-8", errors="surrogatepass")).hexdigest()[:16]


def append(
    edit: Edit, *, actor: str, verb: str, subject: str = "", details: Mapping[str, Any] | None = None, mac: Mac | None
) -> Row:
    """Add a row, in the transaction of what it tells of.

    Args:
        edit: the transaction.
        actor: who did it: a user of the machine, the name of a token, "local".
        verb: what was done, such as "enroll" or "erase".
        subject: the id of the person, face, link or cluster it was done to; "" for the gallery itself.
        details: counts, rates, ids; keys of `DETAILS` only.
        mac: `Vault.mac`.

    Returns:
        The row; its "seq" and "hash" go into receipts.

    Raises:
        InputError: if a detail is not one of `DETAILS`, or its value is of another kind.
        StoreError: if the note of the log's end does not fit its rows.
    """
    if not isinstance(actor, str) or not 0 < len(actor) <= 200 or not actor.isprintable():
        raise InputError(f"actor: expected 1 to 200 printable letters, got {actor!r}")
    if not isinstance(verb, str) or not _VERB.fullmatch(verb):
        raise InputError(f"verb: expected small letters and _, got {verb!r}")
    last = head(edit)
    if last.seq and (edit.get("audit", last.seq) or {"hash": None})["hash"] != last.hash:
        raise StoreError(f"the audit log does not end at row {last.seq} as noted: run `vultus audit verify`")
    row: Row = {
        "seq": last.seq + 1,
        "at": datetime.now(timezone.utc).isoformat(timespec="microseconds"),
        "actor": actor,
        "verb": verb,
        "subject": pseudonym(subject) if subject else "",
        "details": _checked(details or {}),
        "previous": last.hash,
    }
    row["hash"] = _hash(row, mac)
    edit.put("audit", row)
    edit.put("facts", {"key": "audit_head", "value": json.dumps({"seq": row["seq"], "hash": row["hash"]})})
    return row


def head(rows: Rows) -> Pin:
    """Where the log ends, as noted in `facts`; seq 0 while it is empty."""
    row = rows.get("facts", "audit_head")
    if row is None:
        return Pin(0, START)
    try:
        kept = json.loads(row["value"])
        return Pin(int(kept["seq"]), str(kept["hash"]))
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError("the note of where the audit log ends is damaged: restore a backup") from error


def page(rows: Rows, after: int = 0, limit: int = 100) -> list[Row]:
    """Up to `limit` rows after number `after`, oldest first."""
    return rows.after("audit", (after,) if after else None, limit)


def verify(rows: Rows, *, mac: Mac | None, pinned: Pin | None = None) -> list[str]:
    """Everything wrong with the log, in words; empty when nothing is.

    Args:
        rows: a view of the gallery.
        mac: `Vault.mac`.
        pinned: a head exported earlier and kept elsewhere: the log must still contain it.
    """
    found: list[str] = []
    hashes: dict[int, str] = {}
    previous, expected = START, 1
    for row in _all(rows):
        seq = row["seq"]
        if seq != expected:
            found.append(
                f"rows {expected} to {seq - 1} are missing" if seq - 1 > expected else f"row {expected} is missing"
            )
        elif row["previous"] != previous:
            found.append(f"row {seq} does not follow on row {seq - 1}: one of them was altered, moved or added")
        if not hmac.compare_digest(_hash(row, mac), str(row["hash"])):
            found.append(f"row {seq} was altered")
        try:
            _checked(row["details"])
        except InputError as error:
            found.append(f"row {seq} holds what the log never writes: {error}")
        if pinned is not None and seq == pinned.seq:
            hashes[seq] = row["hash"]
        previous, expected = row["hash"], seq + 1
    end = head(rows)
    if end.seq >= expected:
        found.append(f"the log was cut: it ends at row {expected - 1}, and {end.seq} were written")
    elif end.seq < expected - 1:
        found.append(
            f"the log goes on after row {end.seq}, where it is noted to end: rows were added or the note was set back"
        )
    elif end.hash != previous:
        found.append(f"the last row, {end.seq}, is not the one that is noted as the last")
    if pinned is not None and pinned.seq and hashes.get(pinned.seq) != pinned.hash:
        what = "is not the one that was exported" if pinned.seq in hashes else "was exported and is missing"
        found.append(f"row {pinned.seq} {what}: the log was rewritten since")
    return found


def export(rows: Rows) -> Iterator[dict[str, Any]]:
    """Every row as plain JSON values, oldest first; the last one is the pin: {"head": {"seq", "hash"}}."""
    yield from _all(rows)
    yield {"head": head(rows).to_dict()}


def _all(rows: Rows) -> Iterator[Row]:
    at: tuple[int, ...] | None = None
    while found := rows.after("audit", at, _PAGE):
        yield from found
        at = (found[-1]["seq"],)


def _hash(row: Row, mac: Mac | None) -> str:
    told = [row[key] for key in ("seq", "at", "actor", "verb", "subject", "details")]
    text = json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    content = f"{row['previous']}\n{text}".encode("utf-8", errors="surrogatepass")
    if mac is not None and row["seq"] >= mac.since:
        return hmac.new(mac.key, content, hashlib.sha256).hexdigest()
    return hashlib.sha256(content).hexdigest()


def _checked(details: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(details, Mapping):
        raise InputError(f"details: expected names with values, got {type(details).__name__}")
    kept: dict[str, Any] = {}
    for key, value in details.items():
        check = DETAILS.get(key)
        if check is None:
            raise InputError(f"details: {key!r} is not written to the log; it takes {', '.join(sorted(DETAILS))}")
        if not check(value):
            raise InputError(f"details: {key!r} cannot be {type(value).__name__} {str(value)[:40]!r} in the log")
        kept[key] = pseudonym(value) if check is _id and value is not None else value
    return kept

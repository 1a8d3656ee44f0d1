"""Who may write: one process of one machine at a time.

Milvus cannot compare and swap, so the machines draw tickets as in Lamport's bakery, which needs nothing but that what
was written is seen by whoever reads afterwards (consistency level "Strong"). Processes of one machine first wait for a
lock on a file, which the system gives back when its holder is killed. A ticket whose holder gives no sign for
`LEASE_SECONDS` is taken away; its holder notices by its own clock, before anybody else can, and gives up.
"""

from __future__ import annotations

import contextlib
import os
import socket
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from vultus.errors import StoreError
from vultus.gallery.stores import _milvus_open
from vultus.gallery.stores._milvus_open import Link, Place

__all__ = ["LEASE_SECONDS", "Turn", "lock_file", "taken"]

LEASE_SECONDS = 30.0


@dataclass
class Turn:
    """The right to write.

    Attributes:
        number: rises with every writer.
        token: of this writer alone.
        orphaned: a ticket was taken away: its holder may still be writing.
    """

    link: Link
    number: int
    token: str
    host: str = ""
    beat: int = 0
    seen: float = 0.0
    orphaned: bool = False

    def alive(self) -> bool:
        """Whether nobody else can have begun to write."""
        return not self.host or time.monotonic() - self.seen < 0.8 * LEASE_SECONDS

    def sign(self) -> None:
        """Give a sign of life when it is time.

        Raises:
            StoreError: if it is too late: others may think that this writer is gone.
        """
        if not self.host:
            return
        now = time.monotonic()
        if self.seen and not self.alive():
            raise StoreError(
                f"{self.link.place.url}: this write was silent for {now - self.seen:.0f} s, so others may have begun: "
                "nothing of it was kept; prepare first, then write"
            )
        if not self.seen or now - self.seen > LEASE_SECONDS / 3:
            self.beat += 1
            entity = {"pk": self.token, "number": self.number, "beat": self.beat, "host": self.host}
            self.link.put(self.link.place.name("tickets"), [entity])
            self.seen = now


@contextlib.contextmanager
def taken(link: Link, newest: Callable[[], int]) -> Iterator[Turn]:
    """Wait for the right to write; `newest` gives the number of the newest commit, which the turn's is above.

    Raises:
        StoreError: if others write for `BUSY_SECONDS`.
    """
    turn = Turn(link, 1, uuid.uuid4().hex)
    with _locked(link.place) as host:
        if link.place.file is not None or not host:
            yield turn
            return
        turn.host = host
        tickets = link.place.name("tickets")
        try:
            link.load(tickets)
            _draw(turn, tickets, newest())
            yield turn
        finally:
            with contextlib.suppress(StoreError):  # it will be taken away
                link.remove(tickets, f'pk == "{turn.token}"')


def _draw(turn: Turn, tickets: str, newest: int) -> None:
    link, place = turn.link, turn.link.place
    turn.number = 0  # is choosing
    turn.sign()
    others = [t for t in link.page(tickets, "number >= 0", ["number", "host"]) if t["pk"] != turn.token]
    dead = [t["pk"] for t in others if t["host"] == turn.host]  # we hold their lock
    turn.number = 1 + max([newest, *(int(t["number"]) for t in others)])
    turn.seen = 0.0
    turn.sign()
    deadline = time.monotonic() + _milvus_open.BUSY_SECONDS
    watched: dict[str, tuple[int, float]] = {}
    while True:
        now = time.monotonic()
        ahead = []
        for ticket in link.page(tickets, "number >= 0", ["number", "beat", "host"]):
            key, beat = ticket["pk"], int(ticket["beat"])
            behind = ticket["number"] and (int(ticket["number"]), key) > (turn.number, turn.token)
            if key == turn.token or behind:
                continue
            if watched.setdefault(key, (beat, now))[0] != beat:
                watched[key] = (beat, now)
            if key in dead or now - watched[key][1] > LEASE_SECONDS:
                turn.orphaned |= key not in dead
                link.remove(tickets, f'pk == "{key}"')
            else:
                ahead.append(key)
        if not ahead:
            return
        if now > deadline:
            raise StoreError(
                f"{place.url}: another machine has been writing for {_milvus_open.BUSY_SECONDS:.0f} s: try again when "
                "it is done"
            )
        turn.sign()
        time.sleep(0.05)


def lock_file(place: Place) -> Path:
    """The file that writers of one machine lock."""
    if place.file:
        return place.file / "WRITER"
    digest = blake2b(f"{place.uri}/{place.database} {place.prefix}".encode(), digest_size=8).hexdigest()
    return Path(tempfile.gettempdir()) / f"vultus-{os.getuid()}-{digest}.lock"


@contextlib.contextmanager
def _locked(place: Place) -> Iterator[str]:
    """The lock that writers of one machine hold; gives a name that all of them share and no other machine has."""
    try:
        import fcntl
    except ImportError:  # Windows: each process is a machine of its own
        yield f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex}"
        return
    file = lock_file(place)
    number = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        deadline = time.monotonic() + _milvus_open.BUSY_SECONDS
        while True:
            try:
                fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() > deadline:
                    raise StoreError(
                        f"{place.url}: another process has been writing for {_milvus_open.BUSY_SECONDS:.0f} s: try "
                        "again when it is done"
                    ) from error
                time.sleep(0.005)
        found = os.fstat(number)
        yield f"{socket.gethostname()}:{found.st_dev}:{found.st_ino}"
    finally:
        os.close(number)  # gives the lock back

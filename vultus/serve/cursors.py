"""Cursors of lists: where the next page starts, signed, and good for the list they come from only."""

from __future__ import annotations

import base64
import binascii
import hmac
import json
from typing import Any

from vultus.serve.errors import Problem

__all__ = ["Cursors"]

_MAC = 16  # bytes of the HMAC that are kept


class Cursors:
    """Signs and reads cursors.

    Args:
        key: secret of this server; a cursor outlives a restart when the key does.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def sign(self, where: str, after: Any) -> str:
        """A cursor.

        Args:
            where: the list and its filters.
            after: the last item that was given; plain JSON.
        """
        body = json.dumps(after, separators=(",", ":")).encode()
        return base64.urlsafe_b64encode(self._mac(where, body) + body).rstrip(b"=").decode()

    def read(self, where: str, cursor: str | None) -> Any:
        """What was signed; None for no cursor.

        Raises:
            Problem: 404 if it was not signed here, or for another list.
        """
        if cursor is None:
            return None
        try:
            raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            raw = b""
        mac, body = raw[:_MAC], raw[_MAC:]
        if not hmac.compare_digest(mac, self._mac(where, body)):
            raise Problem(
                404, "NotFound", "cursor: expected one from the same list with the same filters; start without it"
            )
        return json.loads(body)

    def _mac(self, where: str, body: bytes) -> bytes:
        head = where.encode("utf-8", "surrogatepass")
        return hmac.digest(self._key, len(head).to_bytes(4, "big") + head + body, "sha256")[:_MAC]

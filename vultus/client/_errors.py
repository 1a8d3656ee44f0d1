"""What the server answers when it does not do what was asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vultus.errors import VultusError

__all__ = ["ApiError"]


class ApiError(VultusError):
    """The server refused, or could not be reached.

    Attributes:
        status: of HTTP; 0 when no answer came.
        code: one word, such as "NotFound", "Conflict", "SpaceMismatch".
        details: more for programs.
        request_id: by which the operator finds the request in the log, or "".
        retry_after_s: when to ask again, or None.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        details: Mapping[str, Any] | None = None,
        request_id: str = "",
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(f"{code} ({status}): {message}")
        self.status = status
        self.code = code
        self.details = dict(details or {})
        self.request_id = request_id
        self.retry_after_s = retry_after_s

"""What goes wrong, as HTTP: one envelope for every answer that is not a success."""

from __future__ import annotations

from typing import Any

from starlette.responses import JSONResponse

from vultus import errors as house

__all__ = ["STATUS", "Problem", "envelope", "problem_of"]

# by error class; the nearest class that has one decides
STATUS: dict[type[house.VultusError], int] = {
    house.VultusError: 500,
    house.InputError: 422,
    house.NoFace: 422,
    house.SpaceMismatch: 409,
    house.UnknownMethod: 422,
    house.MissingExtra: 501,
    house.WeightsError: 503,
    house.Refused: 403,
    house.StoreError: 503,
}


class Problem(Exception):
    """An answer that is not a success.

    Args:
        status: of HTTP.
        code: one word for programs.
        message: a sentence for people; holds no path of the server, vector or picture.
        details: more for programs.
        retry_after_s: when to ask again, for 429 and 503.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        details: dict[str, Any] | None = None,
        *,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.details = details or {}
        self.retry_after_s = retry_after_s


def problem_of(error: house.VultusError) -> Problem:
    """The answer for an error of the house."""
    status = next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)
    details = {"left": error.left, "right": error.right} if isinstance(error, house.SpaceMismatch) else {}
    wait = 5.0 if status == 503 else None
    if isinstance(error, (house.StoreError, house.WeightsError)):  # their words name paths of this machine
        what = "the gallery cannot be used now" if isinstance(error, house.StoreError) else "a model cannot be used now"
        return Problem(
            status, type(error).__name__, f"{what}: the operator finds the reason in the log", {}, retry_after_s=wait
        )
    return Problem(status, type(error).__name__, str(error), details, retry_after_s=wait)


def envelope(problem: Problem, request_id: str) -> JSONResponse:
    """The answer as it is sent."""
    headers = {}
    if problem.retry_after_s is not None:
        headers["Retry-After"] = str(max(1, round(problem.retry_after_s + 0.5)))
    if problem.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    error = {"code": problem.code, "message": problem.message, "details": problem.details}
    return JSONResponse({"error": error, "request_id": request_id}, problem.status, headers)

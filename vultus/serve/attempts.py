"""How often one key may try one person: enough for work, too little to climb towards a template bit by bit."""

from __future__ import annotations

from vultus.serve.errors import Problem
from vultus.serve.services import Caller, Services
from vultus.serve.views import trusted

__all__ = ["charge"]


def charge(services: Services, caller: Caller, subject: str, n: int = 1) -> None:
    """Count attempts on a person or a picture; roles that are told scores anyway are not counted.

    Raises:
        Problem: 429 when the attempts of this hour are spent; the outcome is then not told.
    """
    if trusted(caller.role):
        return
    wait = services.attempts.take((caller.key_id, subject), n)
    if wait:
        services.metrics.refused.labels("attempts").inc()
        most = services.limits.attempts_per_hour
        raise Problem(
            429, "TooMany", f"this key has tried one person {most} times in an hour: wait", retry_after_s=wait
        )

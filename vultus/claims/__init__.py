"""Show that it works: a claim is a method against a baseline on the same data, budget and seeds, with an interval.

    from vultus.claims import ClaimResult, Context, claim

    @claim(paper=76, minutes=6, scale="nano", seeds=3)
    def sig(ctx: Context) -> ClaimResult: ...

`vultus claim NAME` runs it. What comes out is shown, not-shown, budget, refused or invalid; each is an answer, is
stored and is never tuned until it passes. `docs/guides/claims.md` says how to read and write one.
"""

from __future__ import annotations

from vultus.claims._claim import SCALES, Claim, ClaimResult, claim, claims, find
from vultus.claims._context import Context, OverBudget
from vultus.claims._keeping import keep, page, write_papers
from vultus.claims._picture import SIM
from vultus.claims._results import results
from vultus.claims._run import Outcome, run

__all__ = [
    "SCALES",
    "SIM",
    "Claim",
    "ClaimResult",
    "Context",
    "Outcome",
    "OverBudget",
    "claim",
    "claims",
    "find",
    "keep",
    "page",
    "results",
    "run",
    "write_papers",
]

"""`/v1/security`, `/v1/audit`: at which rate the gallery decides, and who did what."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request

from vultus.serve import answers
from vultus.serve.guard import Guarded, needs
from vultus.serve.paging import Cursor, Limit, after, next_cursor
from vultus.serve.schema import Security
from vultus.serve.security import LEVELS, keep_rate, rate_in_use
from vultus.serve.services import Services, caller_of, services_of

router = APIRouter(prefix="/v1", route_class=Guarded, tags=["operation"])


@router.get("/security", response_model=answers.SecurityOut)
@needs("read")
async def security(request: Request) -> dict[str, Any]:
    """The false match rate in use, and what it and others mean in this gallery."""
    services = services_of(request)
    return await services.call(lambda: _levels(services))


@router.put("/security", response_model=answers.SecurityOut)
@needs("admin", "json")
async def set_security(request: Request, ask: Security) -> dict[str, Any]:
    """Decide at another false match rate from now on, wherever a request names none."""
    services, actor = services_of(request), caller_of(request).actor

    def work() -> dict[str, Any]:
        keep_rate(services, ask.fmr, actor)
        return _levels(services)

    return await services.call(work)


def _levels(services: Services) -> dict[str, Any]:
    calibration, used = services.pipe.calibration, rate_in_use(services)
    rates = sorted({used, *(rate for rate in LEVELS if rate >= calibration.smallest_fmr)}, reverse=True)
    keys = answers.Level.model_fields
    levels = [services.gallery.security(calibration, rate).to_dict() for rate in rates]
    (now,) = [level for level in levels if level["fmr"] == used]
    return {
        "fmr": used,
        "people": now["people"],
        "calibration": calibration.describe(),
        "words": now["words"],
        "levels": [{key: level[key] for key in keys} for level in levels],
    }


@router.get("/audit", response_model=answers.AuditPage)
@needs("admin")
async def audit(request: Request, limit: Limit = 100, cursor: Cursor = None) -> dict[str, Any]:
    """Rows of the audit, the latest first."""
    services = services_of(request)
    before = after(request, "audit", cursor)

    def work() -> list[dict[str, Any]]:
        with services.gallery.store.read() as rows:
            end = rows.count("audit") if before is None else before - 1  # rows are numbered 1, 2, ... without a gap
        start = max(0, end - limit)
        return services.gallery.audit(start, end - start)[::-1]

    rows = await services.call(work)
    more = next_cursor(request, "audit", rows[-1]["seq"]) if rows and rows[-1]["seq"] > 1 else None
    return {"items": rows, "next_cursor": more}


@router.get("/audit/verify", response_model=answers.AuditState)
@needs("admin")
async def verify_audit(request: Request) -> dict[str, Any]:
    """Whether the chain of the audit is whole."""
    services = services_of(request)

    def work() -> dict[str, Any]:
        problems = services.gallery.verify_audit()
        with services.gallery.store.read() as rows:
            return {"ok": not problems, "rows": rows.count("audit"), "problems": problems}

    return await services.call(work)

"""`/v1/jobs`: long work."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request

from vultus.serve import answers
from vultus.serve.errors import Problem
from vultus.serve.guard import Guarded, needs
from vultus.serve.importing import import_folder
from vultus.serve.jobs import Job
from vultus.serve.paging import Cursor, Limit, page_of
from vultus.serve.schema import ImportJob, JobAsk
from vultus.serve.services import caller_of, services_of

router = APIRouter(prefix="/v1", route_class=Guarded, tags=["jobs"])
JobId = Annotated[str, Path(max_length=64)]


def _mine(request: Request, job: Job | None) -> Job:
    """The job, if it may be seen: one's own, or any by an admin; what may not be seen is not there."""
    caller = caller_of(request)
    if job is None or (job.owner != caller.key_id and caller.role != "admin"):
        raise Problem(404, "NotFound", "there is no job of that id that you may see")
    return job


@router.get("/jobs", response_model=answers.JobsPage)
@needs("read")
async def list_jobs(request: Request, limit: Limit = 100, cursor: Cursor = None) -> dict[str, Any]:
    """One's own jobs, all of them for admins; the latest first."""
    caller = caller_of(request)
    found = [job for job in services_of(request).jobs.list() if caller.role == "admin" or job.owner == caller.key_id]
    return page_of(request, f"jobs {caller.key_id}", [job.to_dict() for job in found], limit, cursor)


@router.post("/jobs", response_model=answers.JobOut, status_code=202)
@needs("enroll", "json")
async def start_job(request: Request, ask: JobAsk) -> dict[str, Any]:
    """Start long work: import a folder of this server, or cluster the unknown faces."""
    services, caller = services_of(request), caller_of(request)
    if isinstance(ask, ImportJob):
        work = import_folder(services, ask.path, ask.force, caller.actor)
    else:
        work = partial(services.clusters.find, actor=caller.actor)
    return services.jobs.start(ask.kind, caller.key_id, work).to_dict()


@router.get("/jobs/{job_id}", response_model=answers.JobOut)
@needs("read")
async def get_job(request: Request, job_id: JobId) -> dict[str, Any]:
    """One job: how far it is, or how it ended."""
    return _mine(request, services_of(request).jobs.get(job_id)).to_dict()


@router.post("/jobs/{job_id}/cancel", response_model=answers.JobOut)
@needs("read")
async def cancel_job(request: Request, job_id: JobId) -> dict[str, Any]:
    """Tell a job to stop at its next step; what it has done stays done, and the job stays in the list."""
    services = services_of(request)
    job = _mine(request, services.jobs.get(job_id))
    return (services.jobs.cancel(job.id) or job).to_dict()

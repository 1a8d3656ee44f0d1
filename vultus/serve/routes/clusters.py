"""`/v1/clusters`: unknown faces that look alike, and who they are."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request

from vultus.gallery.records import Cluster
from vultus.serve import answers, directory, views
from vultus.serve.correcting import corrected
from vultus.serve.errors import Problem
from vultus.serve.guard import Guarded, needs
from vultus.serve.paging import Cursor, Limit, page_of
from vultus.serve.roles import allows
from vultus.serve.schema import NameOrPerson
from vultus.serve.security import rate_in_use
from vultus.serve.services import Caller, Services, caller_of, services_of

router = APIRouter(prefix="/v1", route_class=Guarded, tags=["faces"])
SHOWN = 12  # faces of a cluster in a list


@router.get("/clusters", response_model=answers.ClustersPage)
@needs("read")
async def list_clusters(request: Request, limit: Limit = 50, cursor: Cursor = None) -> dict[str, Any]:
    """Clusters, the largest first; keys of at least the role `identify` are also told whom each may show."""
    services, caller = services_of(request), caller_of(request)

    def work() -> dict[str, Any]:
        found = services.clusters.all()
        page = page_of(request, "clusters", [{"id": one.id} for one in found], limit, cursor)
        by_id = {one.id: one for one in found}
        return {**page, "items": [_told(services, caller, by_id[item["id"]]) for item in page["items"]]}

    return await services.call(work)


@router.post("/clusters", response_model=answers.JobOut, status_code=202)
@needs("enroll")
async def start_clustering(request: Request) -> dict[str, Any]:
    """Start to cluster all unknown faces; follow `/v1/jobs/{id}`."""
    services, caller = services_of(request), caller_of(request)
    job = services.jobs.start("cluster", caller.key_id, lambda progress: services.clusters.find(progress, caller.actor))
    return job.to_dict()


@router.post("/clusters/{cluster_id}/name", response_model=answers.PersonOut)
@needs("enroll", "json")
async def name_cluster(
    request: Request, cluster_id: Annotated[str, Path(min_length=1, max_length=200)], ask: NameOrPerson
) -> dict[str, Any]:
    """Say who all faces of a cluster are."""
    services, actor = services_of(request), caller_of(request).actor

    def work() -> dict[str, Any]:
        with services.gallery.store.read() as rows:
            if not rows.count("faces", cluster=cluster_id):
                raise Problem(404, "NotFound", "there is no cluster of that id")
            if ask.person_id is not None:
                directory.known_person(rows, ask.person_id)
        person = services.gallery.name_cluster(cluster_id, name=ask.name, person_id=ask.person_id, actor=actor)
        with services.gallery.store.read() as rows:
            return directory.person(rows, directory.known_person(rows, person.id))

    return await corrected(request, work)


def _told(services: Services, caller: Caller, one: Cluster) -> dict[str, Any]:
    suggestion = None
    if allows(caller.role, "identify") and len(services.gallery):
        made = services.gallery.suggest(
            one.face_ids[0], calibration=services.pipe.calibration, fmr=rate_in_use(services)
        )
        suggestion = views.decision(made, caller.role)["match"] if made.accepted else None
    purity = None if one.purity is None else one.purity.to_dict()
    return {
        "id": one.id,
        "size": one.size,
        "face_ids": one.face_ids[:SHOWN],
        "suggestion": suggestion,
        "purity": purity,
    }

"""`/ingests`: take files in, watch the runs, see how every file ended."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field
from starlette.concurrency import run_in_threadpool

from albufera.bootstrap.node import Node
from albufera.entrypoints.api.http import (
    ActorDep,
    NodeDep,
    PageDep,
    Resource,
    ResourcePage,
    to_page,
)
from albufera.entrypoints.uploads import receive
from albufera.ingest.model import NOTHING_TO_INGEST, Ingest, Item, ItemState, ReasonCount
from albufera.ingest.service import OpenedIngest
from albufera.ingest.spool import Spool
from albufera.kernel.actor import Actor

router = APIRouter(tags=["ingest"])

CodeQuery = Annotated[str | None, Query(max_length=64, pattern=r"^[A-Za-z0-9_-]*$")]
_UPLOAD_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {
                        "project": {"type": "string", "description": "Before the files."},
                        "collection": {"type": "string", "default": "main"},
                        "file": {
                            "type": "array",
                            "items": {"type": "string", "format": "binary"},
                            "description": "DICOM files and ZIPs, under any field name.",
                        },
                    },
                }
            }
        },
    }
}


class CountsResource(Resource):
    """How many files ended in each terminal state."""

    admitted: int
    duplicate: int
    quarantined: int
    refused: int


class ProgressResource(Resource):
    """How far a run is; `total` is 0 while it is not known."""

    done: int
    total: int
    note: str


class ReasonResource(Resource):
    """How many files ended in a state for a reason."""

    state: ItemState
    code: str
    reason: str
    count: int


class IngestResource(Resource):
    """A run."""

    ingest_id: str
    project_id: str
    collection_id: str
    submitted_by: str
    origin: str
    state: str
    note: str
    submitted_at: str
    started_at: str | None
    finished_at: str | None
    counts: CountsResource
    progress: ProgressResource | None = None
    allowed_actions: list[str] = Field(default_factory=list)


class ItemResource(Resource):
    """A file of a run and how it ended."""

    number: int
    path: str
    state: ItemState
    code: str
    reason: str
    size: int
    series_id: str | None
    instance_uid: str | None


def ingest_resource(ingest: Ingest, opened: OpenedIngest | None = None) -> IngestResource:
    """Make the resource of a run."""
    counts = {state.value: count for state, count in ingest.counts.items()}
    progress = opened.progress if opened else None
    return IngestResource(
        ingest_id=ingest.ingest_id,
        project_id=ingest.project_id,
        collection_id=ingest.collection_id,
        submitted_by=ingest.username,
        origin=ingest.origin.value,
        state=ingest.state.value,
        note=ingest.note,
        submitted_at=ingest.submitted_at.isoformat(),
        started_at=ingest.started_at.isoformat() if ingest.started_at else None,
        finished_at=ingest.finished_at.isoformat() if ingest.finished_at else None,
        counts=CountsResource(**counts),
        progress=(
            ProgressResource(done=progress.done, total=progress.total, note=progress.note)
            if progress
            else None
        ),
        allowed_actions=list(opened.allowed) if opened else [],
    )


def _item(item: Item) -> ItemResource:
    return ItemResource(
        number=item.ordinal,
        path=item.path,
        state=item.state,
        code=item.code,
        reason=item.reason,
        size=item.size,
        series_id=item.series_id,
        instance_uid=item.instance_uid,
    )


def _reason(reason: ReasonCount) -> ReasonResource:
    return ReasonResource(
        state=reason.state, code=reason.code, reason=reason.reason, count=reason.count
    )


async def receive_upload(
    request: Request, node: Node, actor: Actor, project: str = "", collection: str = ""
) -> tuple[Spool, dict[str, str]]:
    """Write the files of a multipart form to a spool; return it and the form's other fields.

    Raises what opening the spool raises, `not-multipart`, `nothing-to-ingest`, `invalid-input`.
    """

    def open_spool(fields: dict[str, str]) -> Spool:
        code = (project or fields.get("project", "")).replace("\0", "")
        within = (collection or fields.get("collection", "")).replace("\0", "")
        return node.ingests.open_spool(actor, code, within or "main")

    upload = await receive(request, "form-data", open_spool)
    if not isinstance(upload.sink, Spool):
        raise NOTHING_TO_INGEST("The form carries no file.")
    return upload.sink, upload.fields


@router.post("/ingests", status_code=202, openapi_extra=_UPLOAD_BODY)
async def submit_ingest(
    request: Request,
    response: Response,
    node: NodeDep,
    actor: ActorDep,
    project: CodeQuery = None,
    collection: CodeQuery = None,
) -> IngestResource:
    """Take files and ZIPs in: they are received now and taken in by a worker.

    `project` and `collection` are query parameters, or fields that come before the files.
    """
    spool, _ = await receive_upload(request, node, actor, project or "", collection or "")
    ingest = await run_in_threadpool(node.ingests.submit, actor, spool)
    response.headers["location"] = f"/api/v1/ingests/{ingest.ingest_id}"
    return ingest_resource(ingest)


@router.get("/ingests")
def list_ingests(
    request: Request,
    response: Response,
    node: NodeDep,
    actor: ActorDep,
    page: PageDep,
    project: CodeQuery = None,
) -> ResourcePage[IngestResource]:
    """Return the runs that the caller may see, newest first."""
    project_id = node.projects.show(actor, project).project_id if project else None
    found = node.ingests.list(actor, project_id, page)
    return to_page(found, ingest_resource, request, response)


@router.get("/ingests/{ingest_id}")
def show_ingest(node: NodeDep, actor: ActorDep, ingest_id: str) -> IngestResource:
    """Return a run with its counts and how far it is."""
    opened = node.ingests.show(actor, ingest_id)
    return ingest_resource(opened.ingest, opened)


@router.get("/ingests/{ingest_id}/items")
def list_items(
    request: Request,
    response: Response,
    node: NodeDep,
    actor: ActorDep,
    page: PageDep,
    ingest_id: str,
    state: ItemState | None = None,
) -> ResourcePage[ItemResource]:
    """Return the files of a run and how each ended."""
    return to_page(node.ingests.items(actor, ingest_id, state, page), _item, request, response)


@router.get("/ingests/{ingest_id}/reasons")
def list_reasons(node: NodeDep, actor: ActorDep, ingest_id: str) -> list[ReasonResource]:
    """Return why files ended as they did, the most frequent reason first."""
    return [_reason(reason) for reason in node.ingests.reasons(actor, ingest_id)]


@router.post("/ingests/{ingest_id}/cancel")
def cancel_ingest(node: NodeDep, actor: ActorDep, ingest_id: str) -> IngestResource:
    """Stop a run; what was admitted stays."""
    return ingest_resource(node.ingests.cancel(actor, ingest_id))


@router.post("/ingests/{ingest_id}/resume")
def resume_ingest(node: NodeDep, actor: ActorDep, ingest_id: str) -> IngestResource:
    """Let a failed upload go on where it stopped."""
    return ingest_resource(node.ingests.resume(actor, ingest_id))

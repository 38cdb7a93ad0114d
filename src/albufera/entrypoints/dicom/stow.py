"""STOW-RS: storing objects (PS3.18 §10.5), as an ingest that the client waits for.

`POST /dicomweb/studies?project=LUNG&collection=main`, multipart/related of application/dicom. The
parts are written to disk as they arrive; then they go the way of every ingest. The answer names
the objects by the UIDs under which they are stored: de-identification gave them new ones.
"""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from albufera.bootstrap.node import Node
from albufera.entrypoints.api.http import ActorDep, NodeDep
from albufera.entrypoints.dicom.attributes import attribute
from albufera.entrypoints.dicom.media import DICOM_JSON, require_json
from albufera.entrypoints.dicom.qido import base_of
from albufera.entrypoints.uploads import receive
from albufera.ingest.model import NOTHING_TO_INGEST, Item, ItemState
from albufera.ingest.spool import Spool
from albufera.kernel.actor import Actor
from albufera.kernel.errors import INVALID
from albufera.kernel.pages import MAX_LIMIT, PageRequest
from albufera.lake.model import Instance, Series
from albufera.lake.records import series

router = APIRouter()

CANNOT_UNDERSTAND = 0xC000
PROCESSING_FAILURE = 0x0110
DUPLICATE_WITH_OTHER_CONTENT = 0x0111
COERCED = 0xB000
"""Status codes of PS3.4 §B.2.3 and PS3.7 Annex C; B000: elements were changed (the UIDs, here)."""

_TAKEN = (ItemState.ADMITTED, ItemState.DUPLICATE)
CodeQuery = Annotated[str, Query(max_length=64, pattern=r"^[A-Za-z0-9_-]*$")]


@router.post("/studies")
async def store(
    request: Request,
    node: NodeDep,
    actor: ActorDep,
    project: CodeQuery = "",
    collection: CodeQuery = "main",
) -> JSONResponse:
    """Store objects; `project` may be left out by who may store into one project only."""
    require_json(request.headers.get("accept", ""))
    code = project or await run_in_threadpool(_only_project, node, actor)

    def open_spool(_fields: dict[str, str]) -> Spool:
        return node.ingests.open_spool(actor, code, collection or "main")

    upload = await receive(request, "related", open_spool)
    if not isinstance(upload.sink, Spool):
        raise NOTHING_TO_INGEST("The body has no parts.")
    return await run_in_threadpool(_take, node, actor, upload.sink, base_of(request))


def _only_project(node: Node, actor: Actor) -> str:
    codes = {code for code, _ in node.ingests.destinations(actor)}
    if len(codes) != 1:
        raise INVALID("Say into which project: POST /dicomweb/studies?project=CODE.")
    return codes.pop()


def _take(node: Node, actor: Actor, spool: Spool, base: str) -> JSONResponse:
    ingest = node.ingests.take_now(actor, spool)
    items = _items(node, actor, ingest.ingest_id)
    taken = [item for item in items if item.state in _TAKEN]
    failed = [item for item in items if item.state not in _TAKEN]
    held = _held(node, actor, taken)
    body: dict[str, Any] = {}
    if taken:
        body["00081199"] = {"vr": "SQ", "Value": [_reference(i, held, base) for i in taken]}
    if failed:
        body["0008119A"] = {"vr": "SQ", "Value": [_failure(item) for item in failed]}
    status = 200 if not failed else 202 if taken else 409
    headers = {"location": f"/api/v1/ingests/{ingest.ingest_id}"}
    return JSONResponse(body, status, headers, media_type=DICOM_JSON)


def _items(node: Node, actor: Actor, ingest_id: str) -> Sequence[Item]:
    found: list[Item] = []
    after: str | None = None
    while True:
        page = node.ingests.items(actor, ingest_id, None, PageRequest(after, MAX_LIMIT))
        found.extend(page.items)
        after = page.next_after
        if after is None:
            return found


def _held(
    node: Node, actor: Actor, taken: Sequence[Item]
) -> dict[tuple[str | None, str | None], tuple[Series, Instance]]:
    """Series and instance of each stored object, by (series, instance UID)."""
    ids = {item.series_id for item in taken}
    found = node.lake.permitted_series(actor, "series.view", series.c.series_id.in_(ids))
    return {
        (of.series_id, instance.instance_uid): (of, instance)
        for of in found
        for instance in node.lake.read_instances(of.series_id)
    }


def _reference(
    item: Item,
    held: dict[tuple[str | None, str | None], tuple[Series, Instance]],
    base: str,
) -> dict[str, Any]:
    """An item of the Referenced SOP Sequence (PS3.18 Table 10.5.3-2)."""
    of, instance = held[item.series_id, item.instance_uid]
    where = f"{base}/studies/{of.study_uid}/series/{of.series_uid}"
    return {
        "00081150": attribute("UI", instance.sop_class_uid),
        "00081155": attribute("UI", instance.instance_uid),
        "00081190": attribute("UR", f"{where}/instances/{instance.instance_uid}"),
        "00081196": attribute("US", COERCED),
    }


def _failure(item: Item) -> dict[str, Any]:
    """An item of the Other Failures Sequence: no UID of an object that was not taken is given
    out, because it may be the original's."""
    if item.code == "different-content":
        reason = DUPLICATE_WITH_OTHER_CONTENT
    elif item.state is ItemState.QUARANTINED:
        reason = PROCESSING_FAILURE
    else:
        reason = CANNOT_UNDERSTAND
    return {
        "00081197": attribute("US", reason),
        "00000902": attribute("LO", f"{item.code}: part {item.ordinal + 1}"),
    }

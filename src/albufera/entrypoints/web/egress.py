"""Pages of the airlock: the inbox, a request with its files, review, fetch."""

from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, Response, StreamingResponse

from albufera.bootstrap.node import Node
from albufera.compute.airlock.model import EgressFile, EgressRequest, EgressState
from albufera.entrypoints.api.egress import DOWNLOAD_HEADERS, zip_stream
from albufera.entrypoints.web.jobs import plain
from albufera.entrypoints.web.rendering import (
    ActorDep,
    Flash,
    FormDep,
    NodeDep,
    field,
    human_bytes,
    redirect,
    render,
)
from albufera.kernel.actor import Actor
from albufera.kernel.errors import NOT_FOUND, Refusal
from albufera.kernel.pages import PageRequest

router = APIRouter()

PREVIEW = 4096
PICTURES = {"png": "image/png", "jpeg": "image/jpeg"}
TEXTS = frozenset({"text", "csv", "json"})


@router.get("/airlock")
def inbox(
    request: Request, node: NodeDep, actor: ActorDep, after: str = "", state: str = ""
) -> Response:
    """List the requests that the viewer may see, the waiting ones first in mind."""
    chosen = EgressState(state) if state in set(EgressState) else None
    page = node.airlock.list(actor, PageRequest(after or None), chosen)
    tabs = [
        {"label": item.value.capitalize(), "href": f"/airlock?state={item.value}",
         "current": item is chosen}
        for item in EgressState
    ]  # fmt: skip
    return render(request, "airlock/list.html", page=page, state=state, tab_states=tabs)


@router.post("/jobs/{job_id}/egress")
def ask(node: NodeDep, actor: ActorDep, job_id: str, form: FormDep) -> Response:
    """Ask that chosen outputs of a job leave."""
    paths = [path for path in form.getlist("paths") if isinstance(path, str)]
    if not paths:
        return redirect(f"/jobs/{job_id}", Flash("error", "Choose at least one file."))
    try:
        made = node.airlock.request(actor, job_id, paths, field(form, "purpose"))
    except Refusal as refusal:
        if refusal.error.status in {401, 403, 404}:
            raise
        text = f"{refusal.detail} {refusal.error.remedy}"
        return redirect(f"/jobs/{job_id}", Flash("error", text))
    return redirect(
        f"/airlock/{made.request_id}",
        Flash("success", "The files are frozen and wait for another person's review."),
    )


@router.get("/airlock/{request_id}")
def show(request: Request, node: NodeDep, actor: ActorDep, request_id: str) -> Response:
    """Show a request: exactly what would leave, with previews for those who review it."""
    found, allowed = node.airlock.show(actor, request_id)
    files = [
        _file(node, actor, found, index, may_inspect="inspect" in allowed)
        for index in range(len(found.files))
    ]
    facts = [
        ("Asked by", found.owner),
        ("Job", found.job_id),
        ("Requested", f"{found.requested_at:%Y-%m-%d %H:%M} UTC"),
        ("Size", human_bytes(found.size)),
        ("Reviewed by", found.reviewer),
        ("Reviewer's note", found.reason),
    ]
    return render(
        request,
        "airlock/request.html",
        found=found,
        allowed=allowed,
        files=files,
        facts=[(term, value) for term, value in facts if value],
    )


@router.get("/airlock/{request_id}/files/{index}")
def picture(node: NodeDep, actor: ActorDep, request_id: str, index: int) -> Response:
    """Return a frozen picture to a reviewer's preview."""
    file, path = node.airlock.inspect(actor, request_id, index)
    if file.kind not in PICTURES:
        raise NOT_FOUND("There is no picture of that file.")
    return FileResponse(path, media_type=PICTURES[file.kind], headers=DOWNLOAD_HEADERS)


@router.post("/airlock/{request_id}/approve")
def approve(node: NodeDep, actor: ActorDep, request_id: str, form: FormDep) -> Response:
    """Let the files leave."""
    node.airlock.approve(actor, request_id, field(form, "reason"))
    flash = Flash("success", "Approved: the person who asked may fetch the files.")
    return redirect(f"/airlock/{request_id}", flash)


@router.post("/airlock/{request_id}/reject")
def reject(node: NodeDep, actor: ActorDep, request_id: str, form: FormDep) -> Response:
    """Keep the files inside."""
    try:
        node.airlock.reject(actor, request_id, field(form, "reason"))
    except Refusal as refusal:
        if refusal.facts.get("field") != "reason":
            raise
        return redirect(f"/airlock/{request_id}", Flash("error", refusal.detail))
    return redirect(f"/airlock/{request_id}", Flash("info", "Rejected: the files stay inside."))


@router.post("/airlock/{request_id}/fetch")
def fetch(node: NodeDep, actor: ActorDep, request_id: str, _form: FormDep) -> Response:
    """Return the approved files as one ZIP."""
    files = node.airlock.fetch(actor, request_id)
    disposition = f'attachment; filename="{quote(request_id)}.zip"'
    headers = {**DOWNLOAD_HEADERS, "content-disposition": disposition}
    return StreamingResponse(zip_stream(files), media_type="application/zip", headers=headers)


def _file(
    node: Node, actor: Actor, found: EgressRequest, index: int, *, may_inspect: bool
) -> dict[str, Any]:
    file = found.files[index]
    shown = {
        "path": file.path,
        "size": human_bytes(file.size),
        "kind": file.kind,
        "sha256": file.sha256,
        "warnings": [finding.sentence for finding in file.findings],
    }
    if may_inspect and found.state is not EgressState.REJECTED:
        shown["preview"] = _preview(node, actor, found, index, file)
    return shown


def _preview(
    node: Node, actor: Actor, found: EgressRequest, index: int, file: EgressFile
) -> dict[str, Any] | None:
    if file.kind in PICTURES:
        src = f"/airlock/{found.request_id}/files/{index}"
        return {"kind": "image", "src": src, "alt": f"The picture {file.path}"}
    if file.kind not in TEXTS:
        return None
    _, path = node.airlock.inspect(actor, found.request_id, index)
    with path.open("rb") as content:
        head = content.read(PREVIEW)
    return {"kind": "text", "text": plain(head), "truncated": file.size > PREVIEW}

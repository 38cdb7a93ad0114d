"""Pages of the airlock: the inbox, a request with its files, review, fetch."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, Response
from markupsafe import Markup
from starlette.datastructures import FormData

from albufera.bootstrap.node import Node
from albufera.compute.airlock.model import EgressFile, EgressRequest, EgressState
from albufera.compute.model import JOB_NOT_FOUND
from albufera.entrypoints.api.egress import DOWNLOAD_HEADERS, as_zip
from albufera.entrypoints.plain import plain_bytes, whole_characters
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
MAX_PREVIEWS = 30
"""Texts shown on one page; the others are looked at one by one."""
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
        if refusal.error.status in {401, 403} or refusal.code == JOB_NOT_FOUND.code:
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
    previews = _previews(node, actor, found) if "inspect" in allowed else {}
    files = [{**_file(file), "preview": previews.get(i)} for i, file in enumerate(found.files)]
    job = Markup('<a href="/jobs/{0}">{0}</a>').format(found.job_id)
    facts = [
        ("Asked by", found.owner),
        ("Job", job if found.owner_id == actor.user_id or actor.is_operator else found.job_id),
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
    file, path = node.airlock.inspect(actor, request_id, [index])[0]
    if file.kind not in PICTURES:
        raise NOT_FOUND("There is no picture of that file.")
    return FileResponse(path, media_type=PICTURES[file.kind], headers=DOWNLOAD_HEADERS)


@router.post("/airlock/{request_id}/approve")
def approve(node: NodeDep, actor: ActorDep, request_id: str, form: FormDep) -> Response:
    """Let the files leave."""
    return _reviewed(
        node.airlock.approve,
        actor,
        request_id,
        form,
        Flash("success", "Approved: the person who asked may fetch the files."),
    )


@router.post("/airlock/{request_id}/reject")
def reject(node: NodeDep, actor: ActorDep, request_id: str, form: FormDep) -> Response:
    """Keep the files inside."""
    flash = Flash("info", "Rejected: the files stay inside.")
    return _reviewed(node.airlock.reject, actor, request_id, form, flash)


def _reviewed(
    review: Callable[[Actor, str, str], EgressRequest],
    actor: Actor,
    request_id: str,
    form: FormData,
    flash: Flash,
) -> Response:
    """Carry out a review; a note that is missing or too long is asked for on the same page."""
    try:
        review(actor, request_id, field(form, "reason"))
    except Refusal as refusal:
        if refusal.facts.get("field") != "reason":
            raise
        flash = Flash("error", refusal.detail)
    return redirect(f"/airlock/{request_id}", flash)


@router.post("/airlock/{request_id}/fetch")
def fetch(node: NodeDep, actor: ActorDep, request_id: str, _form: FormDep) -> Response:
    """Return the approved files as one ZIP."""
    return as_zip(node, node.airlock.fetch(actor, request_id))


def _file(file: EgressFile) -> dict[str, Any]:
    return {
        "path": file.path,
        "size": human_bytes(file.size),
        "kind": file.kind,
        "sha256": file.sha256,
        "warnings": [finding.sentence for finding in file.findings],
    }


def _previews(node: Node, actor: Actor, found: EgressRequest) -> dict[int, dict[str, Any]]:
    """Return what is shown of the files to a reviewer; that texts were shown is recorded."""
    pictures = [i for i, file in enumerate(found.files) if file.kind in PICTURES]
    texts = [i for i, file in enumerate(found.files) if file.kind in TEXTS][:MAX_PREVIEWS]
    previews: dict[int, dict[str, Any]] = {
        index: {
            "kind": "image",
            "src": f"/airlock/{found.request_id}/files/{index}",
            "alt": f"The picture {found.files[index].path}",
        }
        for index in pictures
    }
    shown = node.airlock.inspect(actor, found.request_id, texts) if texts else ()
    for index, (file, path) in zip(texts, shown, strict=True):
        previews[index] = _text_preview(file, path)
    return previews


def _text_preview(file: EgressFile, path: Path) -> dict[str, Any]:
    with path.open("rb") as content:
        head = content.read(PREVIEW)
    cut = file.size > PREVIEW
    text = plain_bytes(whole_characters(head) if cut else head)
    return {"kind": "text", "text": text, "truncated": cut}

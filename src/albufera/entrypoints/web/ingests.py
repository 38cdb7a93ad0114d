"""Pages of taking files in: the upload form, the runs, and how every file ended."""

from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.concurrency import run_in_threadpool

from albufera.entrypoints.http import caller_of, check_csrf
from albufera.entrypoints.uploads import receive
from albufera.entrypoints.web.rendering import (
    ActorDep,
    Flash,
    FormDep,
    NodeDep,
    redirect,
    render,
)
from albufera.ingest.model import NOTHING_TO_INGEST, OVER, TERMINAL, ItemState
from albufera.ingest.spool import Spool
from albufera.kernel.errors import INVALID, Refusal
from albufera.kernel.pages import PageRequest

router = APIRouter()

ITEMS_SHOWN = 100


@router.get("/ingests")
def ingests_page(
    request: Request, node: NodeDep, actor: ActorDep, after: str | None = None
) -> Response:
    """Show the upload form and the runs."""
    return render(request, "ingests.html", **_list_context(node, actor, after), error="")


@router.post("/ingests")
async def upload(request: Request, node: NodeDep, actor: ActorDep) -> Response:
    """Receive files and ZIPs and ask for them to be taken in."""

    def open_spool(fields: dict[str, str]) -> Spool:
        check_csrf(request, caller_of(request), fields.get("csrf_token"))
        project, _, collection = fields.get("destination", "").replace("\0", "").partition("/")
        return node.ingests.open_spool(actor, project, collection or "main")

    try:
        sent = await receive(request, "form-data", open_spool)
        if not isinstance(sent.sink, Spool):
            raise NOTHING_TO_INGEST("Choose at least one file.")
        ingest = await run_in_threadpool(node.ingests.submit, actor, sent.sink)
    except Refusal as refusal:
        if refusal.error not in (NOTHING_TO_INGEST, INVALID):
            raise
        context = await run_in_threadpool(_list_context, node, actor, None)
        return render(
            request, "ingests.html", refusal.error.status, **context, error=refusal.detail
        )
    return redirect(f"/ingests/{ingest.ingest_id}", Flash("success", "The files were received."))


@router.get("/ingests/{ingest_id}")
def ingest_page(
    request: Request,
    node: NodeDep,
    actor: ActorDep,
    ingest_id: str,
    state: ItemState | None = None,
    after: str | None = None,
) -> Response:
    """Show a run: counts, reasons, files, live while it lasts."""
    opened = node.ingests.show(actor, ingest_id)
    page = node.ingests.items(actor, ingest_id, state, PageRequest(after, ITEMS_SHOWN))
    here = f"/ingests/{ingest_id}"
    query = {"state": state.value} if state else {}
    following = {**query, "after": page.next_after}
    return render(
        request,
        "ingest.html",
        ingest=opened.ingest,
        opened=opened,
        active=opened.ingest.state not in OVER,
        counts=[(each.value, opened.ingest.counts[each]) for each in TERMINAL],
        reasons=node.ingests.reasons(actor, ingest_id),
        items=page.items,
        state=state.value if state else "",
        here=here,
        next_href=f"{here}?{urlencode(following)}" if page.next_after else None,
        first_href=f"{here}?{urlencode(query)}" if after else None,
    )


@router.post("/ingests/{ingest_id}/cancel")
def cancel(node: NodeDep, actor: ActorDep, _form: FormDep, ingest_id: str) -> Response:
    """Stop a run."""
    node.ingests.cancel(actor, ingest_id)
    return redirect(f"/ingests/{ingest_id}", Flash("info", "The run is being stopped."))


@router.post("/ingests/{ingest_id}/resume")
def resume(node: NodeDep, actor: ActorDep, _form: FormDep, ingest_id: str) -> Response:
    """Let a failed upload go on."""
    node.ingests.resume(actor, ingest_id)
    return redirect(f"/ingests/{ingest_id}", Flash("success", "The run goes on."))


def _list_context(node: NodeDep, actor: ActorDep, after: str | None) -> dict[str, Any]:
    page = node.ingests.list(actor, None, PageRequest(after))
    codes = {project.project_id: project.code for project in node.projects.list(actor)}
    return {
        "destinations": [
            (f"{project}/{collection}", f"{project} – {collection}")
            for project, collection in node.ingests.destinations(actor)
        ],
        "ingests": page.items,
        "codes": codes,
        "next_href": f"/ingests?{urlencode({'after': page.next_after})}"
        if page.next_after
        else None,
        "first_href": "/ingests" if after else None,
    }

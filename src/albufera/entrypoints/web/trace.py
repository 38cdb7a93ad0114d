"""Pages of the log: what was done, by whom, and the proof of it."""

import json
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Path, Request, Response

from albufera.bootstrap.node import Node
from albufera.entrypoints.stories import Story, asked, stories, tell
from albufera.entrypoints.web.proof_path import picture
from albufera.entrypoints.web.rendering import (
    ActorDep,
    Flash,
    FormDep,
    NodeDep,
    redirect,
    render,
)
from albufera.kernel.actor import Actor
from albufera.kernel.canonical import MAX_INTEGER, to_base64
from albufera.kernel.errors import INVALID, Refusal
from albufera.kernel.events import REGISTRY
from albufera.kernel.pages import Page, PageRequest
from albufera.trace.errors import LOG_EMPTY, VERIFICATION_NOT_FOUND
from albufera.trace.findings import Verification
from albufera.trace.records import Order
from albufera.trace.service import SignedHead

router = APIRouter()

SHOWN = 50
_MAX_FILTER = 256
_FILTERS = ("dataset", "project", "user", "verb", "since", "order")

IndexPath = Annotated[int, Path(ge=0, le=MAX_INTEGER)]


@router.get("/trace")
def trace_page(request: Request, node: NodeDep, actor: ActorDep) -> Response:
    """Show the newest checkpoint, the last verification, and the entries that match."""
    given = {name: request.query_params.get(name, "")[:_MAX_FILTER] for name in _FILTERS}
    after = request.query_params.get("after", "")[:_MAX_FILTER]
    complaint = ""
    found: Page[Story] = Page([], None)
    try:
        found = _found(node, actor, given, after)
    except Refusal as refusal:
        complaint = refusal.detail
    kept = urlencode({name: value for name, value in given.items() if value})
    following = f"/trace?{kept}&after={found.next_after}" if found.next_after else None
    return render(
        request,
        "trace/log.html",
        head=_head(node),
        entries=[_line(story) for story in found.items],
        given=given,
        complaint=complaint,
        filtered=bool(kept),
        verbs=[(verb, verb) for verb in sorted(REGISTRY)],
        projects=[(project.code, project.code) for project in node.projects.list(actor)],
        orders=[(order.value, order.value.replace("-", " ")) for order in Order],
        next_href=following,
        first_href=f"/trace?{kept}" if after else None,
        may_verify=node.verifications.may_request(actor),
        verification=_verification(node, actor),
    )


@router.get("/trace/entries/{index}")
def entry_page(request: Request, node: NodeDep, actor: ActorDep, index: IndexPath) -> Response:
    """Show one entry and the path that proves it."""
    story = tell(node, actor, node.trace.entry(actor, index))
    proof, complaint = None, ""
    try:
        proof = node.trace.proof(actor, index)
    except Refusal as refusal:
        complaint = refusal.detail
    return render(
        request,
        "trace/entry.html",
        line=_line(story),
        entry=story.entry,
        head=_head(node),
        proof=proof,
        complaint=complaint,
        picture=picture(proof) if proof else None,
        path=[to_base64(sibling) for sibling in proof.inclusion_path] if proof else [],
    )


@router.get("/trace/entries/{index}/proof")
def download_proof(node: NodeDep, actor: ActorDep, index: IndexPath) -> Response:
    """Give the proof as a file."""
    document = node.trace.proof(actor, index).document()
    name = f"proof-{index}.json"
    return Response(
        json.dumps(document, indent=2) + "\n",
        media_type="application/json",
        headers={"content-disposition": f'attachment; filename="{name}"'},
    )


@router.post("/trace/verification")
def start_verification(node: NodeDep, actor: ActorDep, _form: FormDep) -> Response:
    """Ask for a verification of the whole log."""
    node.verifications.request(actor)
    return redirect("/trace#verification", Flash("info", "The whole log is being read again."))


@router.post("/trace/verification/cancel")
def cancel_verification(node: NodeDep, actor: ActorDep, _form: FormDep) -> Response:
    """Stop the newest verification."""
    newest = node.verifications.show(actor)
    try:
        node.verifications.cancel(actor, newest.verification_id)
    except Refusal as refusal:
        return redirect("/trace#verification", Flash("error", refusal.detail))
    return redirect("/trace#verification", Flash("info", "The verification was stopped."))


def _found(node: Node, actor: Actor, given: dict[str, str], after: str) -> Page[Story]:
    query = asked(
        node,
        actor,
        about=given["dataset"],
        project=given["project"],
        user=given["user"],
        verb=given["verb"],
        since=_day(given["since"]),
        order=_order(given),
    )
    return stories(node, actor, node.trace.entries(actor, query, PageRequest(after or None, SHOWN)))


def _order(given: dict[str, str]) -> Order:
    """The story of one dataset is told from its beginning; a list shows the newest first."""
    if given["order"] in set(Order):
        return Order(given["order"])
    return Order.OLDEST_FIRST if given["dataset"] else Order.NEWEST_FIRST


def _day(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        raise INVALID("“Since” is a day such as 2026-01-31.", field="since") from None


def _head(node: Node) -> SignedHead | None:
    try:
        return node.trace.checkpoint()
    except Refusal as refusal:
        if refusal.error is LOG_EMPTY:
            return None
        raise


def _verification(node: Node, actor: Actor) -> Verification | None:
    if not node.verifications.may_request(actor):
        return None
    try:
        return node.verifications.show(actor)
    except Refusal as refusal:
        if refusal.error is VERIFICATION_NOT_FOUND:
            return None
        raise


def _line(story: Story) -> dict[str, Any]:
    """What a row, a step of the timeline and the head of the entry page show."""
    entry = story.entry
    return {
        "index": entry.index,
        "href": f"/trace/entries/{entry.index}",
        "when": entry.at[:19].replace("T", " "),
        "datetime": entry.at,
        "actor": story.actor or "nobody signed in",
        "project": story.project,
        "verb": entry.verb,
        "sentence": story.sentence,
        "about": [f"{key.removesuffix('_id')} {value}" for key, value in entry.subjects.items()],
    }

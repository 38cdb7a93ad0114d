"""Pages of this node's part in federations, for its operator."""

import json
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from albufera.entrypoints.web.rendering import (
    ActorDep,
    Flash,
    FormDep,
    NodeDep,
    field,
    redirect,
    render,
)
from albufera.federation.expressions import check_expression, sentence
from albufera.federation.node.model import AnsweredQuestion, Candidate
from albufera.kernel.actor import Actor
from albufera.kernel.errors import Refusal

router = APIRouter()


@router.get("/federation")
def federation(request: Request, node: NodeDep, actor: ActorDep) -> Response:
    """Show the hubs that this node has joined, and the form by which it joins one."""
    return render(request, "federation/hubs.html", **_hubs(node, actor))


@router.post("/federation/look")
def look(request: Request, node: NodeDep, actor: ActorDep, form: FormDep) -> Response:
    """Ask a hub who it is, and show its fingerprint for comparison."""
    url = field(form, "url")
    try:
        hub = node.federation.memberships.look(actor, url)
    except Refusal as refusal:
        context = _hubs(node, actor, url=url, errors={"url": refusal.detail})
        return render(request, "federation/hubs.html", refusal.error.status, **context)
    return render(request, "federation/join.html", hub=hub, contact="", errors={})


@router.post("/federation/join")
def join(request: Request, node: NodeDep, actor: ActorDep, form: FormDep) -> Response:
    """Join the hub whose fingerprint was confirmed."""
    url, fingerprint = field(form, "url"), field(form, "fingerprint")
    contact = field(form, "contact")
    try:
        membership = node.federation.memberships.join(
            actor, url, field(form, "token"), fingerprint, contact=contact
        )
    except Refusal as refusal:
        hub = Candidate(url, field(form, "hub_name"), "", fingerprint)
        errors = {"token": f"{refusal.detail} {refusal.error.remedy}"}
        status = refusal.error.status
        context = {"hub": hub, "contact": contact, "errors": errors}
        return render(request, "federation/join.html", status, **context)
    told = f"This node has joined {membership.name} as “{membership.known_as}”."
    return redirect(f"/federation/{membership.hub_id}", Flash("success", told))


@router.get("/federation/{hub_id}")
def hub(request: Request, node: NodeDep, actor: ActorDep, hub_id: str) -> Response:
    """Show what was sent to a hub, and what it asked and was told."""
    status = node.federation.memberships.show(actor, hub_id)
    return render(
        request,
        "federation/hub.html",
        hub=status.membership,
        offers=status.offers,
        answers=[(answer, _words(answer)) for answer in status.questions],
    )


@router.post("/federation/{hub_id}/sync")
def sync(node: NodeDep, actor: ActorDep, hub_id: str, _form: FormDep) -> Response:
    """Exchange with the hub now."""
    try:
        moved = node.federation.exchange.sync(actor, hub_id)
    except Refusal as refusal:
        if refusal.error.status in {401, 404}:
            raise
        return redirect(f"/federation/{hub_id}", Flash("error", str(refusal)))
    told = f"Sent: {moved.offered} datasets, {moved.answered} answers."
    return redirect(f"/federation/{hub_id}", Flash("success", told))


@router.get("/federation/{hub_id}/leave")
def leave_page(request: Request, node: NodeDep, actor: ActorDep, hub_id: str) -> Response:
    """Ask whether to leave."""
    status = node.federation.memberships.show(actor, hub_id)
    return render(request, "federation/leave.html", hub=status.membership)


@router.post("/federation/{hub_id}/leave")
def leave(node: NodeDep, actor: ActorDep, hub_id: str, _form: FormDep) -> Response:
    """Leave a hub."""
    told = node.federation.memberships.leave(actor, hub_id)
    note = "" if told else " The hub did not answer: tell its operator."
    return redirect("/federation", Flash("success", f"This node has left the hub.{note}"))


def _hubs(
    node: NodeDep, actor: Actor, url: str = "", errors: dict[str, str] | None = None
) -> dict[str, Any]:
    memberships = node.federation.memberships
    return {
        "hubs": memberships.list(actor),
        "identity": memberships.identity,
        "own_fingerprint": memberships.key.verify_key.fingerprint,
        "url": url,
        "errors": errors or {},
    }


def _words(answer: AnsweredQuestion) -> str:
    """Write the question for people; one that is none of ours is shown as it came."""
    try:
        return sentence(check_expression(answer.expression))
    except Refusal:
        return json.dumps(answer.expression)[:300]

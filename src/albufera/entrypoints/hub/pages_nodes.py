"""Pages on which the hub's operator enrols nodes and watches them."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from albufera.entrypoints.hub.http import HubDep
from albufera.entrypoints.hub.rendering import render
from albufera.entrypoints.web.environment import ActorDep, Flash, FormDep, field, redirect
from albufera.federation.hub.enrolment import Invitation
from albufera.kernel import clock
from albufera.kernel.actor import Actor
from albufera.kernel.errors import Refusal

router = APIRouter()


@router.get("/nodes")
def nodes(request: Request, hub: HubDep, actor: ActorDep) -> Response:
    """Show all nodes and the form by which one is invited."""
    return render(request, "hub/nodes.html", **_context(hub, actor))


@router.post("/nodes")
def invite(request: Request, hub: HubDep, actor: ActorDep, form: FormDep) -> Response:
    """Make a token and show it, once."""
    name = field(form, "name")
    try:
        invitation = hub.enrolment.invite(actor, name)
    except Refusal as refusal:
        context = _context(hub, actor, name=name, errors={"name": refusal.detail})
        return render(request, "hub/nodes.html", refusal.error.status, **context)
    return render(request, "hub/nodes.html", 201, **_context(hub, actor, invitation=invitation))


@router.get("/nodes/{node_id}/suspend")
def suspend_page(request: Request, hub: HubDep, actor: ActorDep, node_id: str) -> Response:
    """Ask whether a node is to be suspended."""
    return render(request, "hub/suspend.html", node=hub.enrolment.show(actor, node_id))


@router.post("/nodes/{node_id}/suspend")
def suspend(hub: HubDep, actor: ActorDep, node_id: str, _form: FormDep) -> Response:
    """Suspend a node."""
    node = hub.enrolment.suspend(actor, node_id)
    return redirect("/nodes", Flash("success", f"{node.name} is suspended."))


@router.post("/nodes/{node_id}/resume")
def resume(hub: HubDep, actor: ActorDep, node_id: str, _form: FormDep) -> Response:
    """Hear a suspended node again."""
    node = hub.enrolment.resume(actor, node_id)
    return redirect("/nodes", Flash("success", f"{node.name} is heard again."))


def _context(
    hub: HubDep,
    actor: Actor,
    *,
    invitation: Invitation | None = None,
    name: str = "",
    errors: dict[str, str] | None = None,
) -> dict[str, Any]:
    moment = clock.now()
    introduction = hub.desk.introduction()
    command = ""
    if invitation is not None:
        command = (
            f"albufera node join {introduction.url} --token {invitation.token} "
            f"--fingerprint {introduction.fingerprint}"
        )
    return {
        "nodes": [(node, node.is_silent(moment)) for node in hub.enrolment.nodes(actor)],
        "introduction": introduction,
        "invitation": invitation,
        "command": command,
        "name": name,
        "errors": errors or {},
    }

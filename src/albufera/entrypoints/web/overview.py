"""The first page: what waits for whoever looks, their projects, the newest datasets."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from albufera.bootstrap.node import Node
from albufera.catalogue.service import DatasetFilter
from albufera.entrypoints.web.access import shown_application, shown_grant
from albufera.entrypoints.web.rendering import CallerDep, NodeDep, render
from albufera.entrypoints.web.small_counts import subjects_told
from albufera.governance.model import ApplicationState
from albufera.kernel.actor import Actor, ActorKind
from albufera.kernel.pages import PageRequest

router = APIRouter()

NEWEST = 6
OWN = 50


@router.get("/")
def overview(request: Request, node: NodeDep, caller: CallerDep) -> Response:
    """Show what waits for the caller; to a stranger, what is published here."""
    datasets = node.catalogue.list(caller.actor, DatasetFilter(), PageRequest(limit=NEWEST)).items
    listed: dict[str, Any] = {
        "datasets": datasets,
        "subjects_told": subjects_told(node, caller.actor, datasets),
    }
    if caller.actor.kind is ActorKind.ANONYMOUS:
        return render(request, "overview/stranger.html", **listed)
    roles: dict[str, list[str]] = {}
    for code, role in node.projects.roles_of(caller.actor):
        roles.setdefault(code, []).append(role.value.replace("-", " "))
    return render(
        request,
        "overview/overview.html",
        **listed,
        projects=node.projects.list(caller.actor),
        roles=roles,
        **_waiting(node, caller.actor),
    )


def _waiting(node: Node, actor: Actor) -> dict[str, Any]:
    grants = node.access.own_grants(actor, PageRequest(limit=OWN)).items
    own = node.access.own_applications(actor, PageRequest(limit=OWN)).items
    pending = [item for item in own if item.state is ApplicationState.SUBMITTED]
    wanted = {grant.dataset_id for grant in grants} | {item.dataset_id for item in pending}
    titles = node.catalogue.titles(actor, wanted)
    return {
        "to_review": node.airlock.count_to_review(actor),
        "to_decide": node.access.count_to_decide(actor),
        "grants": [g for g in (shown_grant(grant, titles) for grant in grants) if g["active"]],
        "pending": [shown_application(item, titles) for item in pending],
    }

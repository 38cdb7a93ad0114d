"""Rendering the hub's pages: navigation and the frame around every page."""

from typing import Any

from fastapi import Request

from albufera.bootstrap.hub import Hub
from albufera.entrypoints.http import Caller
from albufera.entrypoints.web.environment import Pages, Viewer, navigation
from albufera.kernel.actor import ActorKind


def _frame(request: Request, caller: Caller) -> dict[str, Any]:
    hub: Hub = request.app.state.services
    person = caller.actor.kind is ActorKind.PERSON
    viewer: Viewer | None = None
    if person:
        name = caller.session.user.name if caller.session else caller.actor.username
        roles = ["operator of the hub"] if caller.actor.is_operator else []
        viewer = Viewer(name, caller.actor.username, roles, caller.actor.is_operator)
    sections = [("Catalogue", "/"), ("Questions", "/queries")]
    if caller.actor.is_operator:
        sections.append(("Nodes", "/nodes"))
    return {
        "viewer": viewer,
        "node_name": hub.settings.hub.name,
        "navigation": navigation(request.url.path, sections),
    }


PAGES = Pages(_frame)
render, error_page = PAGES.render, PAGES.error_page

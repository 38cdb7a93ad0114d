"""Rendering the hub's pages: navigation and the frame around every page."""

import json
from typing import Any
from urllib.parse import quote

from fastapi import Request
from fastapi.responses import HTMLResponse, JSONResponse, Response

from albufera.bootstrap.hub import Hub
from albufera.entrypoints.http import Caller, caller_of
from albufera.entrypoints.web.environment import (
    ENVIRONMENT,
    FLASH_COOKIE,
    Viewer,
    flashes,
    is_current,
    redirect,
)
from albufera.kernel.actor import ActorKind


def render(request: Request, template: str, status: int = 200, **context: Any) -> HTMLResponse:
    """Render a page with what every page needs."""
    caller = caller_of(request)
    shown = {**_frame(request, caller), **context}
    response = HTMLResponse(ENVIRONMENT.get_template(template).render(shown), status)
    response.headers["cache-control"] = "no-store" if caller.session else "no-cache"
    response.headers["vary"] = "Cookie"
    if FLASH_COOKIE in request.cookies:
        response.delete_cookie(FLASH_COOKIE)
    return response


def error_page(request: Request, answer: JSONResponse) -> Response:
    """Return problem details as a page; who is not signed in is led to the sign-in page."""
    shown = json.loads(bytes(answer.body))
    if answer.status_code == 401 and request.method == "GET":  # noqa: PLR2004
        target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return redirect(f"/sign-in?next={quote(target)}")
    return render(request, "error.html", answer.status_code, problem=shown)


def _frame(request: Request, caller: Caller) -> dict[str, Any]:
    hub: Hub = request.app.state.services
    person = caller.actor.kind is ActorKind.PERSON
    viewer: Viewer | None = None
    if person:
        name = caller.session.user.name if caller.session else caller.actor.username
        roles = ["operator of the hub"] if caller.actor.is_operator else []
        viewer = Viewer(name, caller.actor.username, roles, caller.actor.is_operator)
    path = request.url.path
    sections = [("Catalogue", "/", True), ("Questions", "/queries", True)]
    sections.append(("Nodes", "/nodes", caller.actor.is_operator))
    return {
        "viewer": viewer,
        "node_name": hub.settings.hub.name,
        "path": path,
        "csrf_token": caller.session.csrf_token if caller.session else "",
        "flash": flashes(request),
        "navigation": [
            {"label": label, "href": href, "current": is_current(path, href), "count": None}
            for label, href, shown in sections
            if shown
        ],
    }

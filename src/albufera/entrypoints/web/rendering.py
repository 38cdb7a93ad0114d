"""Rendering pages of a node: navigation and the frame around every page."""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import Depends, Request

from albufera.bootstrap.node import Node
from albufera.entrypoints.http import Caller
from albufera.entrypoints.web.environment import (
    ENVIRONMENT,
    FLASH_COOKIE,
    STATIC,
    ActorDep,
    CallerDep,
    Flash,
    FormDep,
    Pages,
    Viewer,
    field,
    get_actor,
    get_caller,
    get_form,
    human_bytes,
    make_environment,
    navigation,
    redirect,
    static_url,
    wants_page,
)
from albufera.kernel.actor import Actor, ActorKind

__all__ = [
    "ENVIRONMENT",
    "FLASH_COOKIE",
    "NAVIGATION",
    "STATIC",
    "ActorDep",
    "CallerDep",
    "Flash",
    "FormDep",
    "NodeDep",
    "Viewer",
    "error_page",
    "field",
    "get_actor",
    "get_caller",
    "get_form",
    "get_node",
    "human_bytes",
    "make_environment",
    "redirect",
    "render",
    "static_url",
    "wants_page",
]

NavigationItem = tuple[str, str, Callable[[Actor, frozenset[str]], bool]]
"""(label, address, who sees it: given the actor and the names of the roles held anywhere)."""

_INDOORS = frozenset({"steward", "project-administrator"})
"""The roles that see what is inside their project's lake."""

_AIRLOCK = frozenset({"researcher", "output-reviewer", "auditor"})
"""The roles that ask for, review or oversee what leaves."""

NAVIGATION: list[NavigationItem] = [
    ("Overview", "/", lambda actor, roles: True),
    ("Projects", "/projects", lambda actor, roles: actor.kind is ActorKind.PERSON),
    ("Ingest", "/ingests", lambda actor, roles: actor.is_operator or bool(roles & _INDOORS)),
    ("Studies", "/studies", lambda actor, roles: actor.is_operator or bool(roles & _INDOORS)),
    ("Catalogue", "/catalogue", lambda actor, roles: actor.kind is ActorKind.PERSON),
    ("Datasets", "/datasets", lambda actor, roles: True),
    ("Jobs", "/jobs", lambda actor, roles: actor.is_operator or "researcher" in roles),
    ("Airlock", "/airlock", lambda actor, roles: actor.is_operator or bool(roles & _AIRLOCK)),
    ("Federation", "/federation", lambda actor, roles: actor.is_operator),
    ("Trace", "/trace", lambda actor, roles: actor.kind is ActorKind.PERSON),
]


def get_node(request: Request) -> Node:
    """Return the node that serves this page."""
    node: Node = request.app.state.services
    return node


NodeDep = Annotated[Node, Depends(get_node)]


def _frame(request: Request, caller: Caller) -> dict[str, Any]:
    node: Node = request.app.state.services
    viewer: Viewer | None = None
    roles: frozenset[str] = frozenset()
    if caller.actor.kind is ActorKind.PERSON:
        held = [(code, role.value) for code, role in node.projects.roles_of(caller.actor)]
        roles = frozenset(role for _, role in held)
        name = caller.session.user.name if caller.session else caller.actor.username
        shown = [f"{role} in {code}" for code, role in held]
        viewer = Viewer(name, caller.actor.username, shown, caller.actor.is_operator)
    seen = [(label, href) for label, href, shows in NAVIGATION if shows(caller.actor, roles)]
    return {
        "viewer": viewer,
        "node_name": node.settings.node.name,
        "navigation": navigation(request.url.path, seen),
    }


PAGES = Pages(_frame)
render, error_page = PAGES.render, PAGES.error_page

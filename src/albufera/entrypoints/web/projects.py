"""Pages of projects: tenants, their collections and members."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from albufera.bootstrap.node import Node
from albufera.entrypoints.web.rendering import (
    ActorDep,
    Flash,
    FormDep,
    NodeDep,
    field,
    redirect,
    render,
)
from albufera.governance.model import Role
from albufera.identity.model import USER_NOT_FOUND
from albufera.kernel.actor import Actor
from albufera.kernel.errors import CONFLICT, INVALID, NOT_FOUND, Refusal

router = APIRouter()

ROLE_WORDS = {
    Role.STEWARD: "Steward: takes studies and clinical data in, makes datasets",
    Role.RESEARCHER: "Researcher: finds datasets, applies, works beside the data",
    Role.PROJECT_ADMINISTRATOR: "Project administrator: members, collections, datasets",
    Role.COMMITTEE_MEMBER: "Committee member: decides on applications",
    Role.OUTPUT_REVIEWER: "Output reviewer: decides what leaves",
    Role.AUDITOR: "Auditor: reads and verifies the log",
}
_SHOWN = (CONFLICT, INVALID, USER_NOT_FOUND, NOT_FOUND)


@router.get("/projects")
def projects_page(request: Request, node: NodeDep, actor: ActorDep) -> Response:
    """Show the projects that the caller may see."""
    return _list_page(request, node, actor, {}, None)


@router.post("/projects")
def create_project(request: Request, node: NodeDep, actor: ActorDep, form: FormDep) -> Response:
    """Make a project."""
    said = {name: field(form, name) for name in ("code", "name", "description")}
    try:
        made = node.projects.create(
            actor, said["code"], said["name"][:200], said["description"][:4000]
        )
    except Refusal as refusal:
        if refusal.error not in _SHOWN:
            raise
        return _list_page(request, node, actor, said, refusal)
    return redirect(f"/projects/{made.code}", Flash("success", f"Project {made.code} is there."))


@router.get("/projects/{code}")
def project_page(request: Request, node: NodeDep, actor: ActorDep, code: str) -> Response:
    """Show a project: collections, members, and where its data are."""
    return _project_page(request, node, actor, code, {}, {})


@router.post("/projects/{code}/collections")
def add_collection(
    request: Request, node: NodeDep, actor: ActorDep, code: str, form: FormDep
) -> Response:
    """Add a collection."""
    said = {"collection": field(form, "collection"), "label": field(form, "label")[:200]}
    try:
        node.projects.add_collection(actor, code, said["collection"], said["label"])
    except Refusal as refusal:
        if refusal.error not in _SHOWN:
            raise
        return _project_page(request, node, actor, code, said, {"collection": refusal.detail})
    text = f"Collection “{said['collection']}” is there."
    return redirect(f"/projects/{code}", Flash("success", text))


@router.post("/projects/{code}/members")
def give_role(
    request: Request, node: NodeDep, actor: ActorDep, code: str, form: FormDep
) -> Response:
    """Give a person a role."""
    said = {"username": field(form, "username"), "role": field(form, "role")}
    try:
        node.projects.give_role(actor, code, said["username"], _role(said["role"]))
    except Refusal as refusal:
        if refusal.error not in _SHOWN:
            raise
        wrong = "role" if refusal.facts.get("field") == "role" else "username"
        return _project_page(request, node, actor, code, said, {wrong: refusal.detail})
    text = f"{said['username']} is {_words(said['role'])} in {code}."
    return redirect(f"/projects/{code}#members", Flash("success", text))


@router.post("/projects/{code}/members/take")
def take_role(node: NodeDep, actor: ActorDep, code: str, form: FormDep) -> Response:
    """End a person's role."""
    username, role = field(form, "username"), field(form, "role")
    node.projects.take_role(actor, code, username, _role(role))
    text = f"{username} is no longer {_words(role)} in {code}."
    return redirect(f"/projects/{code}#members", Flash("success", text))


def _role(name: str) -> Role:
    try:
        return Role(name)
    except ValueError:
        raise INVALID("Choose a role from the list.", field="role") from None


def _words(role: str) -> str:
    return role.replace("-", " ")


def _list_page(
    request: Request, node: Node, actor: Actor, said: dict[str, str], refusal: Refusal | None
) -> Response:
    return render(
        request,
        "projects/list.html",
        200 if refusal is None else refusal.error.status,
        projects=node.projects.list(actor),
        roles=_own_roles(node, actor),
        may_create=actor.is_operator,
        said={"code": "", "name": "", "description": "", **said},
        errors={"code": refusal.detail} if refusal else {},
    )


def _project_page(
    request: Request,
    node: Node,
    actor: Actor,
    code: str,
    said: dict[str, str],
    errors: dict[str, str],
) -> Response:
    project, allowed = node.projects.open(actor, code)
    members: list[dict[str, Any]] = []
    if "members" in allowed:
        members = [
            {"username": m.username, "name": m.name, "role": m.role.value, "words": _words(m.role)}
            for m in node.projects.members(actor, code)
        ]
    return render(
        request,
        "projects/project.html",
        422 if errors else 200,
        project=project,
        allowed=allowed,
        roles=_own_roles(node, actor).get(code, []),
        collections=node.projects.collections(actor, code),
        members=members,
        role_options=[(role.value, words) for role, words in ROLE_WORDS.items()],
        said={"username": "", "role": "", "collection": "", "label": "", **said},
        errors=errors,
    )


def _own_roles(node: Node, actor: Actor) -> dict[str, list[str]]:
    held: dict[str, list[str]] = {}
    for code, role in node.projects.roles_of(actor):
        held.setdefault(code, []).append(_words(role.value))
    return held

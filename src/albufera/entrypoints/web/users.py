"""Pages of accounts, for operators."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from albufera.bootstrap.node import Node
from albufera.entrypoints.web.rendering import (
    NAVIGATION,
    ActorDep,
    Flash,
    FormDep,
    NodeDep,
    field,
    redirect,
    render,
)
from albufera.identity.model import USERNAME_TAKEN
from albufera.kernel.actor import Actor
from albufera.kernel.errors import CONFLICT, INVALID, Refusal

router = APIRouter(prefix="/users")

NAVIGATION.append(("Users", "/users", lambda actor, roles: actor.is_operator))
_TEXTS = ("username", "name", "email", "organisation")
_MAX = 200


@router.get("")
def users_page(request: Request, node: NodeDep, actor: ActorDep) -> Response:
    """Show the accounts of the node."""
    return _page(request, node, actor, {}, {})


@router.post("")
def create_user(request: Request, node: NodeDep, actor: ActorDep, form: FormDep) -> Response:
    """Make an account."""
    said = {name: field(form, name)[:_MAX] for name in _TEXTS}
    password = form.get("password")
    try:
        node.identity.create_user(
            actor,
            said["username"],
            password if isinstance(password, str) else "",
            name=said["name"],
            email=said["email"],
            organisation=said["organisation"],
            is_operator=field(form, "operator") == "on",
        )
    except Refusal as refusal:
        if refusal.error not in (INVALID, CONFLICT, USERNAME_TAKEN):
            raise
        wrong = str(refusal.facts.get("field", "username"))
        return _page(request, node, actor, said, {wrong: refusal.detail})
    text = f"The account {said['username']} is there. Roles are given on a project's page."
    return redirect("/users", Flash("success", text))


@router.get("/{username}/disable")
def disable_page(request: Request, node: NodeDep, actor: ActorDep, username: str) -> Response:
    """Ask once more before an account is closed."""
    found = [user for user in node.identity.list_users(actor) if user.username == username]
    user = found[0] if found else node.identity.user_named(username)
    return render(request, "users/disable.html", user=user)


@router.post("/{username}/disable")
def disable_user(node: NodeDep, actor: ActorDep, username: str, _form: FormDep) -> Response:
    """Close an account."""
    node.identity.disable_user(actor, username)
    return redirect("/users", Flash("success", f"The account {username} is closed."))


def _page(
    request: Request, node: Node, actor: Actor, said: dict[str, str], errors: dict[str, str]
) -> Response:
    return render(
        request,
        "users/list.html",
        422 if errors else 200,
        users=node.identity.list_users(actor),
        me=actor.username,
        said={**dict.fromkeys(_TEXTS, ""), **said},
        errors=errors,
    )

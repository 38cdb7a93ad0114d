"""`/session` and `/me`: signing in and out by program, and who I am."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from pydantic import Field

from albufera.entrypoints.api.http import ActorDep, NodeDep, Resource, get_caller
from albufera.entrypoints.http import Caller
from albufera.governance.model import Role

router = APIRouter(tags=["identity"])


class Credentials(Resource):
    """A user name and a password."""

    username: str = Field(max_length=64)
    password: str = Field(max_length=256)


class SessionResource(Resource):
    """A new session. Send the token as `Authorization: Bearer …`."""

    token: str
    csrf_token: str
    expires_at: str
    username: str


class RoleResource(Resource):
    """A role in a project."""

    project: str
    role: Role


class Me(Resource):
    """The caller."""

    user_id: str
    username: str
    is_operator: bool
    roles: list[RoleResource]


@router.post("/session", status_code=201)
def sign_in(node: NodeDep, request: Request, body: Credentials) -> SessionResource:
    """Sign in with a local account; the answer holds the bearer token."""
    address = request.client.host if request.client else "local"
    token, session = node.identity.sign_in(body.username, body.password, address)
    return SessionResource(
        token=token,
        csrf_token=session.csrf_token,
        expires_at=session.expires_at.isoformat(),
        username=session.user.username,
    )


@router.delete("/session", status_code=204)
def sign_out(
    node: NodeDep, request: Request, _caller: Annotated[Caller, Depends(get_caller)]
) -> Response:
    """End the session of the bearer token."""
    _, _, token = request.headers.get("authorization", "").partition(" ")
    node.identity.sign_out(token.strip())
    return Response(status_code=204)


@router.get("/me")
def me(node: NodeDep, actor: ActorDep) -> Me:
    """Return the caller and their roles."""
    roles = [RoleResource(project=code, role=role) for code, role in node.projects.roles_of(actor)]
    return Me(
        user_id=actor.user_id, username=actor.username, is_operator=actor.is_operator, roles=roles
    )

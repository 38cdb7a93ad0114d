"""`/session` and `/me` of a hub."""

from fastapi import APIRouter, Request, Response
from pydantic import Field

from albufera.entrypoints.api.resources import Resource
from albufera.entrypoints.hub.http import ActorDep, CallerDep, HubDep

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


class Me(Resource):
    """The caller."""

    user_id: str
    username: str
    is_operator: bool


class NewUser(Resource):
    """An account to make."""

    username: str = Field(max_length=64)
    password: str = Field(max_length=256)
    name: str = Field("", max_length=200)
    organisation: str = Field("", max_length=200)
    is_operator: bool = False


@router.post("/session", status_code=201)
def sign_in(hub: HubDep, request: Request, body: Credentials) -> SessionResource:
    """Sign in with a local account; the answer holds the bearer token."""
    address = request.client.host if request.client else "local"
    token, session = hub.identity.sign_in(body.username, body.password, address)
    return SessionResource(
        token=token,
        csrf_token=session.csrf_token,
        expires_at=session.expires_at.isoformat(),
        username=session.user.username,
    )


@router.delete("/session", status_code=204)
def sign_out(hub: HubDep, request: Request, _caller: CallerDep) -> Response:
    """End the session of the bearer token."""
    _, _, token = request.headers.get("authorization", "").partition(" ")
    hub.identity.sign_out(token.strip())
    return Response(status_code=204)


@router.get("/me")
def me(actor: ActorDep) -> Me:
    """Return the caller."""
    return Me(user_id=actor.user_id, username=actor.username, is_operator=actor.is_operator)


@router.post("/users", status_code=201)
def create_user(hub: HubDep, actor: ActorDep, body: NewUser) -> Me:
    """Make an account of a person who may ask questions."""
    made = hub.identity.create_user(
        actor,
        body.username,
        body.password,
        name=body.name,
        organisation=body.organisation,
        is_operator=body.is_operator,
    )
    return Me(user_id=made.user_id, username=made.username, is_operator=made.is_operator)

"""`/session`: signing in and out by program, at a node and at a hub."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from pydantic import Field

from albufera.entrypoints.api.resources import Resource
from albufera.entrypoints.callers import CallerDep
from albufera.entrypoints.http import services_of
from albufera.identity.service import IdentityService

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


def get_identity(request: Request) -> IdentityService:
    """Return who holds which session here."""
    return services_of(request).identity


IdentityDep = Annotated[IdentityService, Depends(get_identity)]


@router.post("/session", status_code=201)
def sign_in(identity: IdentityDep, request: Request, body: Credentials) -> SessionResource:
    """Sign in with a local account; the answer holds the bearer token."""
    address = request.client.host if request.client else "local"
    token, session = identity.sign_in(body.username, body.password, address)
    return SessionResource(
        token=token,
        csrf_token=session.csrf_token,
        expires_at=session.expires_at.isoformat(),
        username=session.user.username,
    )


@router.delete("/session", status_code=204)
def sign_out(identity: IdentityDep, request: Request, _caller: CallerDep) -> Response:
    """End the session of the bearer token."""
    _, _, token = request.headers.get("authorization", "").partition(" ")
    identity.sign_out(token.strip())
    return Response(status_code=204)

"""`/session` and `/me` of a hub."""

from fastapi import APIRouter
from pydantic import Field

from albufera.entrypoints.api import signing_in
from albufera.entrypoints.api.resources import Resource
from albufera.entrypoints.callers import ActorDep
from albufera.entrypoints.hub.http import HubDep

router = APIRouter(tags=["identity"])
router.include_router(signing_in.router)


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

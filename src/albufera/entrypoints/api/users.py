"""`/users`: accounts of the node."""

from fastapi import APIRouter, Response
from pydantic import Field

from albufera.entrypoints.api.http import ActorDep, NodeDep, Resource
from albufera.identity.model import User

router = APIRouter(tags=["identity"])


class NewUser(Resource):
    """An account to make."""

    username: str = Field(max_length=64)
    password: str = Field(max_length=256)
    name: str = Field("", max_length=200)
    email: str = Field("", max_length=200)
    organisation: str = Field("", max_length=200)
    is_operator: bool = False


class NewPassword(Resource):
    """A password to set."""

    password: str = Field(max_length=256)


class UserResource(Resource):
    """An account."""

    user_id: str
    username: str
    name: str
    email: str
    organisation: str
    is_operator: bool
    disabled: bool
    created_at: str


def _user(user: User) -> UserResource:
    return UserResource(
        user_id=user.user_id,
        username=user.username,
        name=user.name,
        email=user.email,
        organisation=user.organisation,
        is_operator=user.is_operator,
        disabled=user.disabled,
        created_at=user.created_at.isoformat(),
    )


@router.get("/users")
def list_users(node: NodeDep, actor: ActorDep) -> list[UserResource]:
    """Return all accounts."""
    return [_user(user) for user in node.identity.list_users(actor)]


@router.post("/users", status_code=201)
def create_user(node: NodeDep, actor: ActorDep, body: NewUser) -> UserResource:
    """Make an account."""
    made = node.identity.create_user(
        actor,
        body.username,
        body.password,
        name=body.name,
        email=body.email,
        organisation=body.organisation,
        is_operator=body.is_operator,
    )
    return _user(made)


@router.put("/users/{username}/password", status_code=204)
def set_password(node: NodeDep, actor: ActorDep, username: str, body: NewPassword) -> Response:
    """Set a new password; the account's sessions end."""
    node.identity.set_password(actor, username, body.password)
    return Response(status_code=204)


@router.post("/users/{username}/disable", status_code=204)
def disable_user(node: NodeDep, actor: ActorDep, username: str) -> Response:
    """Close an account; its sessions end."""
    node.identity.disable_user(actor, username)
    return Response(status_code=204)

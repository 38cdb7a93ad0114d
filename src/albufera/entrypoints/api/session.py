"""`/me`: who I am, and what I am where. Signing in and out is shared with hubs."""

from fastapi import APIRouter

from albufera.entrypoints.api import signing_in
from albufera.entrypoints.api.http import ActorDep, NodeDep, Resource
from albufera.governance.model import Role

router = APIRouter(tags=["identity"])
router.include_router(signing_in.router)


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


@router.get("/me")
def me(node: NodeDep, actor: ActorDep) -> Me:
    """Return the caller and their roles."""
    roles = [RoleResource(project=code, role=role) for code, role in node.projects.roles_of(actor)]
    return Me(
        user_id=actor.user_id, username=actor.username, is_operator=actor.is_operator, roles=roles
    )

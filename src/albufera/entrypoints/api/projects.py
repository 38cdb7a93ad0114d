"""`/projects`: tenants, collections and members."""

from fastapi import APIRouter, Response
from pydantic import Field

from albufera.entrypoints.api.http import ActorDep, NodeDep, Resource
from albufera.governance.model import Collection, Membership, Project, Role

router = APIRouter(tags=["governance"])


class NewProject(Resource):
    """A project to make."""

    code: str = Field(max_length=64, examples=["LUNG"])
    name: str = Field("", max_length=200)
    description: str = Field("", max_length=4000)


class ProjectResource(Resource):
    """A project."""

    project_id: str
    code: str
    name: str
    description: str
    created_at: str


class NewCollection(Resource):
    """A collection to add."""

    code: str = Field(max_length=64)
    name: str = Field("", max_length=200)


class CollectionResource(Resource):
    """A collection of a project."""

    collection_id: str
    code: str
    name: str


class RoleGift(Resource):
    """A role to give to a person."""

    username: str = Field(max_length=64)
    role: Role


class MemberResource(Resource):
    """A person's role in a project."""

    user_id: str
    username: str
    name: str
    role: Role


def _project(project: Project) -> ProjectResource:
    return ProjectResource(
        project_id=project.project_id,
        code=project.code,
        name=project.name,
        description=project.description,
        created_at=project.created_at.isoformat(),
    )


def _collection(collection: Collection) -> CollectionResource:
    return CollectionResource(
        collection_id=collection.collection_id, code=collection.code, name=collection.name
    )


def _member(member: Membership) -> MemberResource:
    return MemberResource(
        user_id=member.user_id, username=member.username, name=member.name, role=member.role
    )


@router.get("/projects")
def list_projects(node: NodeDep, actor: ActorDep) -> list[ProjectResource]:
    """Return the projects that the caller may see."""
    return [_project(project) for project in node.projects.list(actor)]


@router.post("/projects", status_code=201)
def create_project(node: NodeDep, actor: ActorDep, body: NewProject) -> ProjectResource:
    """Make a project with one collection, `main`."""
    return _project(node.projects.create(actor, body.code, body.name, body.description))


@router.get("/projects/{code}")
def show_project(node: NodeDep, actor: ActorDep, code: str) -> ProjectResource:
    """Return a project."""
    return _project(node.projects.show(actor, code))


@router.get("/projects/{code}/collections")
def list_collections(node: NodeDep, actor: ActorDep, code: str) -> list[CollectionResource]:
    """Return a project's collections."""
    return [_collection(item) for item in node.projects.collections(actor, code)]


@router.post("/projects/{code}/collections", status_code=201)
def add_collection(
    node: NodeDep, actor: ActorDep, code: str, body: NewCollection
) -> CollectionResource:
    """Add a collection to a project."""
    return _collection(node.projects.add_collection(actor, code, body.code, body.name))


@router.get("/projects/{code}/members")
def list_members(node: NodeDep, actor: ActorDep, code: str) -> list[MemberResource]:
    """Return who holds which role in a project."""
    return [_member(member) for member in node.projects.members(actor, code)]


@router.post("/projects/{code}/members", status_code=201)
def give_role(node: NodeDep, actor: ActorDep, code: str, body: RoleGift) -> list[MemberResource]:
    """Give a person a role; giving it twice changes nothing. Returns the members."""
    node.projects.give_role(actor, code, body.username, body.role)
    return [_member(member) for member in node.projects.members(actor, code)]


@router.delete("/projects/{code}/members/{username}/{role}", status_code=204)
def take_role(node: NodeDep, actor: ActorDep, code: str, username: str, role: Role) -> Response:
    """End a person's role in a project."""
    node.projects.take_role(actor, code, username, role)
    return Response(status_code=204)

"""Verbs of projects: tenants, their collections and their members."""

from collections.abc import Sequence

from sqlalchemy.engine import Connection

from albufera.governance import records
from albufera.governance.events import CollectionCreated, ProjectCreated, RoleGiven, RoleTaken
from albufera.governance.model import (
    COLLECTION_NOT_FOUND,
    PROJECT_NOT_FOUND,
    Collection,
    Membership,
    Project,
    Role,
    check_collection_code,
    check_project_code,
)
from albufera.identity.model import USER_NOT_FOUND
from albufera.identity.records import user_by_name
from albufera.kernel.actor import Actor
from albufera.kernel.database import Database
from albufera.kernel.errors import CONFLICT, NOT_FOUND, Refusal
from albufera.kernel.ids import new_id
from albufera.kernel.policy import Columns, Policy, Thing
from albufera.kernel.unit_of_work import unit_of_work


class ProjectService:
    """Projects, collections and roles."""

    def __init__(self, database: Database, policy: Policy) -> None:
        self.database = database
        self.policy = policy

    def create(self, actor: Actor, code: str, name: str = "", description: str = "") -> Project:
        """Make a project with one collection, `main`. Raises `conflict`, `invalid-input`."""
        check_project_code(code)
        with unit_of_work(self.database, actor) as work:
            self.policy.require(work.connection, actor, "project.create", Thing("project"))
            if records.project_by_code(work.connection, code):
                raise CONFLICT(f"There is a project {code} already.")
            row = work.connection.execute(
                records.projects.insert()
                .values(
                    project_id=new_id("pr"),
                    code=code,
                    name=name or code,
                    description=description,
                    created_at=work.now(),
                )
                .returning(records.projects)
            ).one()
            work.record(ProjectCreated(project_id=row.project_id))
            self._insert_collection(work.connection, row.project_id, "main", "Main collection")
        return records.to_project(row)

    def list(self, actor: Actor) -> Sequence[Project]:
        """Return the projects that `actor` may see, by code."""
        table = records.projects
        columns = Columns(id=table.c.project_id, project_id=table.c.project_id)
        visible = self.policy.which(actor, "project.view", columns)
        with self.database.read() as connection:
            rows = connection.execute(table.select().where(visible).order_by(table.c.code))
            return [records.to_project(row) for row in rows]

    def show(self, actor: Actor, code: str) -> Project:
        """Return a project by code. Raises `project-not-found`."""
        with self.database.read() as connection:
            return self.resolve(connection, actor, code, "project.view")

    def open(self, actor: Actor, code: str) -> tuple[Project, Sequence[str]]:
        """Return a project and what the caller may do to it. Raises `project-not-found`."""
        with self.database.read() as connection:
            project = self.resolve(connection, actor, code, "project.view")
            thing = Thing("project", id=project.project_id, project_id=project.project_id)
            return project, self.policy.allowed(connection, actor, thing)

    def members(self, actor: Actor, code: str) -> Sequence[Membership]:
        """Return who holds which role. Raises `project-not-found`."""
        with self.database.read() as connection:
            project = self.resolve(connection, actor, code, "project.members")
            return records.members_of(connection, project.project_id)

    def collections(self, actor: Actor, code: str) -> Sequence[Collection]:
        """Return a project's collections. Raises `project-not-found`."""
        with self.database.read() as connection:
            project = self.resolve(connection, actor, code, "project.view")
            return records.collections_of(connection, project.project_id)

    def add_collection(
        self, actor: Actor, code: str, collection: str, name: str = ""
    ) -> Collection:
        """Add a collection. Raises `conflict`, `invalid-input`, `project-not-found`."""
        check_collection_code(collection)
        with unit_of_work(self.database, actor) as work:
            project = self.resolve(work.connection, actor, code, "project.manage")
            present = records.collections_of(work.connection, project.project_id)
            if any(item.code == collection for item in present):
                raise CONFLICT(f"Project {code} has a collection “{collection}” already.")
            made = self._insert_collection(
                work.connection, project.project_id, collection, name or collection
            )
            event = CollectionCreated(
                project_id=project.project_id, collection_id=made.collection_id
            )
            work.record(event)
        return made

    def give_role(self, actor: Actor, code: str, username: str, role: Role) -> None:
        """Give a person a role in a project; giving it twice changes nothing."""
        with unit_of_work(self.database, actor) as work:
            project = self.resolve(work.connection, actor, code, "project.members")
            user = user_by_name(work.connection, username)
            if user is None:
                raise USER_NOT_FOUND(f"There is no user “{username}” here.")
            values = {"project_id": project.project_id, "user_id": user.user_id, "role": role.value}
            present = records.memberships.select().filter_by(**values)
            if work.connection.execute(present).first() is not None:
                return
            work.connection.execute(records.memberships.insert().values(**values))
            work.record(RoleGiven(**values))

    def take_role(self, actor: Actor, code: str, username: str, role: Role) -> None:
        """End a person's role in a project. Raises `not-found` when it is not held."""
        with unit_of_work(self.database, actor) as work:
            project = self.resolve(work.connection, actor, code, "project.members")
            user = user_by_name(work.connection, username)
            user_id = user.user_id if user is not None else ""
            table = records.memberships
            ended = work.connection.execute(
                table.delete().where(
                    table.c.project_id == project.project_id,
                    table.c.user_id == user_id,
                    table.c.role == role.value,
                )
            )
            if not ended.rowcount:
                raise NOT_FOUND(f"{username} is not {role.value} in {code}.")
            event = RoleTaken(project_id=project.project_id, user_id=user_id, role=role.value)
            work.record(event)

    def roles_of(self, actor: Actor) -> Sequence[tuple[str, Role]]:
        """Return the caller's own (project code, role) pairs."""
        with self.database.read() as connection:
            return records.roles_of(connection, actor.user_id)

    def resolve(self, connection: Connection, actor: Actor, code: str, verb: str) -> Project:
        """Return a project for a caller who may do `verb`, a verb of any kind, in it.

        Raises `project-not-found` for a project that the caller may not know of, `forbidden` for
        one that the caller may only see.
        """
        project = records.project_by_code(connection, code)
        unknown = PROJECT_NOT_FOUND(f"There is no project {code!r} that you may know of.")
        if project is None:
            raise unknown
        in_project = Thing("project", id=project.project_id, project_id=project.project_id)
        thing = Thing(verb.partition(".")[0], project_id=project.project_id)
        try:
            if thing.kind == "project":
                self.policy.require(connection, actor, verb, in_project)
            else:
                if not self.policy.may(connection, actor, verb, thing):
                    self.policy.require(connection, actor, "project.view", in_project)
                self.policy.require(connection, actor, verb, thing)
        except Refusal as refusal:
            if refusal.code == NOT_FOUND.code:
                raise unknown from refusal
            raise
        return project

    def resolve_collection(self, connection: Connection, project: Project, code: str) -> Collection:
        """Return a collection of a project by code. Raises `collection-not-found`."""
        for collection in records.collections_of(connection, project.project_id):
            if collection.code == code:
                return collection
        raise COLLECTION_NOT_FOUND(f"Project {project.code} has no collection “{code}”.")

    @staticmethod
    def _insert_collection(
        connection: Connection, project_id: str, code: str, name: str
    ) -> Collection:
        row = connection.execute(
            records.collections.insert()
            .values(collection_id=new_id("co"), project_id=project_id, code=code, name=name)
            .returning(records.collections)
        ).one()
        return Collection(row.collection_id, row.project_id, row.code, row.name)

"""Verbs of access: applications, the committee's decisions, grants."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from albufera.governance import records
from albufera.governance.events import (
    AccessGranted,
    AccessRevoked,
    ApplicationDecided,
    ApplicationSubmitted,
)
from albufera.governance.model import (
    APPLICATION_LIFE,
    APPLICATION_NOT_FOUND,
    GRANT_NOT_FOUND,
    Application,
    ApplicationState,
    Grant,
    check_text,
)
from albufera.governance.ports import DatasetDirectory
from albufera.identity.model import USER_NOT_FOUND
from albufera.identity.records import user_by_name
from albufera.kernel import clock
from albufera.kernel.actor import Actor
from albufera.kernel.database import Database
from albufera.kernel.errors import CONFLICT, FORBIDDEN, INVALID, NOT_FOUND, Refusal
from albufera.kernel.ids import new_id
from albufera.kernel.pages import Page, PageRequest, cut
from albufera.kernel.policy import Columns, Policy, Thing
from albufera.kernel.unit_of_work import UnitOfWork, unit_of_work

DEFAULT_PERIOD = timedelta(days=365)
MAX_PERIOD = timedelta(days=5 * 366)


@dataclass(frozen=True)
class Terms:
    """Under what terms access is granted: until when, and what the person must keep to."""

    ends_at: datetime | None = None
    conditions: str = ""


class AccessService:
    """Applications and grants. Nothing is usable without a grant."""

    def __init__(self, database: Database, policy: Policy, datasets: DatasetDirectory) -> None:
        self.database = database
        self.policy = policy
        self.datasets = datasets

    def apply(self, actor: Actor, dataset_id: str, purpose: str) -> Application:
        """Ask to use a dataset for a purpose. Raises `not-found`, `conflict`, `invalid-input`."""
        purpose = check_text(purpose, "purpose")
        with unit_of_work(self.database, actor) as work:
            thing = self._dataset(work.connection, dataset_id)
            self.policy.require(work.connection, actor, "dataset.apply", thing)
            table = records.applications
            waiting = table.select().where(
                table.c.dataset_id == dataset_id,
                table.c.applicant_id == actor.user_id,
                table.c.state == "submitted",
            )
            if work.connection.execute(waiting).first() is not None:
                raise CONFLICT("You have an application for this dataset that is not decided yet.")
            application_id = new_id("ap")
            work.connection.execute(
                table.insert().values(
                    application_id=application_id,
                    project_id=thing.project_id,
                    dataset_id=dataset_id,
                    applicant_id=actor.user_id,
                    purpose=purpose,
                    state="submitted",
                    reason="",
                    submitted_at=work.now(),
                )
            )
            event = ApplicationSubmitted(
                project_id=thing.project_id,
                application_id=application_id,
                dataset_id=dataset_id,
                applicant_id=actor.user_id,
            )
            work.record(event)
            return self._application(work.connection, application_id)

    def applications(self, actor: Actor, request: PageRequest) -> Page[Application]:
        """Return the applications that `actor` may see, newest first."""
        visible = self.policy.which(actor, "application.view", APPLICATION_COLUMNS)
        return self._applications(visible, request)

    def to_decide(self, actor: Actor, request: PageRequest) -> Page[Application]:
        """Return the applications that wait for a decision `actor` may make, newest first."""
        return self._applications(self._waiting_for(actor), request)

    def own_applications(self, actor: Actor, request: PageRequest) -> Page[Application]:
        """Return the applications that `actor` submitted, newest first."""
        return self._applications(records.applications.c.applicant_id == actor.user_id, request)

    def count_to_decide(self, actor: Actor) -> int:
        """Count the applications that wait for a decision `actor` may make."""
        table = records.applications
        query = sa.select(sa.func.count()).select_from(table).where(self._waiting_for(actor))
        with self.database.read() as connection:
            return connection.scalar(query) or 0

    def application(self, actor: Actor, application_id: str) -> tuple[Application, tuple[str, ...]]:
        """Return an application and what the caller may do to it."""
        with self.database.read() as connection:
            found = self._resolve(connection, actor, application_id, "application.view")
            verbs = self.policy.allowed(connection, actor, _thing(found))
            return found, verbs if APPLICATION_LIFE.allowed(found.state) else ("view",)

    def approve(self, actor: Actor, application_id: str, reason: str, terms: Terms) -> Grant:
        """Approve an application: the applicant holds a grant from this moment."""
        with unit_of_work(self.database, actor) as work:
            found = self._decide(work, application_id, "application.decide", "approve", reason)
            return self._grant(
                work, found.project_id, found.dataset_id, found.applicant_id, application_id, terms
            )

    def reject(self, actor: Actor, application_id: str, reason: str) -> Application:
        """Reject an application, with the reason."""
        reason = check_text(reason, "reason")
        with unit_of_work(self.database, actor) as work:
            self._decide(work, application_id, "application.decide", "reject", reason)
            return self._application(work.connection, application_id)

    def withdraw(self, actor: Actor, application_id: str) -> Application:
        """Take one's own application back."""
        with unit_of_work(self.database, actor) as work:
            self._decide(work, application_id, "application.withdraw", "withdraw", "")
            return self._application(work.connection, application_id)

    def grant(self, actor: Actor, dataset_id: str, username: str, terms: Terms) -> Grant:
        """Grant access without an application (the committee's own initiative)."""
        with unit_of_work(self.database, actor) as work:
            thing = self._dataset(work.connection, dataset_id)
            self.policy.require(work.connection, actor, "dataset.grant", thing)
            user = user_by_name(work.connection, username)
            if user is None:
                raise USER_NOT_FOUND(f"There is no user “{username}” here.")
            if user.user_id == actor.user_id:
                raise FORBIDDEN("Nobody gives themselves access: ask another committee member.")
            project_id = thing.project_id or ""
            return self._grant(work, project_id, dataset_id, user.user_id, None, terms)

    def grants(self, actor: Actor, request: PageRequest) -> Page[Grant]:
        """Return the grants that `actor` may see, newest first."""
        return self._grants(self.policy.which(actor, "grant.view", _GRANT_COLUMNS), request)

    def own_grants(self, actor: Actor, request: PageRequest) -> Page[Grant]:
        """Return the grants that `actor` holds or held, newest first."""
        return self._grants(records.grants.c.user_id == actor.user_id, request)

    def grant_of(self, actor: Actor, grant_id: str) -> tuple[Grant, tuple[str, ...]]:
        """Return a grant and what the caller may do to it. Raises `grant-not-found`."""
        with self.database.read() as connection:
            found = self._resolve_grant(connection, actor, grant_id, "grant.view")
            verbs = self.policy.allowed(connection, actor, _grant_thing(found))
            return found, verbs if found.revoked_at is None else ("view",)

    def revoke(self, actor: Actor, grant_id: str) -> Grant:
        """End a grant now. What runs under it is stopped by whoever follows the event."""
        with unit_of_work(self.database, actor) as work:
            found = self._resolve_grant(work.connection, actor, grant_id, "grant.revoke")
            if found.revoked_at is not None:
                raise CONFLICT("This grant was revoked already.")
            table = records.grants
            work.connection.execute(
                table.update()
                .where(table.c.grant_id == grant_id)
                .values(revoked_at=work.now(), revoked_by=actor.user_id)
            )
            event = AccessRevoked(
                project_id=found.project_id,
                grant_id=grant_id,
                dataset_id=found.dataset_id,
                user_id=found.user_id,
            )
            work.record(event)
            return self._find_grant(work.connection, grant_id)

    def _waiting_for(self, actor: Actor) -> sa.ColumnElement[bool]:
        mine = self.policy.which(actor, "application.decide", APPLICATION_COLUMNS)
        return sa.and_(mine, records.applications.c.state == ApplicationState.SUBMITTED.value)

    def _applications(
        self, condition: sa.ColumnElement[bool], request: PageRequest
    ) -> Page[Application]:
        key = records.applications.c.application_id
        query = records.APPLICATIONS.where(condition).order_by(key.desc())
        if request.after:
            query = query.where(key < request.after)
        with self.database.read() as connection:
            rows = connection.execute(query.limit(request.limit + 1))
            items = [records.to_application(row) for row in rows]
        return cut(items, request, lambda item: item.application_id)

    def _grants(self, condition: sa.ColumnElement[bool], request: PageRequest) -> Page[Grant]:
        key = records.grants.c.grant_id
        query = records.GRANTS.where(condition).order_by(key.desc())
        if request.after:
            query = query.where(key < request.after)
        with self.database.read() as connection:
            items = [
                records.to_grant(row) for row in connection.execute(query.limit(request.limit + 1))
            ]
        return cut(items, request, lambda item: item.grant_id)

    def _resolve_grant(
        self, connection: Connection, actor: Actor, grant_id: str, verb: str
    ) -> Grant:
        found = self._find_grant(connection, grant_id)
        try:
            self.policy.require(connection, actor, verb, _grant_thing(found))
        except Refusal as refusal:
            if refusal.code == NOT_FOUND.code:
                raise GRANT_NOT_FOUND() from refusal
            raise
        return found

    def _resolve(
        self, connection: Connection, actor: Actor, application_id: str, verb: str
    ) -> Application:
        found = self._application(connection, application_id)
        try:
            self.policy.require(connection, actor, verb, _thing(found))
        except Refusal as refusal:
            if refusal.code == NOT_FOUND.code:
                raise APPLICATION_NOT_FOUND() from refusal
            raise
        return found

    def _decide(
        self, work: UnitOfWork, application_id: str, verb: str, event: str, reason: str
    ) -> Application:
        found = self._resolve(work.connection, work.actor, application_id, verb)
        state = APPLICATION_LIFE.after(found.state, event)
        table = records.applications
        work.connection.execute(
            table.update()
            .where(table.c.application_id == application_id)
            .values(
                state=state.value,
                reason=reason,
                decided_at=work.now(),
                decided_by=work.actor.user_id,
            )
        )
        work.record(
            ApplicationDecided(
                project_id=found.project_id,
                application_id=application_id,
                dataset_id=found.dataset_id,
                decision=state.value,
            )
        )
        return found

    def _grant(
        self,
        work: UnitOfWork,
        project_id: str,
        dataset_id: str,
        user_id: str,
        application_id: str | None,
        terms: Terms,
    ) -> Grant:
        ends_at = terms.ends_at or work.now() + DEFAULT_PERIOD
        if not work.now() < ends_at <= work.now() + MAX_PERIOD:
            raise INVALID("A grant ends in the future, within five years.", field="endsAt")
        grant_id = new_id("gr")
        work.connection.execute(
            records.grants.insert().values(
                grant_id=grant_id,
                project_id=project_id,
                dataset_id=dataset_id,
                user_id=user_id,
                application_id=application_id,
                conditions=terms.conditions,
                granted_by=work.actor.user_id,
                starts_at=work.now(),
                ends_at=ends_at,
            )
        )
        work.record(
            AccessGranted(
                project_id=project_id,
                grant_id=grant_id,
                dataset_id=dataset_id,
                user_id=user_id,
                ends_at=clock.isoformat(ends_at),
            )
        )
        return self._find_grant(work.connection, grant_id)

    def _dataset(self, connection: Connection, dataset_id: str) -> Thing:
        thing = self.datasets.dataset_thing(connection, dataset_id)
        if thing is None:
            raise NOT_FOUND("There is no such dataset, or none that you may know of.")
        return thing

    @staticmethod
    def _application(connection: Connection, application_id: str) -> Application:
        mine = records.applications.c.application_id == application_id
        row = connection.execute(records.APPLICATIONS.where(mine)).one_or_none()
        if row is None:
            raise APPLICATION_NOT_FOUND()
        return records.to_application(row)

    @staticmethod
    def _find_grant(connection: Connection, grant_id: str) -> Grant:
        mine: sa.ColumnElement[bool] = records.grants.c.grant_id == grant_id
        row = connection.execute(records.GRANTS.where(mine)).one_or_none()
        if row is None:
            raise GRANT_NOT_FOUND()
        return records.to_grant(row)


APPLICATION_COLUMNS = Columns(
    id=records.applications.c.application_id,
    project_id=records.applications.c.project_id,
    owner_id=records.applications.c.applicant_id,
    state=records.applications.c.state,
)

_GRANT_COLUMNS = Columns(
    id=records.grants.c.grant_id,
    project_id=records.grants.c.project_id,
    owner_id=records.grants.c.user_id,
)


def _grant_thing(grant: Grant) -> Thing:
    return Thing("grant", id=grant.grant_id, project_id=grant.project_id, owner_id=grant.user_id)


def _thing(application: Application) -> Thing:
    return Thing(
        "application",
        id=application.application_id,
        project_id=application.project_id,
        owner_id=application.applicant_id,
        state=application.state.value,
    )

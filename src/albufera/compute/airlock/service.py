"""Verbs of the airlock: request, review, fetch."""

import time
from collections.abc import Sequence
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from albufera.compute.airlock import records
from albufera.compute.airlock.events import (
    EgressFetched,
    EgressInspected,
    EgressRequested,
    EgressReviewed,
)
from albufera.compute.airlock.freezer import Freezer
from albufera.compute.airlock.model import (
    EGRESS_LIFE,
    EGRESS_NOT_FOUND,
    JOB_NOT_OVER,
    MAX_PATHS,
    MAX_PENDING,
    NOT_APPROVED,
    OWN_REQUEST,
    TOO_MANY_EGRESS_REQUESTS,
    EgressFile,
    EgressRequest,
    EgressState,
)
from albufera.compute.jobs import resolve_job
from albufera.compute.model import ENDED, Job
from albufera.compute.workspace import Workspace
from albufera.kernel import clock
from albufera.kernel.actor import Actor
from albufera.kernel.canonical import digest
from albufera.kernel.database import Database
from albufera.kernel.errors import INVALID, NOT_FOUND, Refusal
from albufera.kernel.ids import is_id, new_id
from albufera.kernel.pages import Page, PageRequest, cut
from albufera.kernel.policy import Policy, Thing
from albufera.kernel.unit_of_work import unit_of_work

PREFIX = "eg"
MAX_TEXT = 4000
SWEEP_SECONDS = 3600.0
ABANDONED_SECONDS = 24 * 3600.0


class AirlockService:
    """Requests that results leave, and their review by another person."""

    def __init__(
        self, database: Database, policy: Policy, workspace: Workspace, freezer: Freezer
    ) -> None:
        self.database = database
        self.policy = policy
        self.workspace = workspace
        self.freezer = freezer
        self._swept = time.monotonic()

    def request(
        self, actor: Actor, job_id: str, paths: Sequence[str], purpose: str
    ) -> EgressRequest:
        """Freeze files of an ended job and ask that they leave.

        Raises `job-not-found`, `job-not-over`, `nothing-to-leave`, `egress-too-large`,
        `unfit-file`, `too-many-egress-requests`, `invalid-input`.
        """
        if not 0 < len(paths) <= MAX_PATHS:
            raise INVALID(f"Name 1 to {MAX_PATHS} paths.", field="paths")
        purpose = _checked_text(purpose, "purpose")
        with self.database.read() as connection:
            job = resolve_job(connection, self.policy, actor, job_id, "job.egress")
            if records.pending_of(connection, actor.user_id) >= MAX_PENDING:
                raise TOO_MANY_EGRESS_REQUESTS()
        if job.state not in ENDED:
            raise JOB_NOT_OVER()
        request_id = new_id(PREFIX)
        files = self.freezer.freeze(request_id, self.workspace.of_job(job_id).outputs, paths)
        try:
            return self._record(actor, job, request_id, files, purpose)
        except BaseException:
            self.freezer.discard(request_id)
            raise

    def list(
        self, actor: Actor, request: PageRequest, state: EgressState | None = None
    ) -> Page[EgressRequest]:
        """Return the requests that `actor` may see, newest first."""
        table = records.egress_requests
        query = records.REQUESTS.where(self.policy.which(actor, "egress.view", records.COLUMNS))
        if state is not None:
            query = query.where(table.c.state == state.value)
        if request.after:
            if not is_id(request.after, PREFIX):
                raise INVALID("“after” is the identifier of an egress request.", field="after")
            query = query.where(table.c.request_id < request.after)
        query = query.order_by(table.c.request_id.desc()).limit(request.limit + 1)
        with self.database.read() as connection:
            items = [records.to_request(row) for row in connection.execute(query)]
        return cut(items, request, lambda item: item.request_id)

    def count_to_review(self, actor: Actor) -> int:
        """Count the requests that wait for a review that `actor` may make."""
        table = records.egress_requests
        mine = self.policy.which(actor, "egress.review", records.COLUMNS)
        waiting = table.c.state == EgressState.PENDING.value
        with self.database.read() as connection:
            counted = sa.select(sa.func.count()).select_from(table).where(mine, waiting)
            return connection.scalar(counted) or 0

    def show(self, actor: Actor, request_id: str) -> tuple[EgressRequest, tuple[str, ...]]:
        """Return a request and what the caller may do to it. Raises `egress-not-found`."""
        with self.database.read() as connection:
            found = self._require(connection, actor, request_id, "egress.view")
            allowed = self.policy.allowed(connection, actor, thing_of(found))
        over = set() if EGRESS_LIFE.allowed(found.state) else {"review"}
        gone = {"inspect"} if found.state is EgressState.REJECTED else set()
        return found, tuple(verb for verb in allowed if verb not in over | gone)

    def inspect(
        self, actor: Actor, request_id: str, indexes: Sequence[int]
    ) -> Sequence[tuple[EgressFile, Path]]:
        """Return frozen files for a reviewer to look at; who looked at what is recorded."""
        with unit_of_work(self.database, actor) as work:
            found = self._require(work.connection, actor, request_id, "egress.inspect")
            files = [_file(found, index) for index in indexes]
            for file in files:
                event = EgressInspected(
                    project_id=found.project_id, request_id=request_id, file_digest=file.sha256
                )
                work.record(event)
        return [(file, self.freezer.path(request_id, file)) for file in files]

    def approve(self, actor: Actor, request_id: str, reason: str = "") -> EgressRequest:
        """Let the frozen files leave. Another person than the one who asked decides.

        An alarm is overruled with a reason only.
        """
        return self._review(actor, request_id, "approve", reason)

    def reject(self, actor: Actor, request_id: str, reason: str) -> EgressRequest:
        """Keep the files inside, with the reason; the frozen copies are removed."""
        rejected = self._review(actor, request_id, "reject", reason)
        self.freezer.discard(request_id)
        return rejected

    def fetch(self, actor: Actor, request_id: str) -> EgressRequest:
        """Return an approved request, whose files the person who asked now takes out.

        `freezer.read` gives them. Raises `egress-not-approved`.
        """
        with unit_of_work(self.database, actor) as work:
            found = self._require(work.connection, actor, request_id, "egress.view")
            if found.owner_id == actor.user_id and found.state is not EgressState.APPROVED:
                raise NOT_APPROVED(f"The request is {found.state.value}.")
            self.policy.require(work.connection, actor, "egress.fetch", thing_of(found))
            event = EgressFetched(
                project_id=found.project_id, request_id=request_id, files=len(found.files)
            )
            work.record(event)
        return found

    def sweep(self) -> None:
        """Remove copies that no request holds, a day later (a chore, once an hour)."""
        if time.monotonic() - self._swept < SWEEP_SECONDS:
            return
        self._swept = time.monotonic()
        horizon = clock.now().timestamp() - ABANDONED_SECONDS
        old = [request_id for request_id, at in self.freezer.held() if at < horizon]
        for start in range(0, len(old), 500):
            part = old[start : start + 500]
            with self.database.read() as connection:
                known = records.holding(connection, part)
            for request_id in set(part) - known:
                self.freezer.discard(request_id)

    def _record(
        self,
        actor: Actor,
        job: Job,
        request_id: str,
        files: tuple[EgressFile, ...],
        purpose: str,
    ) -> EgressRequest:
        listed = records.to_json(files)
        with unit_of_work(self.database, actor) as work:
            work.connection.execute(
                records.egress_requests.insert().values(
                    request_id=request_id,
                    project_id=job.project_id,
                    job_id=job.job_id,
                    owner_id=actor.user_id,
                    purpose=purpose,
                    state=EgressState.PENDING.value,
                    files=listed,
                    files_digest=digest(listed),
                    requested_at=work.now(),
                )
            )
            work.record(
                EgressRequested(
                    project_id=job.project_id,
                    request_id=request_id,
                    job_id=job.job_id,
                    files=len(files),
                    size=sum(file.size for file in files),
                    files_digest=digest(listed),
                )
            )
            return self._find(work.connection, request_id)

    def _review(self, actor: Actor, request_id: str, event: str, reason: str) -> EgressRequest:
        reason = _checked_text(reason, "reason")
        with unit_of_work(self.database, actor) as work:
            if is_id(request_id, PREFIX):
                records.hold(work.connection, request_id)
            found = self._require(work.connection, actor, request_id, "egress.view")
            if found.owner_id == actor.user_id:
                raise OWN_REQUEST()
            self.policy.require(work.connection, actor, "egress.review", thing_of(found))
            state = EGRESS_LIFE.after(found.state, event)
            _require_reason(found, state, reason)
            table = records.egress_requests
            work.connection.execute(
                table.update()
                .where(table.c.request_id == request_id)
                .values(
                    state=state.value,
                    reason=reason,
                    reviewed_at=work.now(),
                    reviewer_id=actor.user_id,
                )
            )
            work.record(
                EgressReviewed(
                    project_id=found.project_id,
                    request_id=request_id,
                    decision=state.value,
                    files_digest=digest(records.to_json(found.files)),
                )
            )
            return self._find(work.connection, request_id)

    def _require(
        self, connection: Connection, actor: Actor, request_id: str, verb: str
    ) -> EgressRequest:
        found = self._find(connection, request_id)
        try:
            self.policy.require(connection, actor, verb, thing_of(found))
        except Refusal as refusal:
            if refusal.code == NOT_FOUND.code:
                raise EGRESS_NOT_FOUND() from refusal
            raise
        return found

    @staticmethod
    def _find(connection: Connection, request_id: str) -> EgressRequest:
        row = records.request_row(connection, request_id) if is_id(request_id, PREFIX) else None
        if row is None:
            raise EGRESS_NOT_FOUND()
        return records.to_request(row)


def thing_of(found: EgressRequest) -> Thing:
    """Return the facts of an egress request that rules look at."""
    return Thing("egress", found.request_id, found.project_id, found.owner_id, found.state.value)


def _file(found: EgressRequest, index: int) -> EgressFile:
    if not 0 <= index < len(found.files) or found.state is EgressState.REJECTED:
        raise NOT_FOUND("This request has no such file.")
    return found.files[index]


def _checked_text(text: str, name: str) -> str:
    """Return a text that a person typed, stripped; it holds what a database can keep."""
    text = text.strip()
    if len(text) > MAX_TEXT or not all(c.isprintable() or c in "\r\n\t" for c in text):
        raise INVALID(
            f"The {name} has at most {MAX_TEXT} characters, none of them a control character.",
            field=name,
        )
    return text


def _require_reason(found: EgressRequest, state: EgressState, reason: str) -> None:
    if reason:
        return
    if state is EgressState.REJECTED:
        raise INVALID("A rejection says why, so that the person can mend it.", field="reason")
    if found.alarms:
        raise INVALID(
            "A file sounds an alarm. Say why it may leave all the same, or reject the request.",
            field="reason",
        )

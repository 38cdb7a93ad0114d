"""Verbs of the airlock: request, review, fetch."""

from collections.abc import Sequence
from pathlib import Path

from sqlalchemy.engine import Connection

from albufera.compute import records as job_records
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
    OWN_REQUEST,
    EgressFile,
    EgressRequest,
    EgressState,
)
from albufera.compute.jobs import thing_of as job_thing
from albufera.compute.model import ENDED, JOB_NOT_FOUND, Job
from albufera.compute.workspace import Workspace
from albufera.kernel.actor import Actor
from albufera.kernel.canonical import digest
from albufera.kernel.database import Database
from albufera.kernel.errors import INVALID, NOT_FOUND
from albufera.kernel.ids import new_id
from albufera.kernel.pages import Page, PageRequest, cut
from albufera.kernel.policy import Policy, Thing
from albufera.kernel.unit_of_work import unit_of_work

MAX_TEXT = 4000


class AirlockService:
    """Requests that results leave, and their review by another person."""

    def __init__(
        self, database: Database, policy: Policy, workspace: Workspace, freezer: Freezer
    ) -> None:
        self.database = database
        self.policy = policy
        self.workspace = workspace
        self.freezer = freezer

    def request(
        self, actor: Actor, job_id: str, paths: Sequence[str], purpose: str
    ) -> EgressRequest:
        """Freeze files of an ended job and ask that they leave.

        Raises `job-not-found`, `job-not-over`, `nothing-to-leave`, `egress-too-large`.
        """
        if not 0 < len(paths) <= MAX_PATHS or len(purpose) > MAX_TEXT:
            raise INVALID(f"Name 1 to {MAX_PATHS} paths, and a purpose in few words.")
        with self.database.read() as connection:
            job = self._job(connection, actor, job_id)
        if job.state not in ENDED:
            raise JOB_NOT_OVER()
        request_id = new_id("eg")
        outputs = self.workspace.of_job(job_id).outputs
        files = self.freezer.freeze(request_id, outputs, paths)
        listed = records.to_json(files)
        with unit_of_work(self.database, actor) as work:
            work.connection.execute(
                records.egress_requests.insert().values(
                    request_id=request_id,
                    project_id=job.project_id,
                    job_id=job_id,
                    owner_id=actor.user_id,
                    purpose=purpose.strip(),
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
                    job_id=job_id,
                    files=len(files),
                    size=sum(file.size for file in files),
                    files_digest=digest(listed),
                )
            )
            return self._find(work.connection, request_id)

    def list(
        self, actor: Actor, request: PageRequest, state: EgressState | None = None
    ) -> Page[EgressRequest]:
        """Return the requests that `actor` may see, newest first."""
        table = records.egress_requests
        query = records.REQUESTS.where(self.policy.which(actor, "egress.view", records.COLUMNS))
        if state is not None:
            query = query.where(table.c.state == state.value)
        if request.after:
            query = query.where(table.c.request_id < request.after)
        query = query.order_by(table.c.request_id.desc()).limit(request.limit + 1)
        with self.database.read() as connection:
            items = [records.to_request(row) for row in connection.execute(query)]
        return cut(items, request, lambda item: item.request_id)

    def show(self, actor: Actor, request_id: str) -> tuple[EgressRequest, tuple[str, ...]]:
        """Return a request and what the caller may do to it. Raises `egress-not-found`."""
        with self.database.read() as connection:
            found = self._require(connection, actor, request_id, "egress.view")
            allowed = self.policy.allowed(connection, actor, thing_of(found))
        over = set() if EGRESS_LIFE.allowed(found.state) else {"review"}
        return found, tuple(verb for verb in allowed if verb not in over)

    def inspect(self, actor: Actor, request_id: str, index: int) -> tuple[EgressFile, Path]:
        """Return a frozen file for a reviewer to look at; who looked at what is recorded."""
        with unit_of_work(self.database, actor) as work:
            found = self._require(work.connection, actor, request_id, "egress.inspect")
            file = _file(found, index)
            event = EgressInspected(
                project_id=found.project_id, request_id=request_id, file_digest=file.sha256
            )
            work.record(event)
        return file, self.freezer.path(request_id, file)

    def approve(self, actor: Actor, request_id: str, reason: str = "") -> EgressRequest:
        """Let the frozen files leave. Another person than the one who asked decides."""
        return self._review(actor, request_id, "approve", reason)

    def reject(self, actor: Actor, request_id: str, reason: str) -> EgressRequest:
        """Keep the files inside, with the reason; the frozen copies are removed."""
        if not reason.strip():
            raise INVALID("A rejection says why, so that the person can mend it.", field="reason")
        rejected = self._review(actor, request_id, "reject", reason)
        self.freezer.discard(request_id)
        return rejected

    def fetch(self, actor: Actor, request_id: str) -> Sequence[tuple[EgressFile, Path]]:
        """Return the approved files with where they are, for the person who asked."""
        with unit_of_work(self.database, actor) as work:
            found = self._require(work.connection, actor, request_id, "egress.fetch")
            event = EgressFetched(
                project_id=found.project_id, request_id=request_id, files=len(found.files)
            )
            work.record(event)
        return [(file, self.freezer.path(request_id, file)) for file in found.files]

    def _review(self, actor: Actor, request_id: str, event: str, reason: str) -> EgressRequest:
        if len(reason) > MAX_TEXT:
            raise INVALID(f"A reason has at most {MAX_TEXT} characters.", field="reason")
        with unit_of_work(self.database, actor) as work:
            found = self._require(work.connection, actor, request_id, "egress.view")
            if found.owner_id == actor.user_id:
                raise OWN_REQUEST()
            self.policy.require(work.connection, actor, "egress.review", thing_of(found))
            state = EGRESS_LIFE.after(found.state, event)
            table = records.egress_requests
            work.connection.execute(
                table.update()
                .where(table.c.request_id == request_id)
                .values(
                    state=state.value,
                    reason=reason.strip(),
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

    def _job(self, connection: Connection, actor: Actor, job_id: str) -> Job:
        row = job_records.job_row(connection, job_id) if "\0" not in job_id else None
        if row is None:
            raise JOB_NOT_FOUND()
        job = job_records.to_job(row)
        self.policy.require(connection, actor, "job.egress", job_thing(job))
        return job

    def _require(
        self, connection: Connection, actor: Actor, request_id: str, verb: str
    ) -> EgressRequest:
        found = self._find(connection, request_id)
        self.policy.require(connection, actor, verb, thing_of(found))
        return found

    @staticmethod
    def _find(connection: Connection, request_id: str) -> EgressRequest:
        row = records.request_row(connection, request_id) if "\0" not in request_id else None
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

"""Verbs of ingest: take files in, watch, cancel, resume, and report how every file ended."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from albufera.governance.projects import ProjectService
from albufera.governance.records import collections, projects
from albufera.ingest import spool as spools
from albufera.ingest.events import IngestCancelled, IngestResumed, IngestSubmitted
from albufera.ingest.model import (
    INGEST_LIFE,
    INGEST_NOT_FOUND,
    NO_SUCH_PATH,
    NOT_RESUMABLE,
    NOTHING_TO_INGEST,
    OVER,
    Ingest,
    IngestState,
    Item,
    ItemState,
    Origin,
    ReasonCount,
)
from albufera.ingest.records import (
    counts_of,
    ingest_by_id,
    ingest_items,
    ingests,
    reasons_of,
    to_ingest,
    to_item,
)
from albufera.ingest.runs import Runs
from albufera.ingest.sources import Named
from albufera.ingest.spool import Spool
from albufera.kernel import clock
from albufera.kernel.actor import Actor
from albufera.kernel.database import Database
from albufera.kernel.ids import is_id, new_id
from albufera.kernel.outbox import TaskProgress, TaskState, request_cancel, task_progress
from albufera.kernel.pages import Page, PageRequest, cut
from albufera.kernel.policy import Columns, Policy, Thing
from albufera.kernel.unit_of_work import unit_of_work

TASK = "ingest.run"
COLUMNS = Columns(
    id=ingests.c.ingest_id, project_id=ingests.c.project_id, owner_id=ingests.c.submitted_by
)
UNSENT_KEPT = timedelta(days=1)
_SWEEP_SECONDS = 600.0

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class OpenedIngest:
    """A run as somebody may see it. `shows_paths` tells whether names of files may be shown."""

    ingest: Ingest
    allowed: tuple[str, ...]
    shows_paths: bool
    progress: TaskProgress | None


class IngestService:
    """Runs and their items."""

    def __init__(
        self,
        database: Database,
        policy: Policy,
        tenants: ProjectService,
        runs: Runs,
        uploads: Path,
    ) -> None:
        self.database = database
        self.policy = policy
        self.tenants = tenants
        self.runs = runs
        self.uploads = uploads
        self._swept = -_SWEEP_SECONDS

    def ingest_paths(
        self, actor: Actor, code: str, collection: str, paths: Sequence[Path], progress: Progress
    ) -> Ingest:
        """Take in files, folders and ZIPs of this machine, in this process; return the run.

        Raises `project-not-found`, `collection-not-found`, `forbidden`, `nothing-to-ingest`,
        `no-such-path`, `ingest-failed`, `ingest-cancelled`.
        """
        named = name_paths(paths)
        with unit_of_work(self.database, actor) as work:
            project = self.tenants.resolve(work.connection, actor, code, "ingest.submit")
            within = self.tenants.resolve_collection(work.connection, project, collection)
            ingest_id = new_id("in")
            work.connection.execute(
                ingests.insert().values(
                    ingest_id=ingest_id,
                    project_id=project.project_id,
                    collection_id=within.collection_id,
                    submitted_by=actor.user_id,
                    username=actor.username,
                    origin=Origin.FILES.value,
                    state=IngestState.QUEUED.value,
                    submitted_at=work.now(),
                )
            )
            work.record(_submitted(ingest_id, project.project_id, within.collection_id))
        self.runs.run_here(ingest_id, actor, named, progress)
        return self.show(actor, ingest_id).ingest

    def open_spool(self, actor: Actor, code: str, collection: str) -> Spool:
        """Return where an upload is written before it is submitted.

        Raises `project-not-found`, `collection-not-found`, `forbidden`.
        """
        with self.database.read() as connection:
            project = self.tenants.resolve(connection, actor, code, "ingest.submit")
            within = self.tenants.resolve_collection(connection, project, collection)
        ingest_id = new_id("in")
        return Spool(self.uploads / ingest_id, ingest_id, project.project_id, within.collection_id)

    def submit(self, actor: Actor, spool: Spool) -> Ingest:
        """Ask for an upload to be taken in by a worker. Raises `nothing-to-ingest`."""
        self._submit(actor, spool, timedelta())
        return self.show(actor, spool.ingest_id).ingest

    def take_now(self, actor: Actor, spool: Spool) -> Ingest:
        """Take an upload in while the caller waits (STOW-RS); a worker takes over if this dies.

        Raises `nothing-to-ingest`, `ingest-failed`.
        """
        self._submit(actor, spool, timedelta(minutes=10))
        named = list(spools.spooled(spool.directory))
        self.runs.run_here(spool.ingest_id, actor, named, lambda _done, _total: None)
        with self.database.write() as connection:
            request_cancel(connection, TASK, spool.ingest_id)
        spools.remove(spool.directory)
        return self.show(actor, spool.ingest_id).ingest

    def destinations(self, actor: Actor) -> Sequence[tuple[str, str]]:
        """Return the (project code, collection code) pairs that `actor` may take files into."""
        open_to = self.policy.which(
            actor, "ingest.submit", Columns(project_id=projects.c.project_id)
        )
        query = (
            sa.select(projects.c.code, collections.c.code.label("collection"))
            .join(collections, collections.c.project_id == projects.c.project_id)
            .where(open_to)
            .order_by(projects.c.code, collections.c.code != "main", collections.c.code)
        )
        with self.database.read() as connection:
            return [(row.code, row.collection) for row in connection.execute(query)]

    def list(self, actor: Actor, project_id: str | None, page: PageRequest) -> Page[Ingest]:
        """Return the runs that `actor` may see, newest first."""
        query = ingests.select().where(self.policy.which(actor, "ingest.view", COLUMNS))
        if project_id is not None:
            query = query.where(ingests.c.project_id == project_id)
        if page.after is not None:
            query = query.where(ingests.c.ingest_id < page.after)
        query = query.order_by(ingests.c.ingest_id.desc()).limit(page.limit + 1)
        with self.database.read() as connection:
            rows = connection.execute(query).all()
            counts = counts_of(connection, [row.ingest_id for row in rows])
        found = [to_ingest(row, counts[row.ingest_id]) for row in rows]
        return cut(found, page, lambda item: item.ingest_id)

    def show(self, actor: Actor, ingest_id: str) -> OpenedIngest:
        """Return a run. Raises `ingest-not-found`."""
        with self.database.read() as connection:
            ingest = self._visible(connection, actor, ingest_id)
            thing = _thing(ingest)
            allowed = [
                verb
                for verb in self.policy.allowed(connection, actor, thing)
                if verb != "cancel" or ingest.state not in OVER
            ]
            resumable = ingest.state is IngestState.FAILED and ingest.origin is Origin.UPLOAD
            if "submit" in allowed and resumable:
                allowed.append("resume")
            progress = task_progress(connection, TASK, ingest_id)
        return OpenedIngest(
            ingest,
            tuple(verb for verb in allowed if verb != "submit"),
            "submit" in allowed,
            progress,
        )

    def items(
        self, actor: Actor, ingest_id: str, state: ItemState | None, page: PageRequest
    ) -> Page[Item]:
        """Return the files of a run and how they ended, in the order in which they did.

        The path of a file may name a patient: whoever may not submit sees a number instead.
        Raises `ingest-not-found`.
        """
        opened = self.show(actor, ingest_id)
        query = ingest_items.select().where(ingest_items.c.ingest_id == ingest_id)
        if state is not None:
            query = query.where(ingest_items.c.state == state.value)
        if page.after is not None and page.after.isascii() and page.after.isdigit():
            query = query.where(ingest_items.c.ordinal > min(int(page.after[:12]), 2**31 - 1))
        query = query.order_by(ingest_items.c.ordinal).limit(page.limit + 1)
        with self.database.read() as connection:
            found = [to_item(row) for row in connection.execute(query)]
        if not opened.shows_paths:
            found = [without_path(item) for item in found]
        return cut(found, page, lambda item: str(item.ordinal))

    def reasons(self, actor: Actor, ingest_id: str) -> Sequence[ReasonCount]:
        """Return why files ended as they did, the most frequent reason first.

        Raises `ingest-not-found`.
        """
        with self.database.read() as connection:
            self._visible(connection, actor, ingest_id)
            return reasons_of(connection, ingest_id)

    def cancel(self, actor: Actor, ingest_id: str) -> Ingest:
        """Stop a run: what was admitted stays. Raises `ingest-not-found`, `wrong-state`."""
        with unit_of_work(self.database, actor) as work:
            ingest = self._visible(work.connection, actor, ingest_id)
            self.policy.require(work.connection, actor, "ingest.cancel", _thing(ingest))
            INGEST_LIFE.after(ingest.state, "cancel")
            request_cancel(work.connection, TASK, ingest_id)
            progress = task_progress(work.connection, TASK, ingest_id)
            if progress is None or progress.state is not TaskState.RUNNING:
                work.connection.execute(
                    ingests.update()
                    .where(ingests.c.ingest_id == ingest_id)
                    .values(state=IngestState.CANCELLED.value, finished_at=work.now())
                )
                work.record(IngestCancelled(project_id=ingest.project_id, ingest_id=ingest_id))
        return self.show(actor, ingest_id).ingest

    def resume(self, actor: Actor, ingest_id: str) -> Ingest:
        """Let a failed upload go on where it stopped.

        Raises `ingest-not-found`, `wrong-state`, `not-resumable`.
        """
        with unit_of_work(self.database, actor) as work:
            ingest = self._visible(work.connection, actor, ingest_id)
            self.policy.require(work.connection, actor, "ingest.submit", _thing(ingest))
            state = INGEST_LIFE.after(ingest.state, "resume")
            if not (self.uploads / ingest_id).is_dir():
                raise NOT_RESUMABLE()
            work.connection.execute(
                ingests.update()
                .where(ingests.c.ingest_id == ingest_id)
                .values(state=state.value, note="", finished_at=None)
            )
            work.enqueue(TASK, ingest_id, {"ingest": ingest_id})
            work.record(IngestResumed(project_id=ingest.project_id, ingest_id=ingest_id))
        return self.show(actor, ingest_id).ingest

    def sweep(self) -> None:
        """Clear up after processes that died; does nothing if it did so lately (a chore)."""
        if time.monotonic() - self._swept < _SWEEP_SECONDS:
            return
        self._swept = time.monotonic()
        self.runs.give_up_abandoned()
        self._remove_spools_of_the_past()

    def _submit(self, actor: Actor, spool: Spool, delay: timedelta) -> None:
        if spool.count == 0:
            raise NOTHING_TO_INGEST()
        spool.seal()
        with unit_of_work(self.database, actor) as work:
            work.connection.execute(
                ingests.insert().values(
                    ingest_id=spool.ingest_id,
                    project_id=spool.project_id,
                    collection_id=spool.collection_id,
                    submitted_by=actor.user_id,
                    username=actor.username,
                    origin=Origin.UPLOAD.value,
                    state=IngestState.QUEUED.value,
                    submitted_at=work.now(),
                )
            )
            work.enqueue(TASK, spool.ingest_id, {"ingest": spool.ingest_id}, delay=delay)
            work.record(_submitted(spool.ingest_id, spool.project_id, spool.collection_id))

    def _visible(self, connection: Connection, actor: Actor, ingest_id: str) -> Ingest:
        ingest = ingest_by_id(connection, ingest_id) if is_id(ingest_id, "in") else None
        if ingest is None:
            raise INGEST_NOT_FOUND()
        if not self.policy.may(connection, actor, "ingest.view", _thing(ingest)):
            raise INGEST_NOT_FOUND()
        return ingest

    def _remove_spools_of_the_past(self) -> None:
        """Remove uploads whose run is over for good, and those that were never submitted."""
        present = [path for path in self.uploads.iterdir() if is_id(path.name, "in")]
        with self.database.read() as connection:
            rows = connection.execute(
                sa.select(ingests.c.ingest_id, ingests.c.state).where(
                    ingests.c.ingest_id.in_([path.name for path in present])
                )
            )
            states = {row.ingest_id: IngestState(row.state) for row in rows}
        horizon = clock.now().timestamp() - UNSENT_KEPT.total_seconds()
        for path in present:
            state = states.get(path.name)
            unsent = state is None and path.stat().st_mtime < horizon
            if unsent or state in (IngestState.FINISHED, IngestState.CANCELLED):
                spools.remove(path)


def name_paths(paths: Sequence[Path]) -> Sequence[Named]:
    """Give what was named on the command line names without the folders that lead there.

    Raises `nothing-to-ingest`, `no-such-path`.
    """
    if not paths:
        raise NOTHING_TO_INGEST()
    named: dict[Path, Named] = {}
    for path in paths:
        if not path.exists():
            raise NO_SUCH_PATH(f"There is nothing at {path}.", path=str(path))
        where = path.absolute()
        named.setdefault(where, Named(where, where.name or "/", str(where)))
    return list(named.values())


def without_path(item: Item) -> Item:
    """The item as shown to whoever may not see what its file was called."""
    return Item(**{**vars(item), "path": f"file {item.ordinal + 1}"})


def _thing(ingest: Ingest) -> Thing:
    return Thing(
        "ingest",
        id=ingest.ingest_id,
        project_id=ingest.project_id,
        owner_id=ingest.submitted_by,
        state=ingest.state.value,
    )


def _submitted(ingest_id: str, project_id: str, collection_id: str) -> IngestSubmitted:
    return IngestSubmitted(project_id=project_id, ingest_id=ingest_id, collection_id=collection_id)

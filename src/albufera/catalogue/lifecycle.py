"""Verbs of finished datasets: release, publish, invalidate; and their identifier."""

from dataclasses import asdict

import sqlalchemy as sa

from albufera.catalogue.events import (
    DatasetIdentified,
    DatasetInvalidated,
    DatasetPublished,
    DatasetReleased,
)
from albufera.catalogue.finding import find_known, resolve_held
from albufera.catalogue.model import (
    DATASET_LIFE,
    NO_MANIFEST,
    Dataset,
    DatasetState,
    check_reason,
)
from albufera.catalogue.records import datasets
from albufera.kernel.actor import Actor
from albufera.kernel.canonical import digest
from albufera.kernel.database import Database
from albufera.kernel.errors import CONFLICT
from albufera.kernel.policy import Policy
from albufera.kernel.unit_of_work import UnitOfWork, unit_of_work

MINT = "publication.mint"
TOMBSTONE = "publication.tombstone"
"""Tasks of `publication`, whose key is the dataset's id."""


class LifecycleService:
    """What becomes of a dataset that is ready."""

    def __init__(self, database: Database, policy: Policy) -> None:
        self.database = database
        self.policy = policy

    def release(self, actor: Actor, dataset_id: str) -> Dataset:
        """Make a ready dataset immutable and usable by those with a grant."""
        with unit_of_work(self.database, actor) as work:
            dataset = self._move(work, dataset_id, "release", "released")
            if dataset.manifest is None:
                raise NO_MANIFEST()
            event = DatasetReleased(
                project_id=dataset.project_id,
                dataset_id=dataset_id,
                root=dataset.manifest.root,
                manifest_sha256=dataset.manifest.sha256,
                properties_sha256=digest(asdict(dataset.properties)),
            )
            work.record(event)
            return dataset

    def publish(self, actor: Actor, dataset_id: str) -> Dataset:
        """Show a released dataset's metadata to everybody and ask for its identifier."""
        with unit_of_work(self.database, actor) as work:
            dataset = self._move(work, dataset_id, "publish", "published")
            root = dataset.manifest.root if dataset.manifest else ""
            event = DatasetPublished(
                project_id=dataset.project_id, dataset_id=dataset_id, root=root
            )
            work.record(event)
            work.enqueue(MINT, dataset_id, {"dataset_id": dataset_id})
            return dataset

    def invalidate(self, actor: Actor, dataset_id: str, reason: str) -> Dataset:
        """End the use of a released or published dataset, for a reason that stays visible."""
        reason = check_reason(reason)
        with unit_of_work(self.database, actor) as work:
            before = find_known(work.connection, dataset_id).state
            dataset = self._move(work, dataset_id, "invalidate", "invalidated", reason=reason)
            work.record(
                DatasetInvalidated(
                    project_id=dataset.project_id,
                    dataset_id=dataset_id,
                    reason_sha256=digest(reason),
                )
            )
            if before is DatasetState.PUBLISHED:
                work.enqueue(TOMBSTONE, dataset_id, {"dataset_id": dataset_id})
            return dataset

    def set_pid(self, work: UnitOfWork, dataset_id: str, pid: str) -> None:
        """Give a published dataset its identifier (for `publication`); the same twice is once.

        Raises `conflict` when it has another one.
        """
        dataset = find_known(work.connection, dataset_id)
        if dataset.pid == pid:
            return
        if dataset.pid is not None or dataset.published_at is None:
            raise CONFLICT(
                f"{dataset.name} has the identifier {dataset.pid} already."
                if dataset.pid
                else f"{dataset.name} is not published."
            )
        mine = datasets.c.dataset_id == dataset_id
        work.connection.execute(datasets.update().where(mine).values(pid=pid))
        event = DatasetIdentified(project_id=dataset.project_id, dataset_id=dataset_id, pid=pid)
        work.record(event)

    def _move(
        self, work: UnitOfWork, dataset_id: str, verb: str, stamp: str, **values: object
    ) -> Dataset:
        connection = work.connection
        dataset = resolve_held(connection, self.policy, work.actor, dataset_id, f"dataset.{verb}")
        state = DATASET_LIFE.after(dataset.state, verb)
        stamped = {f"{stamp}_at": work.now(), f"{stamp}_by": work.actor.user_id}
        mine: sa.ColumnElement[bool] = datasets.c.dataset_id == dataset_id
        connection.execute(
            datasets.update().where(mine).values(state=state.value, **stamped, **values)
        )
        return find_known(connection, dataset_id)

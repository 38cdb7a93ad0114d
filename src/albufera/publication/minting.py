"""Giving identifiers, from the outbox alone: a worker may die at any instant and begin again.

What the registrar did is found again (it gives the same dataset the same identifier); what the
node knows of it changes in one transaction with the dataset's row and the event.
"""

from dataclasses import dataclass, replace

from albufera.catalogue.lifecycle import LifecycleService
from albufera.kernel.actor import SYSTEM
from albufera.kernel.canonical import digest
from albufera.kernel.crashes import crash_point
from albufera.kernel.database import Database
from albufera.kernel.policy import Policy
from albufera.kernel.unit_of_work import unit_of_work
from albufera.kernel.worker import Handler, TaskContext
from albufera.publication import records
from albufera.publication.describing import describe
from albufera.publication.events import (
    IdentifierRegistered,
    IdentifierTombstoned,
    IdentifierUpdated,
)
from albufera.publication.formats.plain import to_json
from albufera.publication.model import IdentifierState, PublicDataset, Publisher
from albufera.publication.ports import Registrar


@dataclass(frozen=True)
class Minter:
    """Registers identifiers of published datasets, and tombstones those of invalidated ones."""

    database: Database
    policy: Policy
    lifecycle: LifecycleService
    registrar: Registrar
    publisher: Publisher

    def mint_handler(self) -> Handler:
        """Return the handler of `publication.mint`."""
        return Handler(lambda context: self.mint(_dataset_id(context)))

    def tombstone_handler(self) -> Handler:
        """Return the handler of `publication.tombstone`."""
        return Handler(lambda context: self.tombstone(_dataset_id(context)))

    def mint(self, dataset_id: str) -> None:
        """Give a published dataset its identifier; one that was invalidated meanwhile gets none.

        Where a registration had begun before the invalidation it is completed, then tombstoned.
        """
        state = self._state(dataset_id)
        if state is IdentifierState.TOMBSTONED:
            return
        if state is None and self._public(dataset_id).is_tombstone:
            return
        identifier = self._reserve(dataset_id)
        self._register(identifier, dataset_id)
        self._refresh_previous(dataset_id)
        if self._public(dataset_id).is_tombstone:
            self.tombstone(dataset_id)

    def tombstone(self, dataset_id: str) -> None:
        """Let a dataset's identifier lead to a tombstone; nothing to do where there is none."""
        with self.database.read() as connection:
            row = records.identifier_of(connection, dataset_id)
        if row is None or row.state == IdentifierState.TOMBSTONED:
            return
        if row.state == IdentifierState.RESERVED:
            self._register(row.identifier, dataset_id)
        shown = self._public(dataset_id)
        self.registrar.tombstone(row.identifier, to_json(shown))
        crash_point("publication.withdrawn")
        with unit_of_work(self.database, SYSTEM) as work:
            if records.move(
                work.connection,
                row.identifier,
                IdentifierState.REGISTERED,
                state=IdentifierState.TOMBSTONED.value,
                metadata_sha256=digest(to_json(shown)),
                tombstoned_at=work.now(),
            ):
                work.record(
                    IdentifierTombstoned(
                        project_id=shown.project_id,
                        dataset_id=dataset_id,
                        identifier=row.identifier,
                    )
                )

    def _reserve(self, dataset_id: str) -> str:
        identifier = self.registrar.reserve(dataset_id)
        crash_point("publication.reserved")
        with unit_of_work(self.database, SYSTEM) as work:
            records.reserve(work.connection, identifier, dataset_id, work.now())
        crash_point("publication.noted")
        return identifier

    def _register(self, identifier: str, dataset_id: str) -> None:
        shown = replace(self._public(dataset_id), identifier=identifier)
        self.registrar.register(identifier, shown.url, to_json(shown))
        crash_point("publication.registered")
        with unit_of_work(self.database, SYSTEM) as work:
            if not records.move(
                work.connection,
                identifier,
                IdentifierState.RESERVED,
                state=IdentifierState.REGISTERED.value,
                metadata_sha256=digest(to_json(shown)),
                registered_at=work.now(),
            ):
                return
            self.lifecycle.set_pid(work, dataset_id, identifier)
            crash_point("publication.identified")
            work.record(
                IdentifierRegistered(
                    project_id=shown.project_id,
                    dataset_id=dataset_id,
                    identifier=identifier,
                    version=shown.version,
                    root=shown.root,
                    metadata_sha256=digest(to_json(shown)),
                )
            )
        crash_point("publication.minted")

    def _refresh_previous(self, dataset_id: str) -> None:
        """Tell the registrar that the version before has a newer one."""
        previous = self._public(dataset_id).previous
        if previous is None or previous.identifier is None or previous.state != "published":
            return
        shown = self._public(previous.dataset_id)
        fresh = digest(to_json(shown))
        with self.database.read() as connection:
            row = records.identifier_of(connection, previous.dataset_id)
        if row is None or row.metadata_sha256 == fresh:
            return
        if row.state != IdentifierState.REGISTERED:
            return
        self.registrar.register(row.identifier, shown.url, to_json(shown))
        with unit_of_work(self.database, SYSTEM) as work:
            if records.move(
                work.connection,
                row.identifier,
                IdentifierState.REGISTERED,
                metadata_sha256=fresh,
            ):
                work.record(
                    IdentifierUpdated(
                        project_id=shown.project_id,
                        dataset_id=previous.dataset_id,
                        identifier=row.identifier,
                        metadata_sha256=fresh,
                    )
                )

    def _public(self, dataset_id: str) -> PublicDataset:
        with self.database.read() as connection:
            return describe(connection, self.policy, self.publisher, dataset_id)

    def _state(self, dataset_id: str) -> IdentifierState | None:
        with self.database.read() as connection:
            row = records.identifier_of(connection, dataset_id)
        return None if row is None else IdentifierState(row.state)


def _dataset_id(context: TaskContext) -> str:
    return str(context.task.payload["dataset_id"])

"""Verbs of drafts: make one, make a new version, edit, cancel, retry."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from albufera.catalogue import selection
from albufera.catalogue.builder import BUILD
from albufera.catalogue.events import (
    DatasetCancelled,
    DatasetCreated,
    DatasetEdited,
    DatasetRetried,
)
from albufera.catalogue.finding import find_known, resolve_held
from albufera.catalogue.model import (
    DATASET_LIFE,
    NOTHING_SELECTED,
    Dataset,
    DatasetState,
    Properties,
)
from albufera.catalogue.ports import ManifestShelf
from albufera.catalogue.query.expression import Expression, to_json
from albufera.catalogue.query.language import render
from albufera.catalogue.records import dataset_series, dataset_studies, datasets
from albufera.catalogue.selection import StudyList
from albufera.governance.model import Project
from albufera.governance.projects import ProjectService
from albufera.governance.records import projects, to_project
from albufera.kernel.actor import Actor
from albufera.kernel.canonical import digest
from albufera.kernel.database import Database
from albufera.kernel.errors import CONFLICT
from albufera.kernel.ids import new_id
from albufera.kernel.outbox import request_cancel
from albufera.kernel.policy import Columns, Policy
from albufera.kernel.unit_of_work import UnitOfWork, unit_of_work


@dataclass(frozen=True)
class Wanted:
    """The selection of a draft as it is stored."""

    filter: dict[str, object] | None
    text: str
    study_ids: Sequence[str]


@dataclass(frozen=True)
class Descent:
    """Which version a draft is."""

    version: int = 1
    previous_id: str | None = None


class DraftService:
    """Datasets before their release."""

    def __init__(
        self, database: Database, policy: Policy, projects: ProjectService, shelf: ManifestShelf
    ) -> None:
        self.database = database
        self.policy = policy
        self.projects = projects
        self.shelf = shelf

    def projects_for(self, actor: Actor) -> Sequence[Project]:
        """Return the projects in which the caller may make datasets, by code."""
        columns = Columns(project_id=projects.c.project_id)
        mine = self.policy.which(actor, "dataset.create", columns)
        with self.database.read() as connection:
            rows = connection.execute(projects.select().where(mine).order_by(projects.c.code))
            return [to_project(row) for row in rows]

    def create(
        self,
        actor: Actor,
        project: str,
        properties: Properties,
        chosen: Expression | StudyList,
    ) -> Dataset:
        """Ask for a draft of the series that a filter selects, or of the listed studies.

        The draft is made in the background. Raises `nothing-selected`, `unknown-studies`,
        `invalid-input`.
        """
        properties = properties.checked()
        with unit_of_work(self.database, actor) as work:
            tenant = self.projects.resolve(work.connection, actor, project, "dataset.create")
            wanted = _wanted(work.connection, tenant.project_id, chosen)
            return _insert(work, tenant.project_id, properties, wanted, Descent())

    def new_version(
        self,
        actor: Actor,
        dataset_id: str,
        properties: Properties | None = None,
        chosen: Expression | StudyList | None = None,
    ) -> Dataset:
        """Ask for a draft that succeeds a dataset, by the same selection unless another is given.

        A dataset has one successor. Raises `conflict`, `wrong-state`.
        """
        with unit_of_work(self.database, actor) as work:
            old = resolve_held(
                work.connection, self.policy, actor, dataset_id, "dataset.new-version"
            )
            DATASET_LIFE.after(old.state, "new-version")
            if old.next_id is not None:
                raise CONFLICT(
                    f"Version {old.version + 1} of {old.name} is there already ({old.next_id}); "
                    "if it was cancelled or has failed, retry that one."
                )
            if chosen is None:
                wanted = _stored(work.connection, dataset_id)
            else:
                wanted = _wanted(work.connection, old.project_id, chosen)
            told = (properties or old.properties).checked()
            descent = Descent(old.version + 1, dataset_id)
            return _insert(work, old.project_id, told, wanted, descent)

    def edit(self, actor: Actor, dataset_id: str, properties: Properties) -> Dataset:
        """Change the properties of a draft. Raises `wrong-state` when it is not one any more."""
        properties = properties.checked()
        with unit_of_work(self.database, actor) as work:
            dataset = resolve_held(work.connection, self.policy, actor, dataset_id, "dataset.edit")
            DATASET_LIFE.after(dataset.state, "edit")
            _update(work, dataset_id, **asdict(properties))
            event = DatasetEdited(
                project_id=dataset.project_id,
                dataset_id=dataset_id,
                properties_sha256=digest(asdict(properties)),
            )
            work.record(event)
            return find_known(work.connection, dataset_id)

    def cancel(self, actor: Actor, dataset_id: str) -> Dataset:
        """Give a draft up; it can be retried."""
        with unit_of_work(self.database, actor) as work:
            dataset = resolve_held(
                work.connection, self.policy, actor, dataset_id, "dataset.cancel"
            )
            state = DATASET_LIFE.after(dataset.state, "cancel")
            request_cancel(work.connection, BUILD, build_key(dataset))
            _forget(work, dataset_id, state)
            work.record(DatasetCancelled(project_id=dataset.project_id, dataset_id=dataset_id))
            cancelled = find_known(work.connection, dataset_id)
        self.shelf.discard(dataset_id)
        return cancelled

    def retry(self, actor: Actor, dataset_id: str) -> Dataset:
        """Make a failed or cancelled draft again, selecting afresh."""
        with unit_of_work(self.database, actor) as work:
            dataset = resolve_held(work.connection, self.policy, actor, dataset_id, "dataset.retry")
            state = DATASET_LIFE.after(dataset.state, "retry")
            _forget(work, dataset_id, state)
            _update(work, dataset_id, attempt=dataset.attempt + 1)
            again = find_known(work.connection, dataset_id)
            _enqueue(work, again)
            work.record(
                DatasetRetried(
                    project_id=dataset.project_id, dataset_id=dataset_id, attempt=again.attempt
                )
            )
            return again


def build_key(dataset: Dataset) -> str:
    """Return the key of the task that makes this attempt at the draft."""
    return f"{dataset.dataset_id}/{dataset.attempt}"


def _wanted(connection: Connection, project_id: str, chosen: Expression | StudyList) -> Wanted:
    if isinstance(chosen, StudyList):
        study_ids = selection.resolve_studies(connection, project_id, chosen)
        return Wanted(None, "", study_ids)
    if not selection.count(connection, selection.filtered(project_id, chosen)).series:
        raise NOTHING_SELECTED(f"The filter “{render(chosen)[:200]}” selects nothing here.")
    return Wanted(to_json(chosen), render(chosen), ())


def _stored(connection: Connection, dataset_id: str) -> Wanted:
    row = connection.execute(
        sa.select(datasets.c.filter, datasets.c.filter_text).where(
            datasets.c.dataset_id == dataset_id
        )
    ).one()
    listed = sa.select(dataset_studies.c.study_id).where(dataset_studies.c.dataset_id == dataset_id)
    return Wanted(row.filter, row.filter_text, connection.scalars(listed).all())


def _insert(
    work: UnitOfWork,
    project_id: str,
    properties: Properties,
    wanted: Wanted,
    descent: Descent,
) -> Dataset:
    dataset_id = new_id("ds")
    work.connection.execute(
        datasets.insert().values(
            dataset_id=dataset_id,
            project_id=project_id,
            previous_id=descent.previous_id,
            version=descent.version,
            state=DatasetState.CREATING.value,
            filter=wanted.filter,
            filter_text=wanted.text,
            listed_studies=len(wanted.study_ids),
            attempt=1,
            note="",
            created_by=work.actor.user_id,
            created_at=work.now(),
            **asdict(properties),
        )
    )
    listed = [{"dataset_id": dataset_id, "study_id": item} for item in wanted.study_ids]
    if listed:
        work.connection.execute(dataset_studies.insert(), listed)
    dataset = find_known(work.connection, dataset_id)
    _enqueue(work, dataset)
    work.record(
        DatasetCreated(
            project_id=project_id,
            dataset_id=dataset_id,
            version=descent.version,
            previous_id=descent.previous_id,
        )
    )
    return dataset


def _enqueue(work: UnitOfWork, dataset: Dataset) -> None:
    payload = {"dataset_id": dataset.dataset_id, "attempt": dataset.attempt}
    work.enqueue(BUILD, build_key(dataset), payload)


def _forget(work: UnitOfWork, dataset_id: str, state: DatasetState) -> None:
    """Take back what a draft had selected and counted."""
    mine = dataset_series.c.dataset_id == dataset_id
    work.connection.execute(dataset_series.delete().where(mine))
    counts = ("subject_count", "study_count", "series_count", "image_count", "byte_count")
    nothing = dict.fromkeys(
        ("aggregate", "manifest_root", "manifest_sha256", "manifest_size", "ready_at")
    )
    _update(work, dataset_id, state=state.value, note="", **dict.fromkeys(counts, 0), **nothing)


def _update(work: UnitOfWork, dataset_id: str, **values: object) -> None:
    work.connection.execute(
        datasets.update().where(datasets.c.dataset_id == dataset_id).values(**values)
    )

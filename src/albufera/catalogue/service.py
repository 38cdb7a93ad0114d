"""Looking at datasets: lists, one with all that is known of it, its series, its manifest."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from albufera.catalogue import records
from albufera.catalogue.builder import BUILD
from albufera.catalogue.checks import VERIFY
from albufera.catalogue.contents import DatasetContents
from albufera.catalogue.description import to_metadata
from albufera.catalogue.drafts import build_key
from albufera.catalogue.finding import (
    PREFIX,
    allowed_actions,
    editable,
    find_known,
    resolve,
    thing_of,
)
from albufera.catalogue.manifest import FileProof, prove_file
from albufera.catalogue.model import (
    NO_MANIFEST,
    NOT_USABLE,
    Dataset,
    DatasetSeries,
    DatasetState,
    Verification,
)
from albufera.catalogue.query.sql import fold, folded
from albufera.catalogue.records import DATASETS, datasets
from albufera.catalogue.views import DatasetViews
from albufera.governance.records import projects
from albufera.kernel.actor import Actor
from albufera.kernel.database import Database
from albufera.kernel.errors import INVALID
from albufera.kernel.ids import is_id
from albufera.kernel.outbox import TaskProgress, task_progress
from albufera.kernel.pages import Page, PageRequest, cut
from albufera.kernel.policy import Policy, Thing

MAX_SEARCH = 200


@dataclass(frozen=True)
class DatasetFilter:
    """Which datasets of a list are wanted; an empty field asks for nothing."""

    project: str = ""
    state: DatasetState | None = None
    text: str = ""
    name: str = ""


@dataclass(frozen=True)
class OpenedDataset:
    """A dataset and what the caller sees of it and may do to it."""

    dataset: Dataset
    aggregate: Mapping[str, Any]
    allowed: tuple[str, ...]
    editable: tuple[str, ...]
    versions: Sequence[Dataset]
    progress: TaskProgress | None
    verification: Verification | None
    verifying: TaskProgress | None


class CatalogueService:
    """The catalogue of datasets, as far as the caller may see it."""

    def __init__(
        self,
        database: Database,
        policy: Policy,
        contents: DatasetContents,
        views: DatasetViews,
    ) -> None:
        self.database = database
        self.policy = policy
        self.contents = contents
        self.views = views

    def list(self, actor: Actor, wanted: DatasetFilter, page: PageRequest) -> Page[Dataset]:
        """Return the datasets that the caller may see, newest first."""
        visible = self.policy.which(actor, "dataset.view", records.DATASET_COLUMNS)
        query = DATASETS.where(visible, *_conditions(wanted))
        if page.after:
            if not is_id(page.after, PREFIX):
                raise INVALID("“after” is the identifier of a dataset.", field="after")
            query = query.where(datasets.c.dataset_id < page.after)
        query = query.order_by(datasets.c.dataset_id.desc()).limit(page.limit + 1)
        with self.database.read() as connection:
            found = [records.to_dataset(row) for row in connection.execute(query)]
        return cut(found, page, lambda item: item.dataset_id)

    def known_inside(self, actor: Actor, found: Collection[Dataset]) -> frozenset[str]:
        """Return the ids of those datasets whose manifest the caller may read.

        To everybody else a dataset is only its public description, small counts hidden.
        """
        may_read = self.policy.which(actor, "dataset.manifest", records.DATASET_COLUMNS)
        named = datasets.c.dataset_id.in_([dataset.dataset_id for dataset in found])
        with self.database.read() as connection:
            chosen = sa.select(datasets.c.dataset_id).where(named, may_read)
            return frozenset(connection.scalars(chosen))

    def show(self, actor: Actor, dataset_id: str) -> OpenedDataset:
        """Return a dataset with what the caller may know. Raises `dataset-not-found`."""
        with self.database.read() as connection:
            dataset = resolve(connection, self.policy, actor, dataset_id, "dataset.view")
            allowed = allowed_actions(connection, self.policy, actor, dataset)
            return OpenedDataset(
                dataset=dataset,
                aggregate=records.aggregate_of(connection, dataset_id),
                allowed=allowed,
                editable=editable(dataset, allowed),
                versions=self._versions(connection, actor, dataset),
                progress=task_progress(connection, BUILD, build_key(dataset)),
                verification=records.last_verification(connection, dataset_id),
                verifying=task_progress(connection, VERIFY, dataset_id),
            )

    def usable(self, actor: Actor) -> Sequence[Dataset]:
        """Return the datasets that the caller may work with now, newest first, at most 500."""
        mine = self.policy.which(actor, "dataset.use", records.DATASET_COLUMNS)
        query = DATASETS.where(mine).order_by(datasets.c.dataset_id.desc()).limit(500)
        with self.database.read() as connection:
            return [records.to_dataset(row) for row in connection.execute(query)]

    def metadata(self, actor: Actor, dataset_id: str) -> dict[str, Any]:
        """Return a dataset's metadata as one JSON document (counts, never persons)."""
        with self.database.read() as connection:
            dataset = resolve(connection, self.policy, actor, dataset_id, "dataset.view")
            return to_metadata(dataset, records.aggregate_of(connection, dataset_id))

    def series(self, actor: Actor, dataset_id: str, page: PageRequest) -> Page[DatasetSeries]:
        """Return the dataset's series as frozen, by folder."""
        after = page.after or ""
        if not after.isascii() or not after.isprintable():
            raise INVALID("“after” is the path of a series.", field="after")
        with self.database.read() as connection:
            dataset = resolve(connection, self.policy, actor, dataset_id, "dataset.list-series")
            if dataset.manifest is None:
                raise NO_MANIFEST()
            found = records.series_after(connection, dataset_id, after, page.limit + 1)
        return cut(found, page, lambda item: item.folder)

    def manifest(self, actor: Actor, dataset_id: str) -> tuple[Dataset, BinaryIO]:
        """Open the canonical manifest; the caller closes it. Raises `no-manifest`."""
        with self.database.read() as connection:
            dataset = resolve(connection, self.policy, actor, dataset_id, "dataset.manifest")
        return dataset, self.contents.open_manifest(dataset)

    def proof(self, actor: Actor, dataset_id: str, path: str) -> FileProof:
        """Prove that a file is in the dataset. Raises `manifest-file-not-found`."""
        with self.database.read() as connection:
            dataset = resolve(connection, self.policy, actor, dataset_id, "dataset.manifest")

        def open_manifest() -> AbstractContextManager[BinaryIO]:
            return self.contents.open_manifest(dataset)

        return prove_file(open_manifest, path)

    def titles(self, actor: Actor, dataset_ids: Collection[str]) -> Mapping[str, str]:
        """Return name and version of those of these datasets that the caller may see, by id."""
        visible = self.policy.which(actor, "dataset.view", records.DATASET_COLUMNS)
        query = sa.select(datasets.c.dataset_id, datasets.c.name, datasets.c.version)
        wanted = query.where(visible, datasets.c.dataset_id.in_(sorted(dataset_ids)))
        with self.database.read() as connection:
            rows = connection.execute(wanted)
            return {row.dataset_id: f"{row.name}, version {row.version}" for row in rows}

    def dataset_thing(self, connection: Connection, dataset_id: str) -> Thing | None:
        """Return the facts that rules look at, or None; for any string."""
        found = records.find(connection, dataset_id) if is_id(dataset_id, PREFIX) else None
        return None if found is None else thing_of(found)

    def dataset(self, connection: Connection, dataset_id: str) -> Dataset:
        """Return a dataset for other domains, which ask the policy themselves."""
        return find_known(connection, dataset_id)

    def view(self, dataset_id: str) -> Path:
        """Return the read-only folder that jobs see, built at first use.

        Callers have asked the policy. Raises `dataset-not-usable` unless released or published.
        """
        with self.database.read() as connection:
            dataset = find_known(connection, dataset_id)
        if dataset.state not in {DatasetState.RELEASED, DatasetState.PUBLISHED}:
            raise NOT_USABLE(
                f"{dataset.name} (version {dataset.version}) is {dataset.state.value}."
            )
        return self.views.build(dataset)

    def _versions(
        self, connection: Connection, actor: Actor, dataset: Dataset
    ) -> Sequence[Dataset]:
        visible = self.policy.which(actor, "dataset.view", records.DATASET_COLUMNS)
        return records.chain(connection, dataset, visible)


def _conditions(wanted: DatasetFilter) -> list[sa.ColumnElement[bool]]:
    conditions: list[sa.ColumnElement[bool]] = []
    for text in (wanted.project, wanted.text, wanted.name):
        if len(text) > MAX_SEARCH or not text.isprintable():
            raise INVALID("The search is too long, or holds characters that are not text.")
    if wanted.project:
        conditions.append(projects.c.code == wanted.project)
    if wanted.state is not None:
        conditions.append(datasets.c.state == wanted.state.value)
    if wanted.name:
        conditions.append(datasets.c.name == wanted.name)
    if wanted.text:
        words = fold(wanted.text)
        found = (datasets.c.name, datasets.c.description)
        conditions.append(
            sa.or_(*(folded(column).contains(words, autoescape=True) for column in found))
        )
    return conditions

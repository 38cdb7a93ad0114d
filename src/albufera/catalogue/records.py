"""Tables of datasets, their series, their listed studies and their verifications."""

from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from albufera.catalogue.model import (
    Counts,
    Dataset,
    DatasetSeries,
    DatasetState,
    ManifestDigest,
    Properties,
    Selection,
    Verification,
)
from albufera.governance.records import grants, projects
from albufera.identity.records import users
from albufera.kernel.database import Instant, Json, metadata
from albufera.kernel.policy import Columns
from albufera.lake.records import series, studies, subjects

_BYTEWISE = sa.String(255).with_variant(sa.String(255, collation="C"), "postgresql")
"""Text that sorts by its bytes (SQLite does so by itself)."""

datasets = sa.Table(
    "datasets",
    metadata,
    sa.Column("dataset_id", sa.String(40), primary_key=True),
    sa.Column("project_id", sa.ForeignKey("projects.project_id"), nullable=False),
    sa.Column("previous_id", sa.ForeignKey("datasets.dataset_id"), unique=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("description", sa.Text, nullable=False),
    sa.Column("purpose", sa.Text, nullable=False),
    sa.Column("licence", sa.String(300), nullable=False),
    sa.Column("contact", sa.String(300), nullable=False),
    sa.Column("pid", sa.String(200), unique=True),
    sa.Column("filter", Json),
    sa.Column("filter_text", sa.Text, nullable=False),
    sa.Column("listed_studies", sa.Integer, nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("subject_count", sa.BigInteger, nullable=False, default=0),
    sa.Column("study_count", sa.BigInteger, nullable=False, default=0),
    sa.Column("series_count", sa.BigInteger, nullable=False, default=0),
    sa.Column("image_count", sa.BigInteger, nullable=False, default=0),
    sa.Column("byte_count", sa.BigInteger, nullable=False, default=0),
    sa.Column("aggregate", Json),
    sa.Column("manifest_root", sa.String(64)),
    sa.Column("manifest_sha256", sa.String(64)),
    sa.Column("manifest_size", sa.BigInteger),
    sa.Column("reason", sa.Text, nullable=False, default=""),
    sa.Column("created_by", sa.ForeignKey("users.user_id"), nullable=False),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("ready_at", Instant),
    sa.Column("released_at", Instant),
    sa.Column("released_by", sa.String(40)),
    sa.Column("published_at", Instant),
    sa.Column("published_by", sa.String(40)),
    sa.Column("invalidated_at", Instant),
    sa.Column("invalidated_by", sa.String(40)),
    sa.Index("ix_datasets_by_project", "project_id", "state"),
)

dataset_series = sa.Table(
    "dataset_series",
    metadata,
    sa.Column("dataset_id", sa.ForeignKey("datasets.dataset_id"), primary_key=True),
    sa.Column("series_id", sa.ForeignKey("series.series_id"), primary_key=True),
    sa.Column("folder", _BYTEWISE, nullable=False),
    sa.Column("instance_count", sa.Integer, nullable=False),
    sa.Column("byte_count", sa.BigInteger, nullable=False),
    sa.UniqueConstraint("dataset_id", "folder"),
    sa.Index("ix_dataset_series_by_series", "series_id"),
)

dataset_studies = sa.Table(
    "dataset_studies",
    metadata,
    sa.Column("dataset_id", sa.ForeignKey("datasets.dataset_id"), primary_key=True),
    sa.Column("study_id", sa.ForeignKey("studies.study_id"), primary_key=True),
)

dataset_verifications = sa.Table(
    "dataset_verifications",
    metadata,
    sa.Column("verification_id", sa.String(40), primary_key=True),
    sa.Column("dataset_id", sa.ForeignKey("datasets.dataset_id"), nullable=False, index=True),
    sa.Column("requested_by", sa.String(64), nullable=False),
    sa.Column("at", Instant, nullable=False),
    sa.Column("passed", sa.Boolean, nullable=False),
    sa.Column("root", sa.String(64), nullable=False),
    sa.Column("files", sa.BigInteger, nullable=False),
    sa.Column("byte_count", sa.BigInteger, nullable=False),
    sa.Column("corrupt", sa.BigInteger, nullable=False),
    sa.Column("missing", sa.BigInteger, nullable=False),
    sa.Column("extra", sa.BigInteger, nullable=False),
    sa.Column("problems", Json, nullable=False),
)

_successors = datasets.alias("successors")

DATASETS: sa.Select[Any] = (
    sa.select(
        *(column for column in datasets.c if column.name not in {"aggregate", "filter"}),
        projects.c.code.label("project"),
        users.c.username.label("creator"),
        _successors.c.dataset_id.label("next_id"),
    )
    .join(projects, projects.c.project_id == datasets.c.project_id)
    .join(users, users.c.user_id == datasets.c.created_by)
    .join(_successors, _successors.c.previous_id == datasets.c.dataset_id, isouter=True)
)
"""Datasets with the names of project and creator and with their successor, without aggregates."""

DATASET_COLUMNS = Columns(
    id=datasets.c.dataset_id,
    project_id=datasets.c.project_id,
    owner_id=datasets.c.created_by,
    state=datasets.c.state,
)
"""Where the facts that the policy looks at are, in `datasets`."""

DATASET_SERIES: sa.Select[Any] = (
    sa.select(
        dataset_series.c.series_id,
        dataset_series.c.folder,
        dataset_series.c.instance_count,
        dataset_series.c.byte_count,
        series.c.series_uid,
        series.c.modality,
        series.c.body_part,
        series.c.description,
        studies.c.study_id,
        studies.c.study_uid,
        subjects.c.name.label("subject"),
    )
    .select_from(dataset_series)
    .join(series, series.c.series_id == dataset_series.c.series_id)
    .join(studies, studies.c.study_id == series.c.study_id)
    .join(subjects, subjects.c.subject_id == series.c.subject_id)
)
"""The series of datasets."""

_REACHED = (DatasetState.RELEASED.value, DatasetState.PUBLISHED.value)


def series_granted(columns: Columns, mine: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    """Tell when a series is in a usable dataset of which the grant `mine` is (for the policy).

    A grant reaches exactly the dataset. A series that has grown since is no longer what was
    granted: the viewer shows it again in the next version (jobs see the frozen one throughout).
    """
    now = series.alias("series_now")
    return (
        sa.exists()
        .where(
            dataset_series.c.series_id == columns.id,
            now.c.series_id == dataset_series.c.series_id,
            now.c.instance_count == dataset_series.c.instance_count,
            datasets.c.dataset_id == dataset_series.c.dataset_id,
            datasets.c.state.in_(_REACHED),
            grants.c.dataset_id == dataset_series.c.dataset_id,
            mine,
        )
        .correlate_except(dataset_series, datasets, grants, now)
    )


def find(connection: Connection, dataset_id: str) -> Dataset | None:
    """Return a dataset, or None."""
    row = connection.execute(DATASETS.where(datasets.c.dataset_id == dataset_id)).one_or_none()
    return None if row is None else to_dataset(row)


def aggregate_of(connection: Connection, dataset_id: str) -> dict[str, Any]:
    """Return a dataset's aggregated metadata; empty while there are none."""
    mine = datasets.c.dataset_id == dataset_id
    return connection.scalar(sa.select(datasets.c.aggregate).where(mine)) or {}


def chain(
    connection: Connection, dataset: Dataset, visible: sa.ColumnElement[bool]
) -> Sequence[Dataset]:
    """Return the visible versions of a dataset, the first first, in one query."""
    ids = (
        sa.select(datasets.c.dataset_id, datasets.c.previous_id)
        .where(datasets.c.dataset_id == dataset.dataset_id)
        .cte("versions", recursive=True)
    )
    near = sa.or_(
        datasets.c.dataset_id == ids.c.previous_id, datasets.c.previous_id == ids.c.dataset_id
    )
    ids = ids.union(sa.select(datasets.c.dataset_id, datasets.c.previous_id).join(ids, near))
    query = DATASETS.where(visible, datasets.c.dataset_id.in_(sa.select(ids.c.dataset_id)))
    return [to_dataset(row) for row in connection.execute(query.order_by(datasets.c.version))]


def insert_series(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Add a batch of series to a dataset."""
    if rows:
        connection.execute(dataset_series.insert(), rows)


def freeze_counts(
    connection: Connection, dataset_id: str, counted: Iterable[tuple[str, int, int]]
) -> None:
    """Set (images, bytes) of a batch of series to what the manifest froze."""
    rows = [{"b_series": s, "b_images": i, "b_bytes": b} for s, i, b in counted]
    if rows:
        connection.execute(
            dataset_series.update()
            .where(
                dataset_series.c.dataset_id == dataset_id,
                dataset_series.c.series_id == sa.bindparam("b_series"),
            )
            .values(instance_count=sa.bindparam("b_images"), byte_count=sa.bindparam("b_bytes")),
            rows,
        )


def series_after(
    connection: Connection, dataset_id: str, folder: str, limit: int
) -> Sequence[DatasetSeries]:
    """Return the next series of a dataset after a folder, in the order of the manifest."""
    query = (
        DATASET_SERIES.where(
            dataset_series.c.dataset_id == dataset_id, dataset_series.c.folder > folder
        )
        .order_by(dataset_series.c.folder)
        .limit(limit)
    )
    return [to_dataset_series(row) for row in connection.execute(query)]


def packed_after(
    connection: Connection, dataset_id: str, folder: str, limit: int
) -> Sequence[Row[Any]]:
    """Return (series id, folder, packed instances) of the next series after a folder."""
    query: sa.Select[Any] = (
        sa.select(dataset_series.c.series_id, dataset_series.c.folder, series.c.instances)
        .join(series, series.c.series_id == dataset_series.c.series_id)
        .where(dataset_series.c.dataset_id == dataset_id, dataset_series.c.folder > folder)
        .order_by(dataset_series.c.folder)
        .limit(limit)
    )
    return connection.execute(query).all()


def last_verification(connection: Connection, dataset_id: str) -> Verification | None:
    """Return the outcome of the last verification, or None."""
    table = dataset_verifications
    row = connection.execute(
        table.select()
        .where(table.c.dataset_id == dataset_id)
        .order_by(table.c.verification_id.desc())
        .limit(1)
    ).one_or_none()
    if row is None:
        return None
    return Verification(
        at=row.at,
        requested_by=row.requested_by,
        passed=row.passed,
        root=row.root,
        files=row.files,
        byte_count=row.byte_count,
        corrupt=row.corrupt,
        missing=row.missing,
        extra=row.extra,
        problems=tuple(row.problems),
    )


def to_dataset(row: Row[Any]) -> Dataset:
    """Make a dataset of a row of `DATASETS`."""
    digest = ManifestDigest(row.manifest_root, row.manifest_sha256, row.manifest_size)
    return Dataset(
        dataset_id=row.dataset_id,
        project_id=row.project_id,
        project=row.project,
        version=row.version,
        previous_id=row.previous_id,
        next_id=row.next_id,
        state=DatasetState(row.state),
        properties=Properties(row.name, row.description, row.purpose, row.licence, row.contact),
        selection=Selection(row.filter_text, row.listed_studies),
        counts=Counts(
            row.subject_count, row.study_count, row.series_count, row.image_count, row.byte_count
        ),
        manifest=digest if row.manifest_root else None,
        pid=row.pid,
        note=row.note,
        reason=row.reason,
        attempt=row.attempt,
        created_by=row.created_by,
        creator=row.creator,
        created_at=row.created_at,
        ready_at=row.ready_at,
        released_at=row.released_at,
        published_at=row.published_at,
        invalidated_at=row.invalidated_at,
    )


def to_dataset_series(row: Row[Any]) -> DatasetSeries:
    """Make a series of a row of `DATASET_SERIES`."""
    return DatasetSeries(**row._mapping)

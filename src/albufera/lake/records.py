"""Tables of subjects, studies and series. The row is the series; instances are packed into it."""

import hashlib
import json
import zlib
from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from albufera.kernel.database import Instant, metadata
from albufera.lake.model import Instance, Series, Study

subjects = sa.Table(
    "subjects",
    metadata,
    sa.Column("subject_id", sa.String(40), primary_key=True),
    sa.Column("project_id", sa.ForeignKey("projects.project_id"), nullable=False),
    sa.Column("name", sa.String(64), nullable=False),
    sa.Column("sex", sa.String(16), nullable=False, default=""),
    sa.UniqueConstraint("project_id", "name"),
)

studies = sa.Table(
    "studies",
    metadata,
    sa.Column("study_id", sa.String(40), primary_key=True),
    sa.Column("project_id", sa.ForeignKey("projects.project_id"), nullable=False),
    sa.Column("subject_id", sa.ForeignKey("subjects.subject_id"), nullable=False, index=True),
    sa.Column("study_uid", sa.String(64), nullable=False),
    sa.Column("date", sa.String(10), nullable=False, default=""),
    sa.Column("year", sa.Integer),
    sa.Column("description", sa.String(200), nullable=False, default=""),
    sa.Column("age", sa.Integer),
    sa.Column("created_at", Instant, nullable=False),
    sa.UniqueConstraint("project_id", "study_uid"),
)

series = sa.Table(
    "series",
    metadata,
    sa.Column("series_id", sa.String(40), primary_key=True),
    sa.Column("project_id", sa.ForeignKey("projects.project_id"), nullable=False),
    sa.Column("collection_id", sa.ForeignKey("collections.collection_id"), nullable=False),
    sa.Column("subject_id", sa.ForeignKey("subjects.subject_id"), nullable=False, index=True),
    sa.Column("study_id", sa.ForeignKey("studies.study_id"), nullable=False, index=True),
    sa.Column("series_uid", sa.String(64), nullable=False),
    sa.Column("modality", sa.String(16), nullable=False, default=""),
    sa.Column("body_part", sa.String(64), nullable=False, default=""),
    sa.Column("description", sa.String(200), nullable=False, default=""),
    sa.Column("manufacturer", sa.String(200), nullable=False, default=""),
    sa.Column("model", sa.String(200), nullable=False, default=""),
    sa.Column("number", sa.Integer),
    sa.Column("rows", sa.Integer),
    sa.Column("columns", sa.Integer),
    sa.Column("slice_thickness", sa.Float),
    sa.Column("instance_count", sa.Integer, nullable=False),
    sa.Column("byte_count", sa.BigInteger, nullable=False),
    sa.Column("instances", sa.LargeBinary, nullable=False),
    sa.Column("created_at", Instant, nullable=False),
    sa.UniqueConstraint("project_id", "series_uid"),
    sa.Index("ix_series_by_modality", "project_id", "modality"),
    sa.Index("ix_series_by_collection", "collection_id"),
)

SERIES: sa.Select[Any] = (
    sa.select(
        *(column for column in series.c if column.name != "instances"),
        subjects.c.name.label("subject"),
        studies.c.study_uid,
    )
    .join(subjects, subjects.c.subject_id == series.c.subject_id)
    .join(studies, studies.c.study_id == series.c.study_id)
)
"""Series with the names of their subject and study, without the packed instances."""

STUDIES: sa.Select[Any] = sa.select(studies, subjects.c.name.label("subject"), subjects.c.sex).join(
    subjects, subjects.c.subject_id == studies.c.subject_id
)


def pack(instances: Iterable[Instance]) -> bytes:
    """Pack instances into the compact record of their series, ordered by UID."""
    ordered = sorted(instances, key=lambda instance: instance.instance_uid)
    content = json.dumps([vars(item) for item in ordered], separators=(",", ":"))
    return zlib.compress(content.encode(), 6)


def unpack(content: bytes) -> Sequence[Instance]:
    """Read the compact record of a series back."""
    return [Instance(**item) for item in json.loads(zlib.decompress(content))]


def to_series(row: sa.Row[Any]) -> Series:
    """Make a series of a row of `SERIES`."""
    return Series(
        series_id=row.series_id,
        project_id=row.project_id,
        collection_id=row.collection_id,
        subject_id=row.subject_id,
        subject=row.subject,
        study_id=row.study_id,
        study_uid=row.study_uid,
        series_uid=row.series_uid,
        modality=row.modality,
        body_part=row.body_part,
        description=row.description,
        manufacturer=row.manufacturer,
        model=row.model,
        number=row.number,
        rows=row.rows,
        columns=row.columns,
        slice_thickness=row.slice_thickness,
        instance_count=row.instance_count,
        byte_count=row.byte_count,
        created_at=row.created_at,
    )


def to_study(row: sa.Row[Any]) -> Study:
    """Make a study of a row of `STUDIES`."""
    return Study(
        study_id=row.study_id,
        project_id=row.project_id,
        subject_id=row.subject_id,
        subject=row.subject,
        study_uid=row.study_uid,
        date=row.date,
        description=row.description,
        age=row.age,
        sex=row.sex,
        created_at=row.created_at,
    )


def content_digest(instances: Iterable[Instance]) -> str:
    """SHA-256 (hexadecimal) of what a series holds: a line `<sha256>  <instance UID>` for each
    instance, ordered by UID, as `sha256sum` would write it."""
    lines = sorted((item.instance_uid, item.sha256) for item in instances)
    content = "".join(f"{digest}  {uid}\n" for uid, digest in lines)
    return hashlib.sha256(content.encode("ascii")).hexdigest()


def insert_missing(connection: Connection, table: sa.Table, rows: Sequence[dict[str, Any]]) -> None:
    """Insert the rows whose unique key is not there yet.

    Another transaction that inserts one of them meanwhile makes this one wait for its end.
    """
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    if rows:
        connection.execute(dialect.insert(table).on_conflict_do_nothing(), list(rows))

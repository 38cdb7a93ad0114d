"""Tables of e-forms, clinical records and single values. Cohorts and counts ask the values."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from albufera.clinical.forms.reading import to_form
from albufera.clinical.model import MAX_TEXT, Form, Record, Value
from albufera.kernel.database import Instant, Json, metadata

clinical_forms = sa.Table(
    "clinical_forms",
    metadata,
    sa.Column("project_id", sa.ForeignKey("projects.project_id"), primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("schema", sa.Text, nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("created_at", Instant, nullable=False),
)

clinical_records = sa.Table(
    "clinical_records",
    metadata,
    sa.Column("project_id", sa.ForeignKey("projects.project_id"), primary_key=True),
    sa.Column("subject_name", sa.String(64), primary_key=True),
    sa.Column("form_version", sa.Integer, nullable=False),
    sa.Column("content", Json, nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("updated_at", Instant, nullable=False),
)

clinical_values = sa.Table(
    "clinical_values",
    metadata,
    sa.Column("project_id", sa.ForeignKey("projects.project_id"), primary_key=True),
    sa.Column("subject_name", sa.String(64), primary_key=True),
    sa.Column("variable", sa.String(64), primary_key=True),
    sa.Column("text_value", sa.String(MAX_TEXT), nullable=False),
    sa.Column("number_value", sa.Double),
    sa.Index("ix_clinical_values_by_text", "project_id", "variable", "text_value"),
    sa.Index("ix_clinical_values_by_number", "project_id", "variable", "number_value"),
)
"""One row per value: `text_value` as written in clinical.csv; numbers and booleans (1, 0) also
as `number_value`."""

MAX_VERSION = 2**31 - 1


def form_of(
    connection: Connection, project_id: str, version: int | None = None, *, lock: bool = False
) -> Form | None:
    """Return a version of a project's e-form, the newest when none is named.

    With `lock` the row is held to the end of the transaction, so that the writers of one project
    follow each other (PostgreSQL; SQLite has one writer anyway).
    """
    table = clinical_forms
    query = table.select().where(table.c.project_id == project_id)
    if version is not None:
        query = query.where(table.c.version == min(version, MAX_VERSION))
    query = query.order_by(table.c.version.desc()).limit(1)
    row = connection.execute(query.with_for_update() if lock else query).one_or_none()
    return None if row is None else stored_form(row)


def stored_form(row: Row[Any]) -> Form:
    """Make a form of a row of `clinical_forms`."""
    read = to_form(json.loads(row.schema), row.version)
    return Form(
        read.version, read.title, read.description, read.variables, read.schema, row.digest,
        row.created_at,
    )  # fmt: skip


def add_form(connection: Connection, project_id: str, form: Form, at: datetime) -> None:
    """Store a new version of a project's e-form, its variables in the order they came."""
    text = json.dumps(form.schema, ensure_ascii=False, separators=(",", ":"))
    values = {"version": form.version, "schema": text, "digest": form.digest}
    insert = clinical_forms.insert().values(project_id=project_id, created_at=at, **values)
    connection.execute(insert)


def records_named(
    connection: Connection, project_id: str, subjects: Collection[str]
) -> Mapping[str, Record]:
    """Return the records of these subjects, by subject."""
    table = clinical_records
    rows = connection.execute(
        table.select().where(
            table.c.project_id == project_id, table.c.subject_name.in_(sorted(subjects))
        )
    )
    return {row.subject_name: to_record(row) for row in rows}


def to_record(row: Row[Any]) -> Record:
    """Make a record of a row of `clinical_records`."""
    return Record(row.subject_name, row.form_version, row.content, row.digest, row.updated_at)


def write_records(connection: Connection, project_id: str, records: Sequence[Record]) -> None:
    """Put these records, and their single values, in the place of what the subjects had."""
    if not records:
        return
    subjects = sorted(record.subject for record in records)
    for table in (clinical_records, clinical_values):
        mine = sa.and_(table.c.project_id == project_id, table.c.subject_name.in_(subjects))
        connection.execute(table.delete().where(mine))
    whole = [
        {
            "project_id": project_id,
            "subject_name": record.subject,
            "form_version": record.form_version,
            "content": dict(record.values),
            "digest": record.digest,
            "updated_at": record.updated_at,
        }
        for record in records
    ]
    connection.execute(clinical_records.insert(), whole)
    single = [row for record in records for row in _value_rows(project_id, record)]
    if single:
        connection.execute(clinical_values.insert(), single)


def _value_rows(project_id: str, record: Record) -> Iterable[dict[str, object]]:
    for variable, value in record.values.items():
        yield {
            "project_id": project_id,
            "subject_name": record.subject,
            "variable": variable,
            "text_value": value_text(value),
            "number_value": None if isinstance(value, str) else float(value),
        }


def value_text(value: Value) -> str:
    """Write a value as text: true, false, a number as Python writes it, a text as it is."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else repr(value)


def count_records(connection: Connection, project_id: str) -> int:
    """Count a project's records."""
    mine = clinical_records.c.project_id == project_id
    return connection.scalar(sa.select(sa.func.count()).where(mine)) or 0


def filled(connection: Connection, project_id: str) -> Mapping[str, int]:
    """Return for each variable that has values in how many of the project's records it has one."""
    table = clinical_values
    rows = connection.execute(
        sa.select(table.c.variable, sa.func.count())
        .where(table.c.project_id == project_id)
        .group_by(table.c.variable)
    )
    return {row[0]: row[1] for row in rows}

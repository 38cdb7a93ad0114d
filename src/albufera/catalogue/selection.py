"""Selections: the series that a filter, or a list of studies, means in a project."""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from albufera.catalogue.model import MAX_STUDIES, UNKNOWN_STUDIES, Counts
from albufera.catalogue.query.expression import Expression
from albufera.catalogue.query.sql import EVERY_SERIES, compile_filter
from albufera.catalogue.records import dataset_series, dataset_studies
from albufera.kernel.errors import INVALID
from albufera.lake.records import series, studies, subjects

_CHUNK = 500
_SHOWN = 50
_MAX_NAME = 200
_HEADINGS = ("study_id", "studyid", "study_uid", "studyinstanceuid", "study", "id", "uid")


@dataclass(frozen=True)
class StudyList:
    """Studies named one by one, by their id in this node or their (de-identified) UID."""

    names: tuple[str, ...]


def read_study_list(text: str) -> StudyList:
    """Read one study per line, or a CSV with a column of studies (else its first column).

    Empty lines and lines that begin with # do not count; a study named twice counts once.
    Raises `invalid-input`.
    """
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    try:
        rows = list(csv.reader(io.StringIO("\n".join(lines), newline="")))
    except csv.Error as failure:
        raise INVALID(f"The list of studies is not a CSV: {failure}.", field="studies") from None
    column, skip = _study_column(rows[0]) if rows else (0, 0)
    short = next((row for row in rows[skip:] if len(row) <= column), None)
    if short is not None:
        raise INVALID(f"A line has no study: {','.join(short)[:80]!r}.", field="studies")
    return study_list([row[column] for row in rows[skip:]])


def study_list(names: Iterable[str]) -> StudyList:
    """Make a list of studies of names; a study named twice counts once. Raises `invalid-input`."""
    found = tuple(dict.fromkeys(name.strip().lstrip("\ufeff") for name in names))
    if not found or not all(found):
        raise INVALID("The list of studies names none, or has an empty name.", field="studies")
    if len(found) > MAX_STUDIES:
        raise INVALID(f"A list names at most {MAX_STUDIES} studies.", field="studies")
    if any(len(name) > _MAX_NAME or not name.isprintable() for name in found):
        raise INVALID("A study is named by its id or its UID; one line is neither.")
    return StudyList(found)


def resolve_studies(connection: Connection, project_id: str, wanted: StudyList) -> Sequence[str]:
    """Return the ids of the listed studies. Raises `unknown-studies`, naming the unknown ones."""
    ids: dict[str, None] = {}
    unknown: list[str] = []
    for start in range(0, len(wanted.names), _CHUNK):
        chunk = wanted.names[start : start + _CHUNK]
        named = sa.or_(studies.c.study_id.in_(chunk), studies.c.study_uid.in_(chunk))
        query = sa.select(studies.c.study_id, studies.c.study_uid)
        rows = connection.execute(query.where(studies.c.project_id == project_id, named)).all()
        by_name = {name: row.study_id for row in rows for name in (row.study_id, row.study_uid)}
        unknown += [name for name in chunk if name not in by_name]
        ids.update((by_name[name], None) for name in chunk if name in by_name)
    if unknown:
        more = f" and {len(unknown) - _SHOWN} more" if len(unknown) > _SHOWN else ""
        raise UNKNOWN_STUDIES(
            f"{len(unknown)} of {len(wanted.names)} listed studies are not in this project: "
            f"{', '.join(unknown[:_SHOWN])}{more}.",
            unknown=unknown[:1000],
            unknown_count=len(unknown),
        )
    return list(ids)


def filtered(project_id: str, expression: Expression) -> sa.ColumnElement[bool]:
    """Return the condition of the series that a filter selects in a project."""
    return sa.and_(series.c.project_id == project_id, compile_filter(expression))


def listed(project_id: str, dataset_id: str) -> sa.ColumnElement[bool]:
    """Return the condition of the series of the studies listed for a dataset."""
    wanted = sa.select(dataset_studies.c.study_id).where(dataset_studies.c.dataset_id == dataset_id)
    return sa.and_(series.c.project_id == project_id, series.c.study_id.in_(wanted))


def in_studies(project_id: str, study_ids: Sequence[str]) -> sa.ColumnElement[bool]:
    """Return the condition of the series of a few studies."""
    return sa.and_(series.c.project_id == project_id, series.c.study_id.in_(study_ids))


def in_dataset(dataset_id: str) -> sa.ColumnElement[bool]:
    """Return the condition of the series that a dataset holds."""
    mine = sa.select(dataset_series.c.series_id).where(dataset_series.c.dataset_id == dataset_id)
    return series.c.series_id.in_(mine)


def count(connection: Connection, condition: sa.ColumnElement[bool]) -> Counts:
    """Count the selected subjects, studies, series, images and bytes, as the lake holds them."""
    row = connection.execute(
        sa.select(
            sa.func.count(sa.distinct(series.c.subject_id)),
            sa.func.count(sa.distinct(series.c.study_id)),
            sa.func.count(series.c.series_id),
            sa.func.coalesce(sa.func.sum(series.c.instance_count), 0),
            sa.func.coalesce(sa.func.sum(series.c.byte_count), 0),
        )
        .select_from(EVERY_SERIES)
        .where(condition)
    ).one()
    return Counts(*(int(number) for number in row))


def batch_after(
    connection: Connection, condition: sa.ColumnElement[bool], series_id: str, limit: int
) -> Sequence[Row[Any]]:
    """Return the next selected series after an id, with what their folder names are made of."""
    query: sa.Select[Any] = (
        sa.select(
            series.c.series_id,
            series.c.instance_count,
            series.c.byte_count,
            series.c.series_uid,
            series.c.number,
            series.c.modality,
            series.c.description,
            studies.c.study_uid,
            studies.c.date,
            studies.c.description.label("study_description"),
            subjects.c.name.label("subject"),
        )
        .select_from(EVERY_SERIES)
        .where(condition, series.c.series_id > series_id)
        .order_by(series.c.series_id)
        .limit(limit)
    )
    return connection.execute(query).all()


def _study_column(first: Sequence[str]) -> tuple[int, int]:
    """Return (column of the studies, number of heading lines)."""
    headings = [cell.strip().lstrip("\ufeff").lower().replace(" ", "") for cell in first]
    for name in _HEADINGS:
        if name in headings:
            return headings.index(name), 1
    return 0, 0

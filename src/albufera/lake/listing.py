"""Questions about many studies and series, each answered by a query or two."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from albufera.kernel.pages import PageRequest
from albufera.lake.model import Series, StudyFilter, StudySummary
from albufera.lake.records import SERIES, STUDIES, series, studies, subjects, to_series, to_study

Condition = sa.ColumnElement[bool]


def study_summaries(
    connection: Connection, visible: Condition, wanted: StudyFilter, page: PageRequest
) -> Sequence[StudySummary]:
    """Studies for which `visible` holds, newest first, one more than the page's limit."""
    query = STUDIES.where(visible, *_conditions(wanted))
    if page.after is not None:
        query = query.where(studies.c.study_id < page.after)
    rows = connection.execute(query.order_by(studies.c.study_id.desc()).limit(page.limit + 1)).all()
    facts = _facts_of(connection, [row.study_id for row in rows])
    return [summary(row, facts[row.study_id]) for row in rows]


def summary(row: sa.Row[Any], facts: Sequence[sa.Row[Any]]) -> StudySummary:
    """Make a summary of a row of `STUDIES` and the sums of its series by modality."""
    return StudySummary(
        study=to_study(row),
        modalities=tuple(sorted(fact.modality for fact in facts if fact.modality)),
        series_count=sum(fact.series_count for fact in facts),
        instance_count=sum(fact.instance_count for fact in facts),
        byte_count=sum(fact.byte_count for fact in facts),
    )


def series_of_study(connection: Connection, study_id: str, visible: Condition) -> Sequence[Series]:
    """The series of a study for which `visible` holds, by series number."""
    rows = connection.execute(
        SERIES.where(series.c.study_id == study_id, visible).order_by(
            sa.func.coalesce(series.c.number, 0), series.c.series_id
        )
    )
    return [to_series(row) for row in rows]


def _conditions(wanted: StudyFilter) -> Sequence[Condition]:
    found: list[Condition] = []
    if wanted.project_id is not None:
        found.append(studies.c.project_id == wanted.project_id)
    if wanted.subject is not None:
        found.append(subjects.c.name == wanted.subject)
    of_series = _series_conditions(wanted)
    if of_series:
        match = sa.select(series.c.study_id).where(
            series.c.study_id == studies.c.study_id, *of_series
        )
        found.append(sa.exists(match))
    if wanted.text is not None:
        found.append(_mentions(wanted.text))
    return found


def _series_conditions(wanted: StudyFilter) -> Sequence[Condition]:
    found: list[Condition] = []
    if wanted.modality is not None:
        found.append(series.c.modality == wanted.modality)
    if wanted.collection_id is not None:
        found.append(series.c.collection_id == wanted.collection_id)
    return found


def _mentions(text: str) -> Condition:
    described = sa.select(series.c.study_id).where(
        series.c.study_id == studies.c.study_id,
        sa.or_(
            series.c.description.icontains(text, autoescape=True),
            series.c.body_part.icontains(text, autoescape=True),
        ),
    )
    return sa.or_(
        studies.c.description.icontains(text, autoescape=True),
        subjects.c.name.icontains(text, autoescape=True),
        sa.exists(described),
    )


def _facts_of(connection: Connection, study_ids: Sequence[str]) -> dict[str, Sequence[sa.Row[Any]]]:
    rows = connection.execute(
        sa.select(
            series.c.study_id,
            series.c.modality,
            sa.func.count().label("series_count"),
            sa.func.sum(series.c.instance_count).label("instance_count"),
            sa.func.sum(series.c.byte_count).label("byte_count"),
        )
        .where(series.c.study_id.in_(study_ids))
        .group_by(series.c.study_id, series.c.modality)
    )
    facts: dict[str, list[sa.Row[Any]]] = defaultdict(list)
    for row in rows:
        facts[row.study_id].append(row)
    return defaultdict(list, facts)

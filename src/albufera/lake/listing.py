"""Questions about many studies and series, each answered by a query or two."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from albufera.kernel.pages import PageRequest
from albufera.lake.model import Series, SeriesQuery, Study, StudyFilter, StudySummary
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
    facts = _facts_of(connection, [row.study_id for row in rows], sa.true())
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


def found_studies(
    connection: Connection, visible: Condition, query: SeriesQuery, limit: int, offset: int
) -> Sequence[StudySummary]:
    """Studies with a series that is visible and matches, oldest first, with visible series alone
    counted."""
    match = sa.select(series.c.study_id).where(
        series.c.study_id == studies.c.study_id, visible, *_series_matches(query)
    )
    rows = connection.execute(
        STUDIES.where(sa.exists(match), *_study_matches(query))
        .order_by(studies.c.study_id)
        .limit(limit)
        .offset(offset)
    ).all()
    facts = _facts_of(connection, [row.study_id for row in rows], visible)
    return [summary(row, facts[row.study_id]) for row in rows]


def found_series(
    connection: Connection, visible: Condition, query: SeriesQuery, limit: int, offset: int
) -> Sequence[tuple[Series, Study]]:
    """Series that are visible and match, oldest first, each with its study."""
    rows = connection.execute(
        SERIES.where(visible, *_series_matches(query), *_study_matches(query))
        .order_by(series.c.series_id)
        .limit(limit)
        .offset(offset)
    ).all()
    of = connection.execute(STUDIES.where(studies.c.study_id.in_({r.study_id for r in rows})))
    by_id = {row.study_id: to_study(row) for row in of}
    return [(to_series(row), by_id[row.study_id]) for row in rows]


def _series_matches(query: SeriesQuery) -> Sequence[Condition]:
    found: list[Condition] = []
    if query.series_uids:
        found.append(series.c.series_uid.in_(query.series_uids))
    if query.modality:
        found.append(series.c.modality == query.modality)
    return found


def _study_matches(query: SeriesQuery) -> Sequence[Condition]:
    found: list[Condition] = []
    if query.study_uids:
        found.append(studies.c.study_uid.in_(query.study_uids))
    if query.subject:
        found.append(subjects.c.name.like(_pattern(query.subject), escape="/"))
    if query.date_from:
        found.append(studies.c.date >= query.date_from)
    if query.date_to:
        found.append(sa.and_(studies.c.date <= query.date_to, studies.c.date != ""))
    return found


def _pattern(text: str) -> str:
    """A LIKE pattern for DICOM's wild cards (PS3.4 §C.2.2.2.4)."""
    escaped = text.replace("/", "//").replace("%", "/%").replace("_", "/_")
    return escaped.replace("*", "%").replace("?", "_")


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


def _facts_of(
    connection: Connection, study_ids: Sequence[str], visible: Condition
) -> dict[str, Sequence[sa.Row[Any]]]:
    rows = connection.execute(
        sa.select(
            series.c.study_id,
            series.c.modality,
            sa.func.count().label("series_count"),
            sa.func.sum(series.c.instance_count).label("instance_count"),
            sa.func.sum(series.c.byte_count).label("byte_count"),
        )
        .where(series.c.study_id.in_(study_ids), visible)
        .group_by(series.c.study_id, series.c.modality)
    )
    facts: dict[str, list[sa.Row[Any]]] = defaultdict(list)
    for row in rows:
        facts[row.study_id].append(row)
    return defaultdict(list, facts)

"""Cohorts: how many subjects, studies and series a filter finds, and how they divide."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from albufera.catalogue import selection
from albufera.catalogue.description import BAND, LAST_BAND, band_label
from albufera.catalogue.model import Counts
from albufera.catalogue.query.expression import (
    BAD_FILTER,
    EVERYTHING,
    Comparison,
    Condition,
    Expression,
    Operand,
    checked,
    join,
)
from albufera.catalogue.query.sql import COLUMNS, EVERY_SERIES, compile_filter
from albufera.kernel.actor import Actor
from albufera.kernel.database import Database
from albufera.kernel.policy import Columns, Policy
from albufera.lake.records import series, studies

MAX_VALUES = 50

_SERIES_COLUMNS = Columns(id=series.c.series_id, project_id=series.c.project_id)
_BAND = sa.case(
    ((studies.c.age // BAND) * BAND > LAST_BAND, LAST_BAND), else_=(studies.c.age // BAND) * BAND
)


@dataclass(frozen=True)
class Facet:
    """A way to divide series: `key` is the concept, or `age_band` for ages by tens."""

    key: str
    label: str

    def column(self) -> sa.ColumnElement[Any]:
        """Return the column that is divided by."""
        return _BAND if self.key == "age_band" else COLUMNS[self.key]

    def condition(self, values: Iterable[str]) -> Expression:
        """Return the filter that keeps the chosen values. Raises `bad-filter`."""
        chosen = tuple(values)
        if self.key == "age_band":
            return checked(join(Operand.OR, [_band(value) for value in chosen]))
        if self.key == "year":
            return checked(Condition("year", Comparison.IN, tuple(map(_whole, chosen))))
        return checked(Condition(self.key, Comparison.IN, chosen))


FACETS: tuple[Facet, ...] = (
    Facet("project", "Project"),
    Facet("collection", "Collection"),
    Facet("modality", "Modality"),
    Facet("body_part", "Body part"),
    Facet("sex", "Sex"),
    Facet("age_band", "Age at the study"),
    Facet("manufacturer", "Manufacturer"),
    Facet("year", "Year"),
)


@dataclass(frozen=True)
class FacetValue:
    """One value of a facet with its counts."""

    value: str
    label: str
    subjects: int
    series: int


@dataclass(frozen=True)
class Cohort:
    """What a filter finds among the series that the caller may count."""

    counts: Counts
    facets: Mapping[str, Sequence[FacetValue]]


class CohortService:
    """Counts and facets over the projects of the caller."""

    def __init__(self, database: Database, policy: Policy) -> None:
        self.database = database
        self.policy = policy

    def count(self, actor: Actor, expression: Expression) -> Counts:
        """Count what a filter finds."""
        with self.database.read() as connection:
            return selection.count(connection, self._within(actor, [expression]))

    def explore(
        self, actor: Actor, expression: Expression, chosen: Mapping[str, Sequence[str]]
    ) -> Cohort:
        """Count, and divide by every facet; a facet's own choice does not narrow its own counts."""
        narrowing = {
            facet.key: facet.condition(chosen[facet.key])
            for facet in FACETS
            if chosen.get(facet.key)
        }
        with self.database.read() as connection:
            everything = [expression, *narrowing.values()]
            counts = selection.count(connection, self._within(actor, everything))
            facets = {}
            for facet in FACETS:
                others = [item for key, item in narrowing.items() if key != facet.key]
                query = _divided(facet, self._within(actor, [expression, *others]))
                rows = connection.execute(query)
                facets[facet.key] = [_value(facet, row) for row in rows]
        return Cohort(counts, facets)

    def _within(self, actor: Actor, filters: Sequence[Expression]) -> sa.ColumnElement[bool]:
        visible = self.policy.which(actor, "series.count", _SERIES_COLUMNS)
        return sa.and_(visible, *(compile_filter(item) for item in filters))


def combined(expression: Expression, chosen: Mapping[str, Sequence[str]]) -> Expression:
    """Join a filter and the chosen values of facets into one filter. Raises `bad-filter`."""
    parts = [facet.condition(chosen[facet.key]) for facet in FACETS if chosen.get(facet.key)]
    if expression != EVERYTHING:
        parts.insert(0, expression)
    return checked(join(Operand.AND, parts)) if parts else EVERYTHING


def _divided(facet: Facet, condition: sa.ColumnElement[bool]) -> sa.Select[Any]:
    column = facet.column()
    number = sa.func.count().label("series")
    order = [column] if facet.key in {"age_band", "year"} else [number.desc(), column]
    return (
        sa.select(
            column.label("value"),
            sa.func.count(sa.distinct(series.c.subject_id)).label("subjects"),
            number,
        )
        .select_from(EVERY_SERIES)
        .where(condition, column.is_not(None))
        .group_by(column)
        .order_by(*order)
        .limit(MAX_VALUES)
    )


def _value(facet: Facet, row: sa.Row[Any]) -> FacetValue:
    value = str(row.value)
    label = band_label(int(row.value)) if facet.key == "age_band" else value
    return FacetValue(value, label or "not stated", row.subjects, row.series)


def _band(value: str) -> Condition:
    start = _whole(value)
    if start >= LAST_BAND:
        return Condition("age", Comparison.AT_LEAST, LAST_BAND)
    return Condition("age", Comparison.BETWEEN, (start, start + BAND - 1))


def _whole(value: str) -> int:
    if not value.isascii() or not value.isdigit() or len(value) > 6:  # noqa: PLR2004 - no such age or year
        raise BAD_FILTER(f"{value[:20]!r} is not a whole number.")
    return int(value)

"""Filters as SQL over series, their studies and subjects.

Every condition is true or false, never unknown: a missing value fulfils no condition, so that
`not` of one is true, on both databases and in every peer that answers the same filter.
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from albufera.catalogue.query.concepts import CONCEPTS, Concept, ConceptType
from albufera.catalogue.query.expression import (
    Comparison,
    Condition,
    Expression,
    Operand,
    Scalar,
)
from albufera.governance.records import collections, projects
from albufera.lake.records import series, studies, subjects

COLUMNS: dict[str, sa.ColumnElement[Any]] = {
    "modality": series.c.modality,
    "body_part": series.c.body_part,
    "sex": subjects.c.sex,
    "age": studies.c.age,
    "year": studies.c.year,
    "manufacturer": series.c.manufacturer,
    "model": series.c.model,
    "description": series.c.description,
    "study_description": studies.c.description,
    "slice_thickness": series.c.slice_thickness,
    "rows": series.c.rows,
    "columns": series.c.columns,
    "images": series.c.instance_count,
    "project": projects.c.code,
    "collection": collections.c.code,
    "subject": subjects.c.name,
    "study": studies.c.study_id,
    "study_uid": studies.c.study_uid,
    "series": series.c.series_id,
    "series_uid": series.c.series_uid,
}
"""Where each concept's value is, in rows of `EVERY_SERIES`."""

EVERY_SERIES = (
    series.join(studies, studies.c.study_id == series.c.study_id)
    .join(subjects, subjects.c.subject_id == series.c.subject_id)
    .join(projects, projects.c.project_id == series.c.project_id)
    .join(collections, collections.c.collection_id == series.c.collection_id)
)
"""Series with what filters speak of."""


class folded(FunctionElement[str]):  # noqa: N801 - it stands for a function of SQL
    """The text with A–Z as a–z and all else as it is: the same on both databases."""

    type = sa.String()
    inherit_cache = True
    name = "folded"


@compiles(folded)
def _folded(element: Any, compiler: Any, **kw: Any) -> str:
    return f"lower({compiler.process(element.clauses, **kw)})"  # SQLite folds ASCII alone


@compiles(folded, "postgresql")
def _folded_postgresql(element: Any, compiler: Any, **kw: Any) -> str:
    return f'lower(({compiler.process(element.clauses, **kw)}) COLLATE "C")'


_FOLDED = frozenset({ConceptType.CODE, ConceptType.TEXT})


def fold(text: str) -> str:
    """Fold A–Z to a–z, as `folded` does in SQL."""
    return "".join(c.lower() if "A" <= c <= "Z" else c for c in text)


def compile_filter(expression: Expression) -> sa.ColumnElement[bool]:
    """Return the condition over rows of `EVERY_SERIES`; the expression was checked before."""
    if isinstance(expression, Condition):
        return _condition(expression)
    compiled = [compile_filter(child) for child in expression.children]
    match expression.operand:
        case Operand.AND:
            return sa.and_(sa.true(), *compiled).self_group()
        case Operand.OR:
            return sa.or_(sa.false(), *compiled).self_group()
        case Operand.NOT:
            return sa.not_(compiled[0])


def _condition(condition: Condition) -> sa.ColumnElement[bool]:
    concept = CONCEPTS[condition.key]
    column, value = COLUMNS[condition.key], condition.value
    if concept.type in _FOLDED:
        column = folded(column)
    bound = (
        tuple(_bind(concept, item) for item in value)
        if isinstance(value, tuple)
        else (_bind(concept, value),)
    )
    if condition.type is Comparison.NOT_EQUALS:
        return sa.or_(COLUMNS[condition.key].is_(None), column != bound[0])
    return sa.and_(COLUMNS[condition.key].is_not(None), _compare(condition, column, bound))


def _bind(concept: Concept, value: Scalar) -> sa.ColumnElement[Any]:
    """A parameter of the value's own type, so that 2.5 is not rounded beside an integer column."""
    if isinstance(value, float):
        return sa.literal(value, sa.Float)
    if isinstance(value, int):
        return sa.literal(value, sa.BigInteger)
    folds = concept.type in _FOLDED
    return sa.literal(fold(value) if folds else value, sa.String)


def _compare(
    condition: Condition,
    column: sa.ColumnElement[Any],
    values: Sequence[sa.ColumnElement[Any]],
) -> sa.ColumnElement[bool]:
    value = values[0]
    match condition.type:
        case Comparison.IN:
            return column.in_(values)
        case Comparison.BETWEEN:
            return column.between(value, values[1])
        case Comparison.CONTAINS:
            text = fold(str(condition.value))
            return folded(COLUMNS[condition.key]).contains(text, autoescape=True)
        case Comparison.LOWER_THAN:
            return column < value
        case Comparison.AT_MOST:
            return column <= value
        case Comparison.GREATER_THAN:
            return column > value
        case Comparison.AT_LEAST:
            return column >= value
        case _:
            return column == value

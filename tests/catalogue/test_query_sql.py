"""Filters as SQL answer what a plain reading of them over the rows answers, on both databases."""

from typing import Any

import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from albufera.catalogue.query.concepts import CONCEPTS
from albufera.catalogue.query.expression import Comparison, Condition, Expression, Operand
from albufera.catalogue.query.language import parse
from albufera.catalogue.query.sql import COLUMNS, EVERY_SERIES, compile_filter, fold
from albufera.kernel.database import Database
from albufera.lake.records import series
from tests.catalogue.lakes import Scan, bare_project, fill_rows
from tests.catalogue.test_language import joined

ROWS = [
    Scan("SUBJ-A", "2.25.1", "2.25.1.1", "F", 61, "2019-03-04", "CT", "CHEST", "axial", "SIEMENS"),
    Scan("SUBJ-A", "2.25.1", "2.25.1.2", "F", 61, "2019-03-04", "MR", "", "T1 tra", "Siemens", None),  # noqa: E501
    Scan("SUBJ-B", "2.25.2", "2.25.2.1", "M", None, "2020-01-01", "CT", "chest", "Ünicode Ä", "GE"),
    Scan("SUBJ-C", "2.25.3", "2.25.3.1", "", 45, "2021-09-09", "PT", "LUNG", "100%_\\x", "GE", 5.0),
    Scan("SUBJ-D", "2.25.4", "2.25.4.1", "O", 90, "2021-09-09", "CT", "LUNG", "", "", 0.5, 9, "other"),  # noqa: E501
    Scan("SUBJ-D", "2.25.5", "2.25.5.1", "O", 50, "2022-09-09", "CT", "HEAD", "Axial", "", 2.5, 1),
]  # fmt: skip

SOME_TEXTS = st.sampled_from(
    ["CT", "ct", "mr", "chest", "", "%", "_", "\\", "a", "siemens", "Ü", "ü", "ä", "main", "other",
     "SUBJ-A", "subj-a", "2.25.1.1", "LUNG", "F", "o", "T1 tra", "GE"]
)  # fmt: skip
SOME_NUMBERS = st.sampled_from(
    [0, 1, 3, 9, 45, 50, 50.5, 61, 90, 0.5, 2.5, 2.49, 5, 512, 2019, 2021]
)


@st.composite
def conditions(draw: st.DrawFn) -> Condition:
    concept = draw(st.sampled_from(sorted(CONCEPTS.values(), key=lambda c: c.key)))
    values: Any = SOME_NUMBERS if concept.is_number else SOME_TEXTS
    kinds = set(Comparison) - {Comparison.CONTAINS}
    if not concept.is_number:
        kinds = {Comparison.EQUALS, Comparison.NOT_EQUALS, Comparison.IN, Comparison.CONTAINS}
    kind = draw(st.sampled_from(sorted(kinds)))
    if kind is Comparison.IN:
        return Condition(concept.key, kind, tuple(draw(st.lists(values, min_size=1, max_size=3))))
    if kind is Comparison.BETWEEN:
        return Condition(concept.key, kind, (draw(values), draw(values)))
    return Condition(concept.key, kind, draw(values))


def naive(expression: Expression, row: dict[str, Any]) -> bool:
    """What a filter means, without SQL."""
    if not isinstance(expression, Condition):
        answers = [naive(child, row) for child in expression.children]
        match expression.operand:
            case Operand.AND:
                return all(answers)
            case Operand.OR:
                return any(answers)
            case Operand.NOT:
                return not answers[0]
    value, wanted = row[expression.key], expression.value
    if CONCEPTS[expression.key].type in {"code", "text"} and value is not None:
        value = fold(value)
        wanted = (
            tuple(fold(str(w)) for w in wanted) if isinstance(wanted, tuple) else fold(str(wanted))
        )
    if expression.type is Comparison.CONTAINS:
        return fold(str(expression.value)) in fold(row[expression.key])
    if expression.type is Comparison.NOT_EQUALS:
        return bool(value != wanted)
    return value is not None and bool(_compare(expression.type, value, wanted))


def _compare(kind: Comparison, value: Any, wanted: Any) -> Any:
    match kind:
        case Comparison.EQUALS:
            return value == wanted
        case Comparison.IN:
            return value in wanted
        case Comparison.BETWEEN:
            return wanted[0] <= value <= wanted[1]
        case Comparison.LOWER_THAN:
            return value < wanted
        case Comparison.AT_MOST:
            return value <= wanted
        case Comparison.GREATER_THAN:
            return value > wanted
        case Comparison.AT_LEAST:
            return value >= wanted
    raise ValueError(kind)


def test_sql_answers_what_the_filter_means(database: Database) -> None:
    project_id = bare_project(database)
    with database.write() as connection:
        fill_rows(connection, project_id, ROWS)
    columns = [column.label(f"c_{key}") for key, column in COLUMNS.items()]
    with database.read() as connection:
        every = sa.select(*columns).select_from(EVERY_SERIES)
        rows = [
            {key: getattr(row, f"c_{key}") for key in COLUMNS} for row in connection.execute(every)
        ]
        assert len(rows) == len(ROWS)

        @settings(
            max_examples=250,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(st.recursive(conditions(), joined, max_leaves=6))
        def check(expression: Expression) -> None:
            query = sa.select(series.c.series_uid).select_from(EVERY_SERIES)
            found = set(connection.scalars(query.where(compile_filter(expression))))
            assert found == {row["series_uid"] for row in rows if naive(expression, row)}

        check()


def test_a_missing_value_fulfils_nothing_but_its_negation(database: Database) -> None:
    project_id = bare_project(database)
    with database.write() as connection:
        fill_rows(connection, project_id, ROWS)

    def found(text: str) -> set[str]:
        query = sa.select(series.c.series_uid).select_from(EVERY_SERIES)
        with database.read() as connection:
            return set(connection.scalars(query.where(compile_filter(parse(text)))))

    assert "2.25.2.1" not in found("age >= 0")
    assert "2.25.2.1" in found("not age >= 0")
    assert "2.25.2.1" in found("age != 61")
    assert found("modality = ct") == found("modality = CT") != set()
    assert found('description ~ "%"') == {"2.25.3.1"}
    assert found("all") == {scan.uid for scan in ROWS}
    assert found("not (all)") == set()

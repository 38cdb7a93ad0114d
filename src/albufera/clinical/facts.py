"""Clinical facts of sets of subjects, for whoever describes datasets. Set questions only.

Sets of subjects come as a SQL query that selects subject names, so that no list travels.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from albufera.clinical.model import Form, Record, Value, Variable
from albufera.clinical.records import clinical_records, clinical_values, form_of, to_record

Subjects = sa.Select[tuple[str]]
"""A query that gives one column: names of subjects of the project."""

_AT_ONCE = 500


def records_of(connection: Connection, project_id: str, subjects: Subjects) -> Iterator[Record]:
    """Yield the records of these subjects, by subject."""
    table = clinical_records
    rows = connection.execute(
        table.select()
        .where(table.c.project_id == project_id, table.c.subject_name.in_(subjects))
        .order_by(table.c.subject_name)
        .execution_options(yield_per=_AT_ONCE)
    )
    return (to_record(row) for row in rows)


def counts_of(
    connection: Connection, project_id: str, variable: str, subjects: Subjects
) -> Mapping[str, int]:
    """Return how many of these subjects have each value of a variable, most frequent first."""
    table = clinical_values
    count = sa.func.count()
    rows = connection.execute(
        sa.select(table.c.text_value, count)
        .where(table.c.project_id == project_id, table.c.variable == variable)
        .where(table.c.subject_name.in_(subjects))
        .group_by(table.c.text_value)
        .order_by(count.desc(), table.c.text_value)
    )
    return {row[0]: row[1] for row in rows}


def diagnoses_of(connection: Connection, project_id: str, subjects: Subjects) -> Mapping[str, int]:
    """Return how many of these subjects have each diagnosis, by its title, most frequent first.

    The diagnosis is the variable whose `x-role` says so; a form without one gives no counts.
    """
    form = form_of(connection, project_id)
    variable = form.with_role("diagnosis") if form is not None else None
    if variable is None:
        return {}
    titles = {str(choice.value): choice.title for choice in variable.choices}
    counts = counts_of(connection, project_id, variable.name, subjects)
    return {titles.get(value, value): count for value, count in counts.items()}


def ordered_values(form: Form, record: Record) -> dict[str, Value]:
    """Return a record's values in the order of the form; variables without a value are absent."""
    names = (variable.name for variable in form.variables)
    return {name: record.values[name] for name in names if name in record.values}


def data_dictionary(form: Form) -> list[dict[str, Any]]:
    """Return what each column of the flattened table means, for programs and people."""
    return [_described(variable) for variable in form.variables]


def _described(variable: Variable) -> dict[str, Any]:
    described: dict[str, Any] = {
        "name": variable.name,
        "title": variable.title,
        "type": variable.type.value,
        "required": variable.required,
    }
    if variable.description:
        described["description"] = variable.description
    if variable.unit:
        described["unit"] = variable.unit
    if variable.coding is not None:
        described["code"] = {"system": variable.coding.system, "code": variable.coding.code}
    if variable.choices:
        described["values"] = [
            {
                "value": choice.value,
                "title": choice.title,
                **(
                    {"code": {"system": choice.coding.system, "code": choice.coding.code}}
                    if choice.coding is not None
                    else {}
                ),
            }
            for choice in variable.choices
        ]
    for bound in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"):
        if bound in variable.schema:
            described[bound] = variable.schema[bound]
    return described

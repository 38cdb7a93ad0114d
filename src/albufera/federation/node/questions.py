"""Questions of a hub as SQL over what this node has published."""

from collections.abc import Iterator, Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from albufera.catalogue.model import DatasetState
from albufera.catalogue.query.expression import from_json
from albufera.catalogue.query.sql import EVERY_SERIES, compile_filter, fold, folded
from albufera.catalogue.records import dataset_series, datasets
from albufera.clinical.model import Form
from albufera.clinical.records import clinical_values, form_of
from albufera.federation.expressions import BAD_QUESTION, Expression
from albufera.lake.records import series, studies, subjects

_AT_ONCE = 2000
DIAGNOSIS = "diagnosis"

_PUBLISHED = (
    sa.select(dataset_series.c.series_id)
    .join(datasets, datasets.c.dataset_id == dataset_series.c.dataset_id)
    .where(datasets.c.state == DatasetState.PUBLISHED.value)
)


def contributions(connection: Connection, expression: Expression) -> Iterator[tuple[str, str]]:
    """Give each (subject, study) with a published series that matches, ordered by subject.

    A subject in several datasets comes once. The expression was checked before.
    Raises `bad-question` when this node cannot understand it (never an answer of zero instead),
    or `bad-filter`.
    """
    condition = _compile(connection, expression)
    rows = connection.execute(
        sa.select(subjects.c.subject_id, studies.c.study_id)
        .distinct()
        .select_from(EVERY_SERIES)
        .where(series.c.series_id.in_(_PUBLISHED), condition)
        .order_by(subjects.c.subject_id, studies.c.study_id)
        .execution_options(yield_per=_AT_ONCE)
    )
    for row in rows:
        yield row[0], row[1]


def _compile(connection: Connection, expression: Expression) -> sa.ColumnElement[bool]:
    if "operand" not in expression:
        if expression["key"] == DIAGNOSIS:
            return _diagnosed(connection, expression)
        return compile_filter(from_json(expression))
    parts = [_compile(connection, child) for child in expression["children"]]
    match expression["operand"]:
        case "NOT":
            return sa.not_(parts[0])
        case "OR":
            return sa.or_(sa.false(), *parts).self_group()
        case _:
            return sa.and_(sa.true(), *parts).self_group()


def _diagnosed(connection: Connection, condition: Expression) -> sa.ColumnElement[bool]:
    """Tell whether the subject's e-form has the diagnosis: by its value, its title or its code."""
    table = clinical_values
    forms = _forms(connection)
    if not forms:
        raise BAD_QUESTION("No dataset published here has an e-form with a diagnosis.")
    kind, value = condition["type"], condition["value"]
    wanted = [fold(item) for item in (value if isinstance(value, list) else [value])]
    matching = [
        sa.and_(
            table.c.project_id == project_id,
            table.c.variable == variable,
            _is_one_of(wanted, form, variable, contained=kind == "CONTAINS"),
        )
        for project_id, form in forms
        if (variable := _diagnosis_of(form))
    ]
    found = sa.exists().where(
        table.c.project_id == series.c.project_id,
        table.c.subject_name == subjects.c.name,
        sa.or_(sa.false(), *matching),
    )
    present = found.correlate_except(table)
    return sa.not_(present) if kind == "NOT_EQUALS" else present


def _is_one_of(
    wanted: Sequence[str], form: Form, variable: str, *, contained: bool
) -> sa.ColumnElement[bool]:
    """Compare the stored value, and the titles and codes of the form's choices."""
    written = folded(clinical_values.c.text_value)
    found = form.variable(variable)
    values = [
        str(choice.value)
        for choice in (found.choices if found else ())
        if any(
            _matches(word, fold(name), contained=contained)
            for word in wanted
            for name in (choice.title, choice.coding.code if choice.coding else "")
        )
    ]
    direct = (
        written.contains(wanted[0], autoescape=True)
        if contained
        else written.in_([sa.literal(word) for word in wanted])
    )
    return sa.or_(direct, clinical_values.c.text_value.in_(values))


def _matches(word: str, name: str, *, contained: bool) -> bool:
    return bool(name) and (word in name if contained else word == name)


def _forms(connection: Connection) -> list[tuple[str, Form]]:
    """Return the e-forms with a diagnosis of the projects that have published something."""
    projects = connection.scalars(
        sa.select(datasets.c.project_id)
        .where(datasets.c.state == DatasetState.PUBLISHED.value)
        .distinct()
    ).all()
    found = [(project_id, form_of(connection, project_id)) for project_id in projects]
    return [(project_id, form) for project_id, form in found if form and _diagnosis_of(form)]


def _diagnosis_of(form: Form) -> str:
    variable = form.with_role(DIAGNOSIS)
    return "" if variable is None else variable.name

"""Making records of a table's rows: which column is what, what each row says, what has changed.

Pure of storage: `loading.py` brings what is stored and writes what comes out.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from jsonschema import Draft202012Validator

from albufera.clinical.model import (
    MAX_REPORTED,
    TABLE_REFUSED,
    Form,
    LoadReport,
    Problem,
    Record,
    Value,
    Variable,
)
from albufera.clinical.tables.cells import WrongCell, convert, is_missing
from albufera.clinical.tables.reading import Row, TableReader

KEY_COLUMNS = ("subject", "patient_id")
_MAX_KEY = 256
_SHOWN = 64


@dataclass(frozen=True)
class Layout:
    """Which columns of a table are what. `columns` gives each known column its variable."""

    key: int
    key_name: str
    width: int
    columns: Mapping[int, Variable]
    decimal_comma: bool
    warnings: tuple[Problem, ...]


@dataclass(frozen=True)
class Named:
    """Whom a row is about: the pseudonym, and the date shift if the original was given."""

    subject: str
    day_shift: int | None


@dataclass(frozen=True)
class Statement:
    """What a row says of a subject: the values of its cells, None where a cell is empty."""

    line: int
    subject: str
    cells: Mapping[str, Value | None]


class Tally:
    """The counts and problems of a load, while it goes on. Lists are bounded, counts are not."""

    def __init__(self) -> None:
        self.rows = self.new = self.updated = self.unchanged = self.rejected = 0
        self.unknown_subjects = 0
        self.complete = True
        self.errors: list[Problem] = []
        self.error_count = 0
        self.warnings: list[Problem] = []
        self.warning_count = 0

    def reject(self, problems: Sequence[Problem]) -> None:
        """Count a row as rejected, with the reasons."""
        self.rejected += 1
        self.error_count += len(problems)
        self.errors += problems[: max(MAX_REPORTED - len(self.errors), 0)]

    def warn(self, problem: Problem) -> None:
        """Remember a warning."""
        self.warning_count += 1
        if len(self.warnings) < MAX_REPORTED:
            self.warnings.append(problem)

    def stop(self, problem: Problem) -> None:
        """Say that the file was not read to its end."""
        self.complete = False
        self.error_count += 1
        self.errors.append(problem)

    def report(self, form_version: int, file_digest: str) -> LoadReport:
        """Return the report of the whole load."""
        return LoadReport(
            form_version=form_version,
            file_digest=file_digest,
            rows=self.rows,
            new=self.new,
            updated=self.updated,
            unchanged=self.unchanged,
            rejected=self.rejected,
            unknown_subjects=self.unknown_subjects,
            errors=tuple(self.errors),
            error_count=self.error_count,
            warnings=tuple(self.warnings),
            warning_count=self.warning_count,
            complete=self.complete,
        )


def lay_out(reader: TableReader, form: Form, key: str) -> Layout:
    """Find the columns of a table. `key` names the column of the subject; empty: by its name.

    Raises `table-refused` when there is none, or when two columns have the same name. Names of
    columns are repeated to the caller only after the key column has shown that the first line is
    a header, not somebody's data.
    """
    names = [_fold(name) for name in reader.header]
    wanted = [_fold(key)] if key else list(KEY_COLUMNS)
    keys = [at for at, name in enumerate(names) if name in wanted]
    if len(keys) != 1:
        what = f"“{key[:_SHOWN]}”" if key else " or ".join(f"“{name}”" for name in KEY_COLUMNS)
        found = "more than one column" if keys else "no column"
        raise TABLE_REFUSED(
            f"The first line has {found} named {what}, so the rows have no subject. Name the "
            "column that identifies the subject with `--key`."
        )
    twice = sorted({at for at, name in enumerate(names) if name and name in names[:at]})
    if twice:
        places = ", ".join(str(at + 1) for at in twice[:10])
        raise TABLE_REFUSED(f"Columns have a name that an earlier column has: number {places}.")
    variables = {_fold(variable.name): variable for variable in form.variables}
    columns = {at: variables[name] for at, name in enumerate(names) if name in variables}
    columns.pop(keys[0], None)
    if not columns:
        raise TABLE_REFUSED(
            f"No column of the table is a variable of the e-form “{form.title}”, "
            f"version {form.version}."
        )
    ignored = (
        Problem(1, _printable(name), "the form has no such variable: the column was not read.")
        for at, name in enumerate(reader.header)
        if at not in columns and at != keys[0]
    )
    return Layout(
        keys[0], _printable(reader.header[keys[0]]), len(names), columns, reader.delimiter != ",",
        tuple(ignored),
    )  # fmt: skip


def read_statement(
    row: Row, layout: Layout, name_of: Callable[[str], Named]
) -> Statement | list[Problem]:
    """Return what a row says, or everything that is wrong with it."""
    if row.problem:
        return [Problem(row.line, "", row.problem)]
    if len(row.cells) != layout.width:
        text = f"the row has {len(row.cells)} cells, the header has {layout.width}."
        return [Problem(row.line, "", text)]
    key = row.cells[layout.key].strip()
    if not key or len(key) > _MAX_KEY or not key.isprintable():
        text = f"the subject's identifier has 1 to {_MAX_KEY} printable characters."
        return [Problem(row.line, layout.key_name, text)]
    named = name_of(key)
    cells: dict[str, Value | None] = {}
    problems: list[Problem] = []
    for at, variable in layout.columns.items():
        text = row.cells[at].strip()
        try:
            cells[variable.name] = (
                None
                if is_missing(text, variable)
                else convert(
                    text, variable, decimal_comma=layout.decimal_comma, day_shift=named.day_shift
                )
            )
        except WrongCell as wrong:
            problems.append(Problem(row.line, variable.name, str(wrong)))
    return problems or Statement(row.line, named.subject, cells)


def merge(
    statement: Statement, form: Form, before: Record | None
) -> Mapping[str, Value] | list[Problem]:
    """Return the record's values after a statement, or what is wrong with the whole.

    The table's columns replace the values (an empty cell removes one); what other columns said
    before stays, as far as the present form has the variable and takes the value.
    """
    kept = dict(before.values) if before is not None else {}
    checks = before is not None and before.form_version != form.version
    merged: dict[str, Value] = {}
    problems: list[Problem] = []
    for variable in form.variables:
        name, stated = variable.name, variable.name in statement.cells
        value = statement.cells[name] if stated else kept.get(name)
        if value is None and variable.required:
            text = "the form requires a value here."
            problems.append(Problem(statement.line, name, text))
        elif value is not None and checks and not stated and not _takes(variable, value):
            text = (
                f"the value stored earlier does not fit version {form.version} of the form: "
                "give this column in the table."
            )
            problems.append(Problem(statement.line, name, text))
        elif value is not None:
            merged[name] = value
    return problems or merged


def _takes(variable: Variable, value: Value) -> bool:
    return Draft202012Validator(dict(variable.schema)).is_valid(value)


def _fold(name: str) -> str:
    return "_".join(name.casefold().replace("-", " ").replace("_", " ").split())


def _printable(name: str) -> str:
    return "".join(c for c in name if c.isprintable())[:_SHOWN]

"""E-forms and their variables, records of subjects, and what loading a table reports."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from albufera.kernel.errors import define

VARIABLE_NAME = re.compile(r"^[A-Za-z][A-Za-z0-9_]{0,63}\Z")
MAX_FORM_BYTES = 256 * 1024
MAX_VARIABLES = 500
MAX_CHOICES = 1000
MAX_TEXT = 500
"""Most characters of one value (and of one allowed value): it must fit a database index."""

MAX_REPORTED = 1000
"""Most problems of each sort that a report lists; further ones are only counted."""

Value = str | int | float | bool
"""One value of one variable; a date is its ISO 8601 text."""

FORM_NOT_FOUND = define(
    "form-not-found",
    404,
    "The project has no e-form, or none of that version.",
    "A steward defines it with `albufera clinical form FILE --project P`.",
)
FORM_REFUSED = define(
    "form-refused",
    422,
    "The e-form is not one that this node takes.",
    "Correct what `errors` names. An e-form is a JSON Schema (2020-12) of one flat object of "
    "strings, numbers, integers, booleans and dates.",
)
TABLE_REFUSED = define(
    "table-refused",
    422,
    "The file cannot be read as a clinical table.",
    "Send a CSV file in UTF-8 with a header line, one line per subject and a column `subject` or "
    "`patient_id`.",
)


_FORMULA = re.compile(r"[=@\t\r]|[+-].*[^-+0-9.,%eE /]", re.DOTALL)


def is_formula(text: str) -> bool:
    """Tell whether a spreadsheet might run a text instead of showing it (CSV injection).

    Such texts are kept out on the way in, so that every table handed on shows what was stored;
    signs and signed numbers (a receptor status of “+”, “-1”) are no formulas.
    """
    return _FORMULA.match(text) is not None


class VariableType(StrEnum):
    """What the values of a variable are."""

    STRING = "string"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    DATE = "date"


class DateRule(StrEnum):
    """What happens to a date on its way in: nothing keeps a real date."""

    SHIFT = "shift"
    SHIFTED_ALREADY = "shifted-already"


@dataclass(frozen=True)
class Coding:
    """A code of a terminology, such as SNOMED CT 254637007 (a FHIR `Coding`)."""

    system: str
    code: str
    display: str = ""


@dataclass(frozen=True)
class Choice:
    """An allowed value of a variable, with its title and its code."""

    value: Value
    title: str
    coding: Coding | None = None


@dataclass(frozen=True)
class Variable:
    """A variable of an e-form: its meaning, unit and code, and the values it may take.

    `schema` is its own part of the JSON Schema; `role` tells what others may make of it
    (`diagnosis`).
    """

    name: str
    type: VariableType
    title: str
    description: str
    unit: str
    coding: Coding | None
    choices: tuple[Choice, ...]
    date_rule: DateRule
    role: str
    required: bool
    schema: Mapping[str, Any] = field(repr=False)

    @property
    def unit_words(self) -> str:
        """The unit for people: a UCUM annotation such as `{pack-years}` without its braces."""
        return self.unit.strip("{}")


@dataclass(frozen=True)
class Form:
    """A version of a project's e-form. `created_at` is None for one that is not stored."""

    version: int
    title: str
    description: str
    variables: tuple[Variable, ...]
    schema: Mapping[str, Any] = field(repr=False)
    digest: str
    created_at: datetime | None = None

    def variable(self, name: str) -> Variable | None:
        """Return a variable by its name."""
        return next((item for item in self.variables if item.name == name), None)

    def with_role(self, role: str) -> Variable | None:
        """Return the variable that has a role, such as `diagnosis`."""
        return next((item for item in self.variables if item.role == role), None)


@dataclass(frozen=True)
class Record:
    """The clinical record of one subject, by the version of the form that validated it."""

    subject: str
    form_version: int
    values: Mapping[str, Value]
    digest: str
    updated_at: datetime


@dataclass(frozen=True)
class Problem:
    """What is wrong at a place of a table: the line, the column, and what would be right.

    Never says what stood there: a value in a wrong column may be a name.
    """

    row: int | None
    column: str
    message: str


@dataclass(frozen=True)
class LoadReport:
    """What became of a table. `rows` = new + updated + unchanged + rejected.

    `errors` and `warnings` list the first 1,000 problems; the totals count them all.
    """

    form_version: int
    file_digest: str
    rows: int
    new: int
    updated: int
    unchanged: int
    rejected: int
    unknown_subjects: int
    errors: tuple[Problem, ...]
    error_count: int
    warnings: tuple[Problem, ...]
    warning_count: int
    complete: bool


@dataclass(frozen=True)
class Completeness:
    """For how many of a project's records a variable has a value."""

    variable: str
    title: str
    filled: int
    records: int

"""Converting the text of a cell to the value of a variable, or saying what would be right.

No message repeats what stood in the cell: in a wrong column it may be somebody's name.
"""

import difflib
import math
import re
from collections.abc import Callable
from datetime import date, timedelta

from albufera.clinical.model import (
    MAX_TEXT,
    DateRule,
    Value,
    Variable,
    VariableType,
    is_formula,
)
from albufera.kernel.canonical import MAX_INTEGER

MISSING = frozenset({"", "na", "n/a", "nan", "null"})
"""What spreadsheets and statistics programs write for *no value* (unless the form lists it)."""

_TRUE = frozenset({"true", "t", "yes", "y", "1"})
_FALSE = frozenset({"false", "f", "no", "n", "0"})
_NUMBER = re.compile(r"^[+-]?(\d{1,30}(\.\d{0,30})?|\.\d{1,30})([eE][+-]?\d{1,3})?$", re.ASCII)
_COMMA = re.compile(r"^([+-]?)(\d{1,30}),(\d{1,30})$", re.ASCII)
_DATE = re.compile(r"^(\d{4})(-?)(\d{2})\2(\d{2})$", re.ASCII)
_THOUSANDS = 3
_NAMED_CHOICES = 12


class WrongCell(Exception):
    """A cell that is not a value of its variable; the text says what would be right."""


def is_missing(text: str, variable: Variable) -> bool:
    """Tell whether a stripped cell stands for *no value*."""
    listed = {str(choice.value).casefold() for choice in variable.choices}
    return text.casefold() in MISSING - listed


def convert(text: str, variable: Variable, *, decimal_comma: bool, day_shift: int | None) -> Value:
    """Return the value that a stripped, not missing cell has. Raises `WrongCell`.

    `day_shift` is the subject's shift in days, None when it is not known because the row names
    the subject by the pseudonym.
    """
    if len(text) > MAX_TEXT or not text.isprintable():
        raise WrongCell(f"a value has at most {MAX_TEXT} printable characters.")
    if variable.type is VariableType.DATE:
        return _to_date(text, variable, day_shift)
    if variable.type in (VariableType.INTEGER, VariableType.NUMBER):
        text = _point(text) if decimal_comma else text
    value = _CONVERTERS[variable.type](text, variable)
    if variable.choices:
        return _listed(value, variable)
    _check_bounds(value, variable)
    return value


def _to_string(text: str, variable: Variable) -> Value:
    if not variable.choices and is_formula(text):
        raise WrongCell("a text that a spreadsheet may run as a formula (=, +, -, @) is not taken.")
    return text


def _to_boolean(text: str, _variable: Variable) -> Value:
    if text.casefold() in _TRUE | _FALSE:
        return text.casefold() in _TRUE
    raise WrongCell("write true or false (yes and no, 1 and 0 are understood).")


def _to_number(text: str, variable: Variable) -> Value:
    if not _NUMBER.match(text):
        raise WrongCell(f"write a number with a decimal point{_of_unit(variable)}.")
    value = float(text)
    if not math.isfinite(value) or abs(value) > MAX_INTEGER:
        raise WrongCell("the number is too large.")
    return value


def _to_integer(text: str, variable: Variable) -> Value:
    value = _to_number(text, variable) if _NUMBER.match(text) else None
    if not isinstance(value, float) or not value.is_integer():
        raise WrongCell(f"write a whole number{_of_unit(variable)}.")
    return int(value)


_CONVERTERS: dict[VariableType, Callable[[str, Variable], Value]] = {
    VariableType.STRING: _to_string,
    VariableType.BOOLEAN: _to_boolean,
    VariableType.NUMBER: _to_number,
    VariableType.INTEGER: _to_integer,
}


def _to_date(text: str, variable: Variable, day_shift: int | None) -> Value:
    match = _DATE.match(text)
    try:
        if match is None:
            raise ValueError
        day = date(int(match[1]), int(match[3]), int(match[4]))
    except ValueError:
        raise WrongCell("write a date as YYYY-MM-DD, for example 2021-03-31.") from None
    if variable.date_rule is DateRule.SHIFTED_ALREADY:
        return day.isoformat()
    if day_shift is None:
        raise WrongCell(
            "a date cannot be shifted like the subject's images when the row names the subject by "
            "the pseudonym: use the original identifier, or declare the variable "
            "`x-date: shifted-already`."
        )
    try:
        return (day + timedelta(days=day_shift)).isoformat()
    except OverflowError:
        raise WrongCell("the date is outside the calendar.") from None


def _listed(value: Value, variable: Variable) -> Value:
    for choice in variable.choices:
        if choice.value == value:
            return choice.value
    folded = str(value).casefold()
    by_text = {
        text.casefold(): choice.value
        for choice in variable.choices
        for text in (choice.title, str(choice.value))
    }
    if folded in by_text:
        return by_text[folded]
    raise WrongCell(_advice(folded, variable))


def _advice(folded: str, variable: Variable) -> str:
    words = {str(choice.value).casefold(): str(choice.value) for choice in variable.choices}
    near = difflib.get_close_matches(folded, words, n=1, cutoff=0.8) if len(words) <= 100 else []  # noqa: PLR2004 - suggestions are for short lists
    named = ", ".join(list(words.values())[:_NAMED_CHOICES])
    more = "" if len(words) <= _NAMED_CHOICES else f" and {len(words) - _NAMED_CHOICES} more"
    guess = f" Perhaps {words[near[0]]}?" if near else ""
    return f"the form allows: {named}{more}.{guess}"


def _check_bounds(value: Value, variable: Variable) -> None:
    """Apply the keywords of JSON Schema Validation §6.2 (numbers) and §6.3 (strings)."""
    schema = variable.schema
    if isinstance(value, str):
        shortest, longest = schema.get("minLength", 0), schema.get("maxLength", MAX_TEXT)
        if not shortest <= len(value) <= longest:
            raise WrongCell(f"the text has {shortest} to {longest} characters.")
        return
    if isinstance(value, bool):
        return
    unit = f" {variable.unit_words}" if variable.unit else ""
    wrong: dict[str, Callable[[float], bool]] = {
        "minimum": lambda bound: value < bound,
        "maximum": lambda bound: value > bound,
        "exclusiveMinimum": lambda bound: value <= bound,
        "exclusiveMaximum": lambda bound: value >= bound,
        "multipleOf": lambda bound: not _is_multiple(float(value), float(bound)),
    }
    for keyword, fails in wrong.items():
        if keyword in schema and fails(schema[keyword]):
            raise WrongCell(f"the value must be {_BOUND_WORDS[keyword]} {schema[keyword]}{unit}.")


_BOUND_WORDS = {
    "minimum": "at least",
    "maximum": "at most",
    "exclusiveMinimum": "more than",
    "exclusiveMaximum": "less than",
    "multipleOf": "a multiple of",
}


def _is_multiple(value: float, step: float) -> bool:
    """Whether it is one up to the precision of a double: 0.3 is a multiple of 0.1."""
    quotient = value / step
    if not math.isfinite(quotient):
        return False
    nearest = round(quotient) * step
    return math.isclose(value, nearest, rel_tol=1e-9, abs_tol=1e-12)


def _point(text: str) -> str:
    """Write a decimal comma as a point; refuse one that may stand between thousands."""
    match = _COMMA.match(text)
    if match is None:
        return text
    if len(match[3]) == _THOUSANDS and match[2].lstrip("0") and len(match[2]) <= _THOUSANDS:
        raise WrongCell("the comma may mean thousands or decimals: write a decimal point.")
    return f"{match[1]}{match[2]}.{match[3]}"


def _of_unit(variable: Variable) -> str:
    return f" in {variable.unit_words}" if variable.unit else ""

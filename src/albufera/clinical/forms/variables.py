"""Reading one variable of an e-form from its part of the JSON Schema."""

from collections.abc import Iterator, Mapping
from typing import Any

from albufera.clinical.model import (
    MAX_CHOICES,
    MAX_TEXT,
    Choice,
    Coding,
    DateRule,
    Value,
    Variable,
    VariableType,
    is_formula,
)
from albufera.kernel.canonical import MAX_INTEGER

_ANNOTATIONS = frozenset({"type", "title", "description", "unit", "x-code", "x-values", "x-role"})
_KEYWORDS = {
    "string": {"enum", "minLength", "maxLength", "format", "x-free-text", "x-date"},
    "integer": {"enum", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"},
    "number": {"enum", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"},
    "boolean": set[str](),
}
_WHY_NOT = {
    "pattern": "list the allowed values with `enum`, or use `x-free-text`",
    "$ref": "references are never followed",
    "$dynamicRef": "references are never followed",
    "properties": "variables are not nested",
    "items": "a variable has one value",
}
ROLES = ("diagnosis",)


def read_variable(
    name: str, schema: Any, *, required: bool
) -> tuple[Variable | None, tuple[str, ...]]:
    """Return the variable, or None and every reason why it is not one."""
    if not isinstance(schema, dict):
        return None, ("must be an object.",)
    problems = tuple(_problems(schema))
    if problems:
        return None, problems
    is_date = schema.get("format") == "date"
    titled = _titles_of_values(schema)
    variable = Variable(
        name=name,
        type=VariableType.DATE if is_date else VariableType(schema["type"]),
        title=schema["title"],
        description=schema.get("description", ""),
        unit=schema.get("unit", ""),
        coding=_coding(schema.get("x-code")),
        choices=tuple(
            _choice(value, titled.get(_key(value), {})) for value in schema.get("enum", ())
        ),
        date_rule=DateRule(schema.get("x-date", DateRule.SHIFT.value)),
        role=schema.get("x-role", ""),
        required=required,
        schema=schema,
    )
    return variable, ()


def _problems(schema: Mapping[str, Any]) -> Iterator[str]:
    kind = schema.get("type")
    if not isinstance(kind, str) or kind not in _KEYWORDS:
        yield "`type` must be one of string, integer, number, boolean (an empty cell is no value)."
        return
    for keyword in sorted(set(schema) - _ANNOTATIONS - _KEYWORDS[kind]):
        why = _WHY_NOT.get(keyword, f"not supported for the type {kind}")
        yield f"the keyword “{keyword[:64]}” is refused: {why}."
    for keyword in ("title", "description", "unit", "x-role"):
        if keyword in schema and not _is_text(schema[keyword]):
            yield f"`{keyword}` must be a text of at most {MAX_TEXT} characters."
    if not schema.get("title"):
        yield "a `title` for people is needed."
    if "x-role" in schema and schema["x-role"] not in ROLES:
        yield f"`x-role` is one of {', '.join(sorted(ROLES))}."
    if "x-code" in schema and _coding(schema["x-code"]) is None:
        yield "`x-code` is an object of `system`, `code` and, if you like, `display`."
    yield from _problems_of_values(schema)
    if kind == "string":
        yield from _problems_of_string(schema)


def _problems_of_values(schema: Mapping[str, Any]) -> Iterator[str]:
    if "enum" in schema:
        values = schema["enum"]
        if not isinstance(values, list) or not 1 <= len(values) <= MAX_CHOICES:
            yield f"`enum` lists 1 to {MAX_CHOICES} values."
            return
        fits = [_fits(value, schema["type"]) for value in values]
        if not all(fits) or len({str(value).casefold() for value in values}) != len(values):
            yield f"`enum` lists different values of the type {schema['type']}, none empty."
            return
        if any(isinstance(value, str) and is_formula(value) for value in values):
            yield "`enum` holds a text that a spreadsheet may run as a formula (=, +, -, @)."
    titled = schema.get("x-values", {})
    if not isinstance(titled, dict) or not all(isinstance(part, dict) for part in titled.values()):
        yield "`x-values` is an object: value → {title, code}."
        return
    known = {_key(value) for value in schema.get("enum", ())}
    for value, part in titled.items():
        if value not in known:
            yield f"`x-values` speaks of “{value[:64]}”, which `enum` does not list."
        if set(part) - {"title", "code"} or not _is_text(part.get("title", "")):
            yield f"`x-values` of “{value[:64]}” holds `title` and `code` alone."
        if "code" in part and _coding(part["code"]) is None:
            yield f"the `code` of “{value[:64]}” is an object of `system` and `code`."


def _problems_of_string(schema: Mapping[str, Any]) -> Iterator[str]:
    is_date = "format" in schema
    if is_date and schema["format"] != "date":
        yield "`format` is “date” or left out."
    if is_date and "enum" in schema:
        yield "a date has no `enum`."
    if "x-date" in schema and (not is_date or schema["x-date"] not in tuple(DateRule)):
        yield "`x-date` is for dates: “shift” (the default) or “shifted-already”."
    longest = schema.get("maxLength", MAX_TEXT)
    if not isinstance(longest, int) or longest > MAX_TEXT:
        yield f"`maxLength` is at most {MAX_TEXT}."
    reviewed = schema.get("x-free-text")
    if reviewed not in (None, "reviewed"):
        yield "`x-free-text` is “reviewed” or left out."
    if not is_date and "enum" not in schema and reviewed != "reviewed":
        yield (
            "free text may carry names: list the values with `enum`, or, when somebody reviews "
            "every table before it is loaded, say `x-free-text: reviewed`."
        )


def _fits(value: Any, kind: str) -> bool:
    if kind == "string":
        return _is_text(value) and bool(value) and value == value.strip() and value.isprintable()
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) <= MAX_INTEGER and (kind == "number" or isinstance(value, int))


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= MAX_TEXT


def _coding(part: Any) -> Coding | None:
    allowed = {"system", "code", "display"}
    if not isinstance(part, dict) or not {"system", "code"} <= set(part) <= allowed:
        return None
    if not all(_is_text(text) and text for text in part.values()):
        return None
    return Coding(part["system"], part["code"], part.get("display", ""))


def _titles_of_values(schema: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    found: Mapping[str, Mapping[str, Any]] = schema.get("x-values", {})
    return found


def _choice(value: Value, titled: Mapping[str, Any]) -> Choice:
    return Choice(value, titled.get("title") or str(value), _coding(titled.get("code")))


def _key(value: Value) -> str:
    return str(value)

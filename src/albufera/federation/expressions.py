"""Questions as JSON expressions: what a user of a hub may ask of every node.

`{"operand": "AND" | "OR" | "NOT", "children": […]}` or `{"key": …, "type": …, "value": …}`. Only
coarse concepts can be asked for: none that names a person, a study or a file, and no free text.
"""

from collections.abc import Mapping
from typing import Any

from albufera.kernel.canonical import digest
from albufera.kernel.errors import define

MAX_DEPTH = 6
MAX_CONDITIONS = 30
MAX_LIST = 50
MAX_TEXT = 100
MAX_NUMBER = 100_000

TEXTS = ("modality", "body_part", "sex", "diagnosis", "manufacturer")
NUMBERS = ("age", "year", "slice_thickness")
ASKABLE = TEXTS + NUMBERS
"""The concepts that a question may speak of."""

_OF_TEXTS = frozenset({"EQUALS", "NOT_EQUALS", "IN", "CONTAINS"})
_OF_NUMBERS = frozenset(
    {
        "EQUALS", "NOT_EQUALS", "IN", "BETWEEN",
        "LOWER_THAN", "AT_MOST", "GREATER_THAN", "AT_LEAST",
    }
)  # fmt: skip
_SIGNS = {
    "EQUALS": "=", "NOT_EQUALS": "≠", "CONTAINS": "contains", "LOWER_THAN": "<", "AT_MOST": "≤",
    "GREATER_THAN": ">", "AT_LEAST": "≥",
}  # fmt: skip

BAD_QUESTION = define(
    "bad-question",
    422,
    "The question cannot be asked.",
    "The message says what was expected; the hub's page of questions lists what can be asked for.",
)

Expression = dict[str, Any]


def check_expression(document: object) -> Expression:
    """Return the expression, holding nothing but what was understood. Raises `bad-question`."""
    budget = [MAX_CONDITIONS]
    return _check(document, 1, budget)


def expression_digest(expression: Expression) -> str:
    """SHA-256 of the canonical JSON: names a question without telling it."""
    return digest(expression)


def sentence(expression: Expression) -> str:
    """Write a checked expression for people."""
    if "operand" not in expression:
        return _condition_words(expression)
    parts = [sentence(child) for child in expression["children"]]
    if expression["operand"] == "NOT":
        return f"not ({parts[0]})"
    if not parts:
        return "everything that is published"
    joined = f" {expression['operand'].lower()} ".join(
        f"({part})" if " or " in part or " and " in part else part for part in parts
    )
    return joined


def _check(document: object, depth: int, budget: list[int]) -> Expression:
    if depth > MAX_DEPTH:
        raise BAD_QUESTION(f"The question is nested deeper than {MAX_DEPTH} levels.")
    budget[0] -= 1
    if budget[0] < 0:
        raise BAD_QUESTION(f"The question has more than {MAX_CONDITIONS} parts.")
    if not isinstance(document, Mapping):
        raise BAD_QUESTION("A question is an object with “operand” and “children”, or with “key”.")
    if "operand" in document:
        return _check_group(document, depth, budget)
    if set(document) != {"key", "type", "value"}:
        raise BAD_QUESTION("A condition has “key”, “type” and “value”, and nothing else.")
    return _check_condition(document)


def _check_group(document: Mapping[Any, Any], depth: int, budget: list[int]) -> Expression:
    operand, children = document["operand"], document.get("children")
    if set(document) != {"operand", "children"} or not isinstance(children, list):
        raise BAD_QUESTION("A group has “operand” and a list of “children”, and nothing else.")
    if operand not in ("AND", "OR", "NOT"):
        raise BAD_QUESTION("“operand” is AND, OR or NOT.")
    if operand == "NOT" and len(children) != 1:
        raise BAD_QUESTION("NOT has exactly one child.")
    if operand == "OR" and not children:
        raise BAD_QUESTION("OR of nothing would select nothing: name a condition.")
    checked = [_check(child, depth + 1, budget) for child in children]
    return {"operand": operand, "children": checked}


def _check_condition(document: Mapping[Any, Any]) -> Expression:
    key, kind, value = document["key"], document["type"], document["value"]
    if not isinstance(key, str) or key not in ASKABLE:
        raise BAD_QUESTION(f"Questions may speak of: {', '.join(ASKABLE)}.")
    allowed = _OF_NUMBERS if key in NUMBERS else _OF_TEXTS
    if not isinstance(kind, str) or kind not in allowed:
        raise BAD_QUESTION(f"“{key}” is compared by: {', '.join(sorted(allowed))}.")
    return {"key": key, "type": kind, "value": _check_value(key, kind, value)}


def _check_value(key: str, kind: str, value: object) -> Any:
    if kind == "BETWEEN":
        if not isinstance(value, Mapping) or set(value) != {"min", "max"}:
            raise BAD_QUESTION("A range has “min” and “max”.")
        return {"min": _scalar(key, value["min"]), "max": _scalar(key, value["max"])}
    if kind == "IN":
        if not isinstance(value, list) or not 0 < len(value) <= MAX_LIST:
            raise BAD_QUESTION(f"“{key}” IN takes a list of 1 to {MAX_LIST} values.")
        return [_scalar(key, item) for item in value]
    return _scalar(key, value)


def _scalar(key: str, value: object) -> str | int | float:
    if key in NUMBERS:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise BAD_QUESTION(f"“{key}” is compared with a number.")
        if not -MAX_NUMBER <= value <= MAX_NUMBER:  # also refuses NaN
            raise BAD_QUESTION(f"The number compared with “{key}” is out of all bounds.")
        return value
    if not isinstance(value, str) or not value.strip():
        raise BAD_QUESTION(f"“{key}” is compared with a text.")
    if len(value) > MAX_TEXT or not value.isprintable():
        raise BAD_QUESTION(f"A text in a question has at most {MAX_TEXT} printable characters.")
    return value


def _condition_words(condition: Expression) -> str:
    name, kind, value = condition["key"].replace("_", " "), condition["type"], condition["value"]
    if kind == "BETWEEN":
        return f"{name} {value['min']}–{value['max']}"
    if kind == "IN":
        return f"{name} in {', '.join(str(item) for item in value)}"
    return f"{name} {_SIGNS[kind]} {value}"

"""Filters as expressions: what the text, the JSON and the SQL have in common.

The JSON form is the one that the federation speaks: `{"operand": "AND", "children": […]}` and
`{"key": "age", "type": "AT_LEAST", "value": 50}`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from albufera.catalogue.query.concepts import CONCEPTS, Concept
from albufera.kernel.errors import define

MAX_TEXT = 20_000
"""Longest filter text, in characters."""
MAX_DEPTH = 16
MAX_NODES = 500
MAX_VALUES = 2_000
"""Most values in all lists of one filter."""
MAX_VALUE = 300
MAX_MAGNITUDE = 1_000_000_000

BAD_FILTER = define(
    "bad-filter",
    422,
    "The filter cannot be understood.",
    "The message says where and what was expected; docs/filters.md describes the language.",
)

Number = int | float
Scalar = str | int | float


class Operand(StrEnum):
    """How an expression joins its children. AND of nothing is true: it selects everything."""

    AND = "AND"
    OR = "OR"
    NOT = "NOT"


class Comparison(StrEnum):
    """How a condition compares. A missing value fulfils none of them but NOT_EQUALS."""

    EQUALS = "EQUALS"
    NOT_EQUALS = "NOT_EQUALS"
    IN = "IN"
    CONTAINS = "CONTAINS"
    LOWER_THAN = "LOWER_THAN"
    AT_MOST = "AT_MOST"
    GREATER_THAN = "GREATER_THAN"
    AT_LEAST = "AT_LEAST"
    BETWEEN = "BETWEEN"


ORDERED = frozenset(
    {Comparison.LOWER_THAN, Comparison.AT_MOST, Comparison.GREATER_THAN, Comparison.AT_LEAST}
)


@dataclass(frozen=True)
class Condition:
    """A comparison of one concept. `value` is a scalar, a tuple (IN), or (low, high) (BETWEEN)."""

    key: str
    type: Comparison
    value: Scalar | tuple[Scalar, ...]


@dataclass(frozen=True)
class Group:
    """Conditions joined by AND (any number), OR (two and more) or NOT (exactly one)."""

    operand: Operand
    children: tuple["Expression", ...]


Expression = Condition | Group

EVERYTHING = Group(Operand.AND, ())
"""The filter that selects every series; its text is `all`."""


def join(operand: Operand, children: Sequence[Expression]) -> Expression:
    """Join by AND or OR; a single child stands for itself."""
    return children[0] if len(children) == 1 else Group(operand, tuple(children))


def checked(expression: Expression) -> Expression:
    """Return the expression. Raises `bad-filter` when it is too deep, too large or ill-typed."""
    values = 0
    for nodes, (depth, node) in enumerate(_walk(expression, 1), 1):
        if depth > MAX_DEPTH:
            raise BAD_FILTER(f"The filter is nested deeper than {MAX_DEPTH} levels.")
        if nodes > MAX_NODES:
            raise BAD_FILTER(f"The filter has more than {MAX_NODES} conditions.")
        if isinstance(node, Condition):
            values += len(node.value) if isinstance(node.value, tuple) else 1
            if values > MAX_VALUES:
                raise BAD_FILTER(
                    f"The filter lists more than {MAX_VALUES} values; name the studies in a file."
                )
            check_condition(node)
    return expression


def check_condition(condition: Condition) -> None:
    """Raise `bad-filter` unless the concept is known and takes this comparison of this value."""
    concept = CONCEPTS.get(condition.key)
    if concept is None:
        known = ", ".join(CONCEPTS)
        raise BAD_FILTER(f"“{condition.key[:40]}” is not something to filter by. Use: {known}.")
    if condition.type in ORDERED and not concept.is_number:
        raise BAD_FILTER(f"“{concept.key}” has no order: use =, !=, in or ~ with it.")
    if condition.type is Comparison.CONTAINS and concept.is_number:
        raise BAD_FILTER(f"“{concept.key}” is a number: ~ is for texts.")
    value = condition.value
    if condition.type is Comparison.BETWEEN:
        if not isinstance(value, tuple) or len(value) != 2 or not concept.is_number:  # noqa: PLR2004
            raise BAD_FILTER(f"“{concept.key} between” takes two numbers, of a concept with order.")
    elif (condition.type is Comparison.IN) != isinstance(value, tuple) or value == ():
        raise BAD_FILTER(f"“{concept.key}” is compared with one value, or by “in” with several.")
    for item in value if isinstance(value, tuple) else (value,):
        _check_scalar(concept, item)


def from_json(document: object) -> Expression:
    """Read the JSON form. Raises `bad-filter`."""
    return checked(_read(document, 1))


def to_json(expression: Expression) -> dict[str, Any]:
    """Write the JSON form."""
    if isinstance(expression, Group):
        children = [to_json(child) for child in expression.children]
        return {"operand": expression.operand.value, "children": children}
    value: Any = expression.value
    if expression.type is Comparison.BETWEEN and isinstance(value, tuple):
        value = {"min": value[0], "max": value[1]}
    elif isinstance(value, tuple):
        value = list(value)
    return {"key": expression.key, "type": expression.type.value, "value": value}


def keys_of(expression: Expression) -> frozenset[str]:
    """Return the concepts that an expression speaks of."""
    return frozenset(node.key for _, node in _walk(expression, 1) if isinstance(node, Condition))


def _walk(expression: Expression, depth: int) -> Iterator[tuple[int, Expression]]:
    yield depth, expression
    if isinstance(expression, Group):
        for child in expression.children:
            yield from _walk(child, depth + 1)


def _check_scalar(concept: Concept, value: Scalar) -> None:
    if concept.is_number:
        if isinstance(value, str | bool):
            raise BAD_FILTER(f"“{concept.key}” is a number: “{value!s:.40}” is none.")
        if not -MAX_MAGNITUDE <= value <= MAX_MAGNITUDE:  # also refuses NaN
            raise BAD_FILTER(f"The number compared with “{concept.key}” is out of all bounds.")
    elif not isinstance(value, str):
        raise BAD_FILTER(f"“{concept.key}” is compared with a text.")
    elif len(value) > MAX_VALUE or not value.isprintable():
        raise BAD_FILTER(
            f"The text compared with “{concept.key}” is longer than {MAX_VALUE} characters or "
            "holds characters that are not text."
        )


def _read(document: object, depth: int) -> Expression:
    if depth > MAX_DEPTH:
        raise BAD_FILTER(f"The filter is nested deeper than {MAX_DEPTH} levels.")
    if not isinstance(document, Mapping):
        raise BAD_FILTER("A filter is an object with “operand” and “children”, or with “key”.")
    if "operand" in document:
        return _read_group(document, depth)
    key, kind = document.get("key"), document.get("type")
    known = isinstance(kind, str) and kind in set(Comparison)
    if not isinstance(key, str) or not known or "value" not in document:
        raise BAD_FILTER(
            f"A condition has “key”, “value”, and a “type” of: {', '.join(Comparison)}."
        )
    return Condition(key, Comparison(str(kind)), _read_value(document["value"]))


def _read_group(document: Mapping[Any, Any], depth: int) -> Expression:
    operand, children = document["operand"], document.get("children")
    known = isinstance(operand, str) and operand in set(Operand)
    if not known or not isinstance(children, list):
        raise BAD_FILTER(f"“operand” is one of {', '.join(Operand)}, “children” is a list.")
    if len(children) > MAX_NODES:
        raise BAD_FILTER(f"The filter has more than {MAX_NODES} conditions.")
    read = [_read(child, depth + 1) for child in children]
    if operand == Operand.NOT:
        if len(read) != 1:
            raise BAD_FILTER("NOT has exactly one child.")
        return Group(Operand.NOT, tuple(read))
    if operand == Operand.OR and not read:
        raise BAD_FILTER("OR of nothing would select nothing: name a condition.")
    return join(Operand(operand), read)


def _read_value(value: object) -> Scalar | tuple[Scalar, ...]:
    if isinstance(value, Mapping):
        if set(value) != {"min", "max"}:
            raise BAD_FILTER("A range has “min” and “max”.")
        return (_read_scalar(value["min"]), _read_scalar(value["max"]))
    if isinstance(value, list):
        if len(value) > MAX_VALUES:
            raise BAD_FILTER(f"The filter lists more than {MAX_VALUES} values.")
        return tuple(_read_scalar(item) for item in value)
    return _read_scalar(value)


def _read_scalar(value: object) -> Scalar:
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        return value
    raise BAD_FILTER("Values are texts and numbers.")

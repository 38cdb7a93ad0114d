"""The filter language as text: read by recursive descent, and written back.

    filter    = "all" | or
    or        = and { "or" and }
    and       = not { "and" not }
    not       = "not" not | "(" or ")" | condition
    condition = key ("=" | "!=" | "<" | "<=" | ">" | ">=" | "~") value
              | key ["not"] "in" "(" value { "," value } ")"
              | key "between" value "and" value
    value     = number | word | "text" | 'text'

Keywords may be written in capitals. Inside quotes a backslash takes the next character literally.
"""

import re
from dataclasses import dataclass
from typing import NoReturn

from albufera.catalogue.query.concepts import CONCEPTS
from albufera.catalogue.query.expression import (
    BAD_FILTER,
    EVERYTHING,
    MAX_DEPTH,
    MAX_TEXT,
    Comparison,
    Condition,
    Expression,
    Group,
    Operand,
    Scalar,
    check_condition,
    checked,
    join,
)
from albufera.kernel.errors import Refusal

_OPERATORS = {
    "=": Comparison.EQUALS,
    "!=": Comparison.NOT_EQUALS,
    "<": Comparison.LOWER_THAN,
    "<=": Comparison.AT_MOST,
    ">": Comparison.GREATER_THAN,
    ">=": Comparison.AT_LEAST,
    "~": Comparison.CONTAINS,
}
_SIGNS = {comparison: sign for sign, comparison in _OPERATORS.items()}
_KEYWORDS = frozenset({"and", "or", "not", "in", "between", "all"})
_WORD = re.compile(r"[A-Za-z0-9_.+:/-]+")
_TOKEN = re.compile(
    r"""\s*(?:(?P<sign><=|>=|!=|[=<>~(),])
        |(?P<quoted>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
        |(?P<word>[A-Za-z0-9_.+:/-]+)
        |(?P<end>\Z))""",
    re.VERBOSE | re.DOTALL,
)
_NUMBER = re.compile(r"[+-]?\d{1,12}(?P<rest>\.\d{1,25})?(?P<exponent>e[+-]?\d{1,3})?", re.I)


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    place: int


def parse(text: str) -> Expression:
    """Read a filter. Raises `bad-filter` with the position and what was expected there."""
    if len(text) > MAX_TEXT:
        raise BAD_FILTER(f"The filter is longer than {MAX_TEXT} characters.")
    return checked(_Parser(text).filter())


def render(expression: Expression) -> str:
    """Write a filter so that `parse` reads the same expression back."""
    return "all" if expression == EVERYTHING else _render(expression)


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = _tokens(text)
        self.at = 0
        self.depth = 0

    def filter(self) -> Expression:
        if self._keyword("all") and self.tokens[1].kind == "end":
            return EVERYTHING
        found = self._or()
        if self._now.kind != "end":
            self._fail("“and”, “or” or the end of the filter")
        return found

    def _or(self) -> Expression:
        return self._joined(Operand.OR, "or")

    def _joined(self, operand: Operand, word: str) -> Expression:
        below = self._not if operand is Operand.AND else self._and
        children = [below()]
        while self._keyword(word):
            self.at += 1
            children.append(below())
        return join(operand, children)

    def _and(self) -> Expression:
        return self._joined(Operand.AND, "and")

    def _not(self) -> Expression:
        self.depth += 1
        if self.depth > 2 * MAX_DEPTH:
            self._fail(f"less nesting (at most {MAX_DEPTH} levels)")
        found = self._term()
        self.depth -= 1
        return found

    def _term(self) -> Expression:
        if self._keyword("not"):
            self.at += 1
            return Group(Operand.NOT, (self._not(),))
        if self._now.text == "(" and self._now.kind == "sign":
            self.at += 1
            if self._keyword("all"):
                self.at += 1
                found: Expression = EVERYTHING
            else:
                found = self._or()
            self._take(")")
            return found
        return self._condition()

    def _condition(self) -> Expression:
        token = self._now
        if token.kind != "word" or token.text.lower() in _KEYWORDS:
            self._fail("something to filter by, such as modality or age")
        if token.text.lower() not in CONCEPTS:
            self._fail(f"one of {', '.join(CONCEPTS)}")
        self.at += 1
        negated = self._keyword("not")
        if negated:
            self.at += 1
            if not self._keyword("in"):
                self._fail("“in” after “not”")
        condition = self._comparison(token.text.lower())
        try:
            check_condition(condition)
        except Refusal as refusal:
            raise BAD_FILTER(
                f"At position {token.place + 1}: {refusal.detail}", position=token.place
            ) from refusal
        return Group(Operand.NOT, (condition,)) if negated else condition

    def _comparison(self, key: str) -> Condition:
        if self._keyword("between"):
            self.at += 1
            low = self._value(key)
            if not self._keyword("and"):
                self._fail("“and” between the two ends of the range")
            self.at += 1
            return Condition(key, Comparison.BETWEEN, (low, self._value(key)))
        if self._keyword("in"):
            self.at += 1
            return Condition(key, Comparison.IN, self._values(key))
        operator = _OPERATORS.get(self._now.text) if self._now.kind == "sign" else None
        if operator is None:
            self._fail(f"one of {', '.join(_OPERATORS)}, in, between after “{key}”")
        self.at += 1
        return Condition(key, operator, self._value(key))

    def _values(self, key: str) -> tuple[Scalar, ...]:
        self._take("(")
        values = [self._value(key)]
        while self._now.kind == "sign" and self._now.text == ",":
            self.at += 1
            values.append(self._value(key))
        self._take(")")
        return tuple(values)

    def _value(self, key: str) -> Scalar:
        token = self._now
        if token.kind == "quoted":
            self.at += 1
            text = re.sub(r"\\(.)", r"\1", token.text[1:-1], flags=re.DOTALL)
        elif token.kind == "word" and token.text.lower() not in _KEYWORDS:
            self.at += 1
            text = token.text
        else:
            self._fail("a value (put a text with spaces into quotes)")
        if not CONCEPTS[key].is_number:
            return text
        number = _NUMBER.fullmatch(text)
        if number is None:
            self.at -= 1
            self._fail("a number")
        return float(text) if number["rest"] or number["exponent"] else int(text)

    @property
    def _now(self) -> _Token:
        return self.tokens[self.at]

    def _keyword(self, word: str) -> bool:
        return self._now.kind == "word" and self._now.text.lower() == word

    def _take(self, sign: str) -> None:
        if self._now.kind != "sign" or self._now.text != sign:
            self._fail(f"“{sign}”")
        self.at += 1

    def _fail(self, expected: str) -> NoReturn:
        token = self._now
        found = f"“{token.text[:30]}”" if token.text else "the end of the filter"
        raise BAD_FILTER(
            f"At position {token.place + 1}: expected {expected}, but found {found}.",
            position=token.place,
        )


def _tokens(text: str) -> list[_Token]:
    tokens: list[_Token] = []
    place = 0
    while True:
        match = _TOKEN.match(text, place)
        if match is None or match.lastgroup is None:
            start = place + len(text[place:]) - len(text[place:].lstrip())
            quote = " (a quotation mark is not closed)" if text[start] in "\"'" else ""
            raise BAD_FILTER(
                f"At position {start + 1}: “{text[start]}” has no meaning here{quote}.",
                position=start,
            )
        kind = match.lastgroup
        tokens.append(_Token(kind, match[kind], match.start(kind)))
        if kind == "end":
            return tokens
        place = match.end()


def _render(expression: Expression) -> str:
    if isinstance(expression, Condition):
        return _render_condition(expression)
    if expression.operand is Operand.NOT:
        return f"not {_inner(expression.children[0])}"
    word = f" {expression.operand.value.lower()} "
    return word.join(_inner(child) for child in expression.children)


def _inner(expression: Expression) -> str:
    if expression == EVERYTHING:
        return "(all)"
    if isinstance(expression, Group) and expression.operand is not Operand.NOT:
        return f"({_render(expression)})"
    return _render(expression)


def _render_condition(condition: Condition) -> str:
    value = condition.value
    if isinstance(value, tuple) and condition.type is Comparison.BETWEEN:
        return f"{condition.key} between {_render_value(value[0])} and {_render_value(value[1])}"
    if isinstance(value, tuple):
        return f"{condition.key} in ({', '.join(_render_value(item) for item in value)})"
    return f"{condition.key} {_SIGNS[condition.type]} {_render_value(value)}"


def _render_value(value: Scalar) -> str:
    if not isinstance(value, str):
        return repr(value)
    if _WORD.fullmatch(value) and value.lower() not in _KEYWORDS:
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'

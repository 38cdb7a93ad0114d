"""The form in which a question is put without writing JSON."""

import json
from dataclasses import dataclass

from starlette.datastructures import FormData

from albufera.entrypoints.web.environment import field
from albufera.federation.expressions import BAD_QUESTION, Expression

_MAX_JSON = 20_000


@dataclass(frozen=True)
class QuestionForm:
    """What was filled in; empty means any."""

    modality: str = ""
    body_part: str = ""
    sex: str = ""
    diagnosis: str = ""
    age_from: str = ""
    age_to: str = ""
    expression: str = ""

    def document(self) -> object:
        """Return the question, not checked yet. Raises `bad-question`."""
        if self.expression:
            return _parse(self.expression)
        children: list[Expression] = [
            {"key": key, "type": "EQUALS", "value": value}
            for key, value in (
                ("modality", self.modality),
                ("body_part", self.body_part),
                ("diagnosis", self.diagnosis),
                ("sex", self.sex),
            )
            if value
        ]
        if self.age_from:
            children.append(_age("AT_LEAST", self.age_from))
        if self.age_to:
            children.append(_age("AT_MOST", self.age_to))
        return children[0] if len(children) == 1 else {"operand": "AND", "children": children}


def read_form(form: FormData) -> QuestionForm:
    """Read what was filled in."""
    names = ("modality", "body_part", "sex", "diagnosis", "age_from", "age_to", "expression")
    return QuestionForm(**{name: field(form, name) for name in names})


def _age(kind: str, text: str) -> Expression:
    if not (text.isascii() and text.isdigit() and len(text) <= 3):  # noqa: PLR2004
        raise BAD_QUESTION("An age is a whole number of years.")
    return {"key": "age", "type": kind, "value": int(text)}


def _parse(text: str) -> object:
    if len(text) > _MAX_JSON:
        raise BAD_QUESTION(f"The expression is longer than {_MAX_JSON} characters.")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as problem:
        raise BAD_QUESTION(f"The expression is not JSON: {str(problem)[:120]}.") from None

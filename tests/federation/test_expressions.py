"""Questions: what may be asked, and nothing else."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from albufera.federation.expressions import (
    MAX_CONDITIONS,
    MAX_DEPTH,
    check_expression,
    expression_digest,
    sentence,
)
from albufera.kernel.errors import Refusal
from tests.federation.world import all_of, condition

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
CONDITIONS = st.one_of(
    st.builds(condition, st.sampled_from(["modality", "sex"]), st.sampled_from(["CT", "F"])),
    st.builds(condition, st.just("age"), st.integers(0, 120), st.just("AT_LEAST")),
    st.builds(condition, st.just("body_part"), st.just(["CHEST", "HEAD"]), st.just("IN")),
    st.builds(condition, st.just("year"), st.just({"min": 2015, "max": 2020}), st.just("BETWEEN")),
)  # fmt: skip
GROUPS = st.builds(
    lambda operand, children: {"operand": operand, "children": children},
    st.sampled_from(["AND", "OR"]),
    st.lists(CONDITIONS, min_size=1, max_size=4),
)


def outcome_of(document: Any) -> str:
    """Check a question; return the code of the refusal, if it is refused."""
    try:
        check_expression(document)
    except Refusal as refusal:
        return refusal.code
    return "accepted"


@given(CONDITIONS | GROUPS)
def test_what_is_well_formed_is_returned_as_it_came(expression: dict[str, Any]) -> None:
    assert check_expression(expression) == expression
    assert sentence(expression)
    assert expression_digest(check_expression(expression)) == expression_digest(expression)


@given(JSON)
def test_anything_else_is_refused_and_nothing_breaks(document: Any) -> None:
    assert outcome_of(document) in {"accepted", "bad-question"}


@given(st.sampled_from(["key", "type", "value", "operand", "children"]), JSON, GROUPS)
def test_a_wrong_part_is_refused_and_nothing_breaks(
    name: str, value: Any, group: dict[str, Any]
) -> None:
    group["children"][0] = {**group["children"][0], name: value}
    assert outcome_of(group) in {"accepted", "bad-question"}


@pytest.mark.parametrize("key", ["subject", "study_uid", "series", "project", "description"])
def test_nobody_and_nothing_single_can_be_asked_for(key: str) -> None:
    with pytest.raises(Refusal, match="may speak of"):
        check_expression(condition(key, "X"))


@pytest.mark.parametrize(
    "document",
    [
        {"operand": "XOR", "children": []},
        {"operand": "OR", "children": []},
        {"operand": "NOT", "children": []},
        {"operand": "AND", "children": [], "more": 1},
        {"key": "sex", "type": "EQUALS", "value": "F", "subject": "S-1"},
        condition("sex", 1),
        condition("sex", "F", "AT_LEAST"),
        condition("age", "50"),
        condition("age", True),
        condition("age", float("nan")),
        condition("age", 10**9),
        condition("age", {"min": 1}, "BETWEEN"),
        condition("modality", [], "IN"),
        condition("modality", ["CT"] * 51, "IN"),
        condition("modality", "x" * 101),
        condition("modality", "C\x00T"),
        [],
        None,
    ],
)
def test_ill_formed_questions(document: Any) -> None:
    with pytest.raises(Refusal):
        check_expression(document)


def test_depth_and_size_are_bounded() -> None:
    deep = condition("sex", "F")
    for _ in range(MAX_DEPTH):
        deep = {"operand": "NOT", "children": [deep]}
    with pytest.raises(Refusal, match="nested deeper"):
        check_expression(deep)
    with pytest.raises(Refusal, match="more than"):
        check_expression(all_of(*[condition("sex", "F")] * MAX_CONDITIONS))

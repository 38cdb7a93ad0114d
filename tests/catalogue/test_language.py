"""The filter language: what is read, what is refused and where, and that writing undoes reading."""

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from albufera.catalogue.query.concepts import CONCEPTS
from albufera.catalogue.query.expression import (
    EVERYTHING,
    MAX_DEPTH,
    Comparison,
    Condition,
    Expression,
    Group,
    Operand,
    from_json,
    to_json,
)
from albufera.catalogue.query.language import parse, render
from albufera.kernel.errors import Refusal

ORDER = (
    Comparison.LOWER_THAN,
    Comparison.AT_MOST,
    Comparison.GREATER_THAN,
    Comparison.AT_LEAST,
)
TEXTS = st.text(min_size=0, max_size=12).filter(str.isprintable) | st.sampled_from(
    ["CT", "and", "all", "a b", 'quo"te', "back\\slash", "it's", "2.25.1", "ÄÖ", "-1", "in"]
)
NUMBERS = st.integers(-(10**9), 10**9) | st.floats(-1e9, 1e9, allow_nan=False)


@st.composite
def conditions(draw: st.DrawFn) -> Condition:
    concept = draw(st.sampled_from(sorted(CONCEPTS.values(), key=lambda c: c.key)))
    values = NUMBERS if concept.is_number else TEXTS
    kinds = [Comparison.EQUALS, Comparison.NOT_EQUALS, Comparison.IN]
    kinds += [*ORDER, Comparison.BETWEEN] if concept.is_number else [Comparison.CONTAINS]
    kind = draw(st.sampled_from(kinds))
    if kind is Comparison.IN:
        return Condition(concept.key, kind, tuple(draw(st.lists(values, min_size=1, max_size=4))))
    if kind is Comparison.BETWEEN:
        return Condition(concept.key, kind, (draw(values), draw(values)))
    return Condition(concept.key, kind, draw(values))


def joined(children: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    several = st.lists(children, min_size=2, max_size=3).map(tuple)
    return (
        st.builds(Group, st.sampled_from([Operand.AND, Operand.OR]), several)
        | st.builds(lambda child: Group(Operand.NOT, (child,)), children)
        | st.just(EVERYTHING)
    )


expressions = st.recursive(conditions(), joined, max_leaves=12)


@given(expressions)
def test_writing_and_reading_give_the_same_expression(expression: Expression) -> None:
    assert parse(render(expression)) == expression


@given(expressions)
def test_json_gives_the_same_expression(expression: Expression) -> None:
    assert from_json(to_json(expression)) == expression


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(Refusal):  # and no other exception
        parse(text)


def test_the_example_of_the_documentation() -> None:
    found = parse("modality = CT and body_part in (CHEST, LUNG) and age >= 50 and not sex = M")
    assert found == Group(
        Operand.AND,
        (
            Condition("modality", Comparison.EQUALS, "CT"),
            Condition("body_part", Comparison.IN, ("CHEST", "LUNG")),
            Condition("age", Comparison.AT_LEAST, 50),
            Group(Operand.NOT, (Condition("sex", Comparison.EQUALS, "M"),)),
        ),
    )


def test_and_binds_stronger_than_or_and_not_stronger_than_and() -> None:
    found = parse("sex = F or sex = M and not age < 5")
    assert isinstance(found, Group)
    assert found.operand is Operand.OR
    assert found == parse("sex = F or (sex = M and (not (age < 5)))")


def test_not_in_is_the_negation_of_in() -> None:
    assert parse("modality not in (CT, MR)") == parse("not modality in (CT, MR)")


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("", 1, "something to filter by"),
        ("modality", 9, "one of ="),
        ("modality CT", 10, "one of ="),
        ("colour = red", 1, "modality"),
        ("age >= old", 8, "a number"),
        ("age = 5 sex = M", 9, "“and”, “or”"),
        ("modality in (CT", 16, "“)”"),
        ('description ~ "axial', 15, "not closed"),
        ("sex > M", 1, "no order"),
        ("age ~ 5", 1, "number"),
        ("modality = CT; drop", 14, "no meaning"),
        ("age between 5", 14, "“and” between"),
        ("(age = 5", 9, "“)”"),
    ],
)
def test_a_mistake_is_named_with_its_position(text: str, place: int, words: str) -> None:
    with pytest.raises(Refusal) as caught:
        parse(text)
    assert caught.value.detail.startswith(f"At position {place}:")
    assert words in caught.value.detail


@pytest.mark.parametrize(
    "text",
    [
        "(" * 5000 + "age = 5" + ")" * 5000,
        "not " * 4000 + "age = 5",
        " or ".join(["age = 5"] * 600),
        "age in (" + ",".join(["5"] * 2100) + ")",
        "age = 5 " * 4000,
        "age = 99999999999999999999",
        "age = 1e300",
    ],
)
def test_size_and_depth_are_bounded(text: str) -> None:
    with pytest.raises(Refusal) as caught:
        parse(text)
    assert caught.value.code == "bad-filter"


@pytest.mark.parametrize(
    "document",
    [
        None, 5, [], "modality = CT", {}, {"key": "modality"}, {"operand": "XOR", "children": []},
        {"operand": ["AND"], "children": []}, {"operand": "NOT", "children": []},
        {"operand": "OR", "children": []}, {"operand": "AND", "children": {"a": 1}},
        {"key": "modality", "type": ["EQUALS"], "value": "CT"},
        {"key": "modality", "type": "EQUALS", "value": None},
        {"key": "modality", "type": "EQUALS", "value": ["CT"]},
        {"key": "modality", "type": "IN", "value": []},
        {"key": "modality", "type": "EQUALS", "value": True},
        {"key": "modality", "type": "EQUALS", "value": "C\x00T"},
        {"key": "modality", "type": "EQUALS", "value": "\ud800"},
        {"key": "age", "type": "BETWEEN", "value": {"min": 1}},
        {"key": "age", "type": "BETWEEN", "value": 5},
        {"key": "age", "type": "EQUALS", "value": "5"},
        {"key": "age", "type": "EQUALS", "value": float("nan")},
        {"key": "unknown", "type": "EQUALS", "value": "x"},
    ],
)  # fmt: skip
def test_json_that_is_no_filter_is_refused(document: object) -> None:
    with pytest.raises(Refusal) as caught:
        from_json(document)
    assert caught.value.code == "bad-filter"


def test_json_is_not_followed_deeper_than_the_limit() -> None:
    document: object = {"key": "age", "type": "EQUALS", "value": 5}
    for _ in range(MAX_DEPTH + 1):
        document = {"operand": "NOT", "children": [document]}
    with pytest.raises(Refusal, match="nested deeper"):
        from_json(document)


def test_a_single_child_stands_for_itself() -> None:
    condition = {"key": "age", "type": "EQUALS", "value": 5}
    assert from_json({"operand": "AND", "children": [condition]}) == from_json(condition)


def test_the_documentation_lists_every_concept_and_comparison() -> None:
    told = (Path(__file__).parents[2] / "docs" / "filters.md").read_text(encoding="utf-8")
    for concept in CONCEPTS.values():
        assert f"| `{concept.key}` | {concept.type} | {concept.sentence} |" in told
    for comparison in Comparison:
        assert f"`{comparison.value}`" in told

"""Reading e-forms: what is taken, and that everything else is refused in words."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from albufera.clinical.forms import demonstration_form, read_form
from albufera.clinical.model import DateRule, Form, VariableType
from albufera.kernel.errors import Refusal
from tests.clinical.forms import EVERY_TYPE, as_bytes, with_variable

TEXT = {"type": "string", "title": "T", "x-free-text": "reviewed"}


def refused(content: bytes) -> Refusal:
    with pytest.raises(Refusal) as caught:
        read_form(content)
    assert caught.value.code == "form-refused"
    return caught.value


def test_every_type_is_read_in_the_order_of_the_file() -> None:
    form = read_form(as_bytes(EVERY_TYPE), version=3)
    assert form.version == 3
    assert [v.name for v in form.variables] == list(EVERY_TYPE["properties"])
    kinds = [v.type for v in form.variables]
    assert set(kinds) == set(VariableType)
    diagnosis = form.with_role("diagnosis")
    assert diagnosis is not None
    assert diagnosis.required
    assert [c.title for c in diagnosis.choices] == ["adenocarcinoma", "Carcinoid tumour"]
    assert diagnosis.coding is not None
    assert diagnosis.coding.code == "31205-8"
    seen, moved = form.variable("seen"), form.variable("moved")
    assert seen is not None
    assert moved is not None
    assert (seen.date_rule, moved.date_rule) == (DateRule.SHIFT, DateRule.SHIFTED_ALREADY)


def test_the_demonstration_form_is_an_e_form() -> None:
    form = read_form(demonstration_form())
    assert form.with_role("diagnosis") is not None
    assert {"diagnosis", "sex", "age_at_diagnosis"} == {
        v.name for v in form.variables if v.required
    }
    assert all(v.title for v in form.variables)


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        ({"type": "string", "title": "T"}, "free text may carry names"),
        ({"type": "object", "title": "T", "properties": {}}, "`type` must be one of"),
        ({"type": ["string", "null"], "title": "T"}, "`type` must be one of"),
        ({"type": "array", "title": "T"}, "`type` must be one of"),
        ({"title": "T"}, "`type` must be one of"),
        ({**TEXT, "$ref": "http://127.0.0.1:1/form"}, "references are never followed"),
        ({**TEXT, "$dynamicRef": "#x"}, "references are never followed"),
        ({**TEXT, "pattern": "(a+)+$"}, "list the allowed values"),
        ({**TEXT, "allOf": [{}]}, "“allOf” is refused"),
        ({**TEXT, "maxLength": 100_000}, "`maxLength` is at most 500"),
        ({**TEXT, "x-free-text": "yes"}, "`x-free-text` is “reviewed”"),
        ({**TEXT, "format": "email"}, "`format` is “date”"),
        ({**TEXT, "x-role": "king"}, "`x-role` is one of diagnosis"),
        ({**TEXT, "x-code": "C34"}, "`x-code` is an object"),
        ({**TEXT, "title": ""}, "a `title` for people"),
        ({**TEXT, "title": 7}, "JSON Schema"),
        ({**TEXT, "unit": 7}, "`unit` must be a text"),
        ({**TEXT, "x-date": "shift"}, "`x-date` is for dates"),
        ({"type": "string", "title": "T", "enum": []}, "`enum` lists 1 to 1000"),
        ({"type": "string", "title": "T", "enum": ["a", "A"]}, "different values"),
        ({"type": "string", "title": "T", "enum": [" a"]}, "different values"),
        ({"type": "string", "title": "T", "enum": ["a\0"]}, "different values"),
        ({"type": "string", "title": "T", "enum": ["=1+1"]}, "formula"),
        ({"type": "string", "title": "T", "enum": ["+cmd|' /C calc'!A0"]}, "formula"),
        ({"type": "integer", "title": "T", "enum": [1.5]}, "different values"),
        ({"type": "integer", "title": "T", "enum": [True]}, "different values"),
        ({"type": "string", "title": "T", "enum": ["a"], "x-values": {"b": {}}}, "does not list"),
        ({"type": "string", "title": "T", "enum": ["a"], "x-values": {"a": {"z": 1}}}, "alone"),
        ({"type": "string", "title": "T", "enum": ["a"], "x-values": [1]}, "`x-values` is an"),
        ({"type": "boolean", "title": "T", "enum": [True]}, "not supported for the type boolean"),
        ({"type": "number", "title": "T", "minimum": "0"}, "JSON Schema"),
        ({"type": "number", "title": "T", "multipleOf": 0}, "JSON Schema"),
        ("text", "JSON Schema"),
        ({**TEXT, "x-date": "shifted-already", "format": "date", "enum": ["2020-01-01"]}, "enum"),
    ],
)
def test_a_variable_that_is_not_supported_is_refused_in_words(schema: Any, says: str) -> None:
    refusal = refused(with_variable("v", schema))
    listed = refusal.facts["errors"]
    assert isinstance(listed, list)
    assert any(says in line for line in listed), listed
    assert all(line.startswith("properties.v") for line in listed)


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"$schema": "http://json-schema.org/draft-07/schema#"}, "$schema"),
        ({"$ref": "http://127.0.0.1:1/"}, "$ref"),
        ({"$defs": {}}, "$defs"),
        ({"type": "array"}, "type"),
        ({"title": " "}, "title"),
        ({"title": None}, "title"),
        ({"properties": {}}, "properties"),
        ({"properties": []}, "properties"),
        ({"additionalProperties": True}, "additionalProperties"),
        ({"required": ["absent"]}, "required"),
        ({"required": "diagnosis"}, "required"),
        ({"properties": {"subject": TEXT}}, "properties.subject"),
        ({"properties": {"Date_of_Birth": TEXT}}, "properties.Date_of_Birth"),
        ({"properties": {"a b": TEXT}}, "properties.a b"),
        ({"properties": {"": TEXT}}, "properties."),
        ({"properties": {"a": TEXT, "A": TEXT}}, "properties"),
        ({"properties": {f"v{n}": TEXT for n in range(501)}}, "properties"),
    ],
)
def test_a_form_that_is_not_supported_names_the_place(change: dict[str, Any], place: str) -> None:
    refusal = refused(as_bytes({**EVERY_TYPE, "required": [], **change}))
    listed = refusal.facts["errors"]
    assert isinstance(listed, list)
    assert any(line.startswith(f"{place}:") for line in listed), listed


def test_signs_and_signed_numbers_are_no_formulas() -> None:
    values = ["+", "-", "++", "+1", "-1.5", "+/-", "<5", "T1 (+)"]
    form = read_form(with_variable("v", {"type": "string", "title": "T", "enum": values}))
    assert [choice.value for choice in form.variables[0].choices] == values


def test_only_one_variable_is_the_diagnosis() -> None:
    two = {name: {**TEXT, "x-role": "diagnosis"} for name in ("a", "b")}
    assert (
        "only one variable"
        in refused(as_bytes({**EVERY_TYPE, "required": [], "properties": two})).detail
    )


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"null", b"{", b"\xff", b'{"a":1,"a":1}', b"[" * 100_000, b'{"title": NaN}',
     b" " * 300_000],
)  # fmt: skip
def test_what_is_no_json_object_is_refused(content: bytes) -> None:
    refused(content)


def taken(content: bytes) -> Form | None:
    """Read a form, or None when it is refused; anything else that is raised fails the test."""
    try:
        return read_form(content)
    except Refusal as refusal:
        return None if refusal.code == "form-refused" else pytest.fail(refusal.code)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=12,
)
KEYWORDS = ["type", "title", "enum", "x-values", "x-code", "x-role", "format", "minimum", "x-date",
            "maxLength", "x-free-text", "unit", "description", "multipleOf"]  # fmt: skip


@given(
    st.dictionaries(
        st.sampled_from(KEYWORDS),
        JSON | st.sampled_from(["string", "integer", "number", "boolean", "date", "reviewed"]),
    )
)
@settings(max_examples=300)
def test_any_json_is_a_variable_or_is_refused(schema: dict[str, Any]) -> None:
    form = taken(with_variable("v", schema))
    if form is not None:
        assert json.loads(json.dumps(form.schema))["properties"]["v"] == schema


@given(JSON)
def test_any_json_is_a_form_or_is_refused(document: Any) -> None:
    taken(json.dumps(document).encode())

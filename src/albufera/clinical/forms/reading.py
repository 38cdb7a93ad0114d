"""Reading an e-form: a JSON Schema (2020-12) of one flat object, refused where it is more.

The document is validated against the meta-schema that ships with the library; nothing that it
points to is ever fetched, because every kind of reference is refused before that.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from jsonschema import Draft202012Validator

from albufera.clinical.forms.variables import read_variable
from albufera.clinical.model import (
    FORM_REFUSED,
    MAX_FORM_BYTES,
    MAX_VARIABLES,
    VARIABLE_NAME,
    Form,
    Variable,
)
from albufera.kernel.canonical import CanonicalError, digest, read_json

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_KEYWORDS = frozenset(
    {"$schema", "$id", "$comment", "title", "description", "type", "properties", "required",
     "additionalProperties"}
)  # fmt: skip
_KEY_COLUMNS = frozenset({"subject", "patient_id"})
_IDENTIFYING = frozenset(
    {"name", "patient_name", "first_name", "last_name", "surname", "family_name", "given_name",
     "birth_date", "birthdate", "date_of_birth", "dob", "address", "street", "postcode",
     "postal_code", "zip", "zip_code", "phone", "telephone", "fax", "email", "e_mail", "ssn",
     "nhs_number", "dni", "nie", "passport", "insurance_number", "accession_number",
     "medical_record_number", "mrn"}
)  # fmt: skip


def read_form(content: bytes, version: int = 0) -> Form:
    """Read an e-form from its JSON text. Raises `form-refused`, naming all that is wrong."""
    try:
        document = read_json(content, MAX_FORM_BYTES)
    except CanonicalError as failure:
        raise FORM_REFUSED(f"The e-form cannot be read. {failure}") from None
    if not isinstance(document, dict):
        raise FORM_REFUSED("The e-form is not a JSON object.")
    return to_form(document, version)


def to_form(document: Mapping[str, Any], version: int) -> Form:
    """Make a form of a parsed document. Raises `form-refused`, naming all that is wrong."""
    problems = list(_problems_of_form(document))
    if not problems:
        problems = list(_against_meta_schema(document))
    variables: list[Variable] = []
    if not problems:
        required = set(document.get("required", []))
        for name, schema in document["properties"].items():
            found, wrong = read_variable(name, schema, required=name in required)
            problems += [(f"properties.{name}", text) for text in wrong]
            variables += [found] if found is not None else []
        problems += _problems_together(variables)
    if problems:
        listed = [f"{place}: {text}" for place, text in problems[:50]]
        raise FORM_REFUSED(f"{len(problems)} to correct: {listed[0]}", errors=listed)
    title, description = str(document["title"]), str(document.get("description", ""))
    return Form(version, title, description, tuple(variables), document, digest(document))


def _problems_of_form(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if document.get("$schema", DIALECT) != DIALECT:
        yield "$schema", f"only {DIALECT} is understood."
    for keyword in sorted(set(document) - _KEYWORDS):
        yield keyword[:64], "this keyword is not supported: an e-form is one flat object."
    if document.get("type") != "object":
        yield "type", "must be “object”."
    if not isinstance(document.get("title"), str) or not document["title"].strip():
        yield "title", "the form needs a title."
    if document.get("additionalProperties", False) is not False:
        yield "additionalProperties", "must be false or left out: all variables are declared."
    properties = document.get("properties")
    if not isinstance(properties, dict) or not properties:
        yield "properties", "the form needs at least one variable."
        return
    if len(properties) > MAX_VARIABLES:
        yield "properties", f"has {len(properties)} variables; at most {MAX_VARIABLES} are taken."
    for name in properties:
        yield from _problems_of_name(name)
    required = document.get("required", [])
    if isinstance(required, list):
        for name in required:
            if isinstance(name, str) and name not in properties:
                yield "required", f"“{name[:64]}” is not among the properties."


def _problems_of_name(name: str) -> Iterator[tuple[str, str]]:
    place = f"properties.{name[:64]}"
    if not VARIABLE_NAME.match(name):
        yield place, "a name has 1 to 64 letters a–z, digits and underscores, a letter first."
    elif name.lower() in _KEY_COLUMNS:
        yield place, "this name is kept for the column that identifies the subject."
    elif name.lower() in _IDENTIFYING:
        yield place, "a variable of this name would identify people, and is not taken."


def _against_meta_schema(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    meta = Draft202012Validator(Draft202012Validator.META_SCHEMA)
    for error in list(meta.iter_errors(document))[:50]:
        place = ".".join(str(part) for part in error.absolute_path) or "the form"
        yield place[:160], f"is not valid by the keyword “{error.validator}” of JSON Schema."


def _problems_together(variables: list[Variable]) -> Iterator[tuple[str, str]]:
    seen: dict[str, str] = {}
    for variable in variables:
        other = seen.setdefault(variable.name.lower(), variable.name)
        if other != variable.name:
            yield "properties", f"“{other}” and “{variable.name}” differ in case only."
    if sum(variable.role == "diagnosis" for variable in variables) > 1:
        yield "properties", "only one variable may have the x-role “diagnosis”."

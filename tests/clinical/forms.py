"""A small e-form with every type of variable, for tests."""

import json
from typing import Any

EVERY_TYPE: dict[str, Any] = {
    "title": "Every type",
    "type": "object",
    "required": ["diagnosis"],
    "properties": {
        "diagnosis": {
            "type": "string",
            "title": "Diagnosis",
            "enum": ["adenocarcinoma", "carcinoid"],
            "x-role": "diagnosis",
            "x-code": {"system": "http://loinc.org", "code": "31205-8"},
            "x-values": {"carcinoid": {"title": "Carcinoid tumour"}},
        },
        "age": {"type": "integer", "title": "Age", "unit": "a", "minimum": 0, "maximum": 90},
        "dose": {"type": "number", "title": "Dose", "unit": "Gy", "exclusiveMinimum": 0},
        "smoker": {"type": "boolean", "title": "Smoker"},
        "ecog": {"type": "integer", "title": "ECOG", "enum": [0, 1, 2]},
        "seen": {"type": "string", "format": "date", "title": "Seen"},
        "moved": {
            "type": "string",
            "format": "date",
            "title": "Moved",
            "x-date": "shifted-already",
        },
        "note": {"type": "string", "title": "Note", "maxLength": 20, "x-free-text": "reviewed"},
    },
}


def as_bytes(form: dict[str, Any]) -> bytes:
    """Write a form as the file that a person would send."""
    return json.dumps(form).encode()


def with_variable(name: str, schema: Any) -> bytes:
    """Return a form of one variable."""
    return as_bytes({"title": "One", "type": "object", "properties": {name: schema}})

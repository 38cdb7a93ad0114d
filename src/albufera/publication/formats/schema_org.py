"""A dataset as schema.org `Dataset` in JSON-LD, as search engines for data read it."""

import json
from typing import Any

from albufera.publication.model import PublicDataset

MEDIA_TYPE = "application/ld+json"

_IN_HTML = {character: f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}
_FEW = "At least one, fewer than can be told without pointing at people."


def to_json_ld(dataset: PublicDataset) -> dict[str, Any]:
    """Return the JSON-LD document (https://schema.org/Dataset)."""
    document: dict[str, Any] = {
        "@context": "https://schema.org/",
        "@type": "Dataset",
        "@id": dataset.resolver,
        "name": dataset.name,
        "description": _description(dataset),
        "url": dataset.url,
        "identifier": _identifier(dataset),
        "version": str(dataset.version),
        "datePublished": dataset.published_at.date().isoformat(),
        "creator": {"@type": "Organization", "name": dataset.creator},
        "publisher": _publisher(dataset),
        "includedInDataCatalog": {
            "@type": "DataCatalog", "name": dataset.publisher.name, "url": dataset.publisher.url
        },
        "isAccessibleForFree": True,
        "conditionsOfAccess": "On application to the data access committee; used in place.",
        "keywords": keywords(dataset),
        "variableMeasured": _measured(dataset),
        "creativeWorkStatus": "Withdrawn" if dataset.is_tombstone else "Published",
    }  # fmt: skip
    if dataset.licence_url:
        document["license"] = dataset.licence_url
    if dataset.contact:
        document["publisher"]["contactPoint"] = _contact(dataset.contact)
    if dataset.previous:
        document["isBasedOn"] = dataset.previous.url
    if dataset.successor:
        document["supersededBy"] = dataset.successor.url
    return document


def in_script(document: object) -> str:
    """Return JSON that may stand inside an HTML `<script>` element, whatever texts it holds.

    No `<` is left, so that no text can end the element or open a comment in it; the JSON means the
    same.
    """
    text = json.dumps(document, ensure_ascii=False)
    return "".join(_IN_HTML.get(character, character) for character in text)


def keywords(dataset: PublicDataset) -> list[str]:
    """Return the words under which the dataset is to be found."""
    found = ["medical imaging", "cancer imaging"]
    for facet in ("modality", "bodyPart", "diagnosis"):
        for item in dataset.aggregate.get(facet, ()):
            if item["value"] != "unknown" and item["value"] not in found:
                found.append(item["value"])
    return found


def _description(dataset: PublicDataset) -> str:
    """Return a description of at least 50 characters, as the engines ask for."""
    text = dataset.description or f"A dataset of medical images of the project {dataset.creator}."
    if dataset.is_tombstone:
        return f"WITHDRAWN: {dataset.reason} — {text}"
    return text if len(text) >= 50 else f"{text} A dataset of medical images, worked with in place."  # noqa: PLR2004


def _identifier(dataset: PublicDataset) -> dict[str, str]:
    return {
        "@type": "PropertyValue",
        "propertyID": "albufera" if dataset.identifier else "url",
        "value": dataset.identifier or dataset.url,
        "url": dataset.resolver,
    }


def _publisher(dataset: PublicDataset) -> dict[str, Any]:
    return {
        "@type": "Organization",
        "name": dataset.publisher.name,
        "url": dataset.publisher.url,
    }


def _contact(contact: str) -> dict[str, str]:
    key = "email" if "@" in contact else "description"
    return {"@type": "ContactPoint", "contactType": "data access", key: contact}


def _measured(dataset: PublicDataset) -> list[dict[str, Any]]:
    counts = dataset.aggregate
    return [
        {"@type": "PropertyValue", "name": name, "value": counts[name]}
        if counts[name] is not None
        else {"@type": "PropertyValue", "name": name, "description": _FEW}
        for name in ("subjects", "studies", "series", "images")
        if name in counts
    ]

"""A dataset in the DataCite Metadata Schema 4.5, as JSON.

The identifier is registered with this node and not with DataCite: it is no DOI (property 1), and
therefore stands among the alternate identifiers (property 11), as the address that resolves it.
"""

from typing import Any

from albufera.publication.disclosure import shown
from albufera.publication.formats.schema_org import keywords
from albufera.publication.model import PublicDataset, PublicVersion

MEDIA_TYPE = "application/vnd.datacite.datacite+json"
SCHEMA_VERSION = "http://datacite.org/schema/kernel-4"


def to_datacite(dataset: PublicDataset) -> dict[str, Any]:
    """Return the document: the mandatory properties (DataCite 4.5, 2–5 and 10) and what we know."""
    document: dict[str, Any] = {
        "schemaVersion": SCHEMA_VERSION,
        "creators": [{"name": dataset.creator, "nameType": "Organizational"}],
        "titles": [{"title": dataset.name}],
        "publisher": {"name": dataset.publisher.name},
        "publicationYear": str(dataset.published_at.year),
        "types": {"resourceType": "Medical imaging dataset", "resourceTypeGeneral": "Dataset"},
        "url": dataset.url,
        "version": str(dataset.version),
        "language": "en",
        "dates": _dates(dataset),
        "subjects": [{"subject": word} for word in keywords(dataset)],
        "sizes": _sizes(dataset),
        "formats": ["application/dicom"],
        "descriptions": _descriptions(dataset),
        "alternateIdentifiers": _alternates(dataset),
        "relatedIdentifiers": _related(dataset),
    }
    if dataset.licence:
        document["rightsList"] = [_rights(dataset)]
    return document


def _dates(dataset: PublicDataset) -> list[dict[str, str]]:
    dates = [
        {"date": dataset.released_at.date().isoformat(), "dateType": "Created"},
        {"date": dataset.published_at.date().isoformat(), "dateType": "Issued"},
    ]
    if dataset.invalidated_at is not None:
        withdrawn = dataset.invalidated_at.date().isoformat()
        dates.append(
            {"date": withdrawn, "dateType": "Withdrawn", "dateInformation": dataset.reason}
        )
    return dates


def _sizes(dataset: PublicDataset) -> list[str]:
    counts = dataset.aggregate
    kinds = ("subjects", "studies", "series", "images", "bytes")
    return [f"{shown(counts[kind])} {kind}" for kind in kinds if kind in counts]


def _descriptions(dataset: PublicDataset) -> list[dict[str, str]]:
    texts = [
        (dataset.description, "Abstract"),
        (dataset.purpose, "Other"),
        (f"SHA-256 Merkle root of the manifest: {dataset.root}", "TechnicalInfo"),
    ]
    return [{"description": text, "descriptionType": kind} for text, kind in texts if text]


def _alternates(dataset: PublicDataset) -> list[dict[str, str]]:
    pairs = (
        (dataset.resolver, "URL"),
        (dataset.identifier, "albufera"),
        (dataset.dataset_id, "node's own id"),
    )
    return [
        {"alternateIdentifier": text, "alternateIdentifierType": kind}
        for text, kind in pairs
        if text
    ]


def _related(dataset: PublicDataset) -> list[dict[str, str]]:
    pairs = ((dataset.previous, "IsNewVersionOf"), (dataset.next, "IsPreviousVersionOf"))
    return [
        {
            "relatedIdentifier": _address(dataset, version),
            "relatedIdentifierType": "URL",
            "relationType": relation,
        }
        for version, relation in pairs
        if version is not None
    ]


def _address(dataset: PublicDataset, version: PublicVersion) -> str:
    if version.identifier:
        return dataset.publisher.resolver(version.identifier)
    return version.url


def _rights(dataset: PublicDataset) -> dict[str, str]:
    rights = {"rights": dataset.licence, "rightsUri": dataset.licence_url or dataset.licence}
    if not dataset.licence.startswith(("http://", "https://")):
        rights |= {
            "rightsIdentifier": dataset.licence,
            "rightsIdentifierScheme": "SPDX",
            "schemeUri": "https://spdx.org/licenses/",
        }
    return rights

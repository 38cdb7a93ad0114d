"""The public metadata of a dataset as one JSON document, in our own words."""

from datetime import datetime
from typing import Any

from albufera.kernel import clock
from albufera.publication.model import PublicDataset, PublicVersion

FORMAT = "albufera-public-metadata/1"


def to_json(dataset: PublicDataset) -> dict[str, Any]:
    """Return everything that the public may know of a dataset, or what a tombstone keeps."""
    return {
        "format": FORMAT,
        "id": dataset.dataset_id,
        "identifier": dataset.identifier,
        "url": dataset.url,
        "resolver": dataset.resolver,
        "version": dataset.version,
        "state": dataset.state,
        "properties": {
            "name": dataset.name,
            "description": dataset.description,
            "purpose": dataset.purpose,
            "licence": dataset.licence,
            "contact": dataset.contact,
        },
        "project": {"code": dataset.project, "name": dataset.project_name},
        "publisher": {"name": dataset.publisher.name, "url": dataset.publisher.url},
        "released": clock.isoformat(dataset.released_at),
        "published": clock.isoformat(dataset.published_at),
        "invalidated": _instant(dataset.invalidated_at),
        "reason": dataset.reason,
        "aggregate": dict(dataset.aggregate),
        "manifest": {
            "root": dataset.root,
            "sha256": dataset.manifest_sha256,
            "size": dataset.manifest_size,
        },
        "versions": [_version(version) for version in dataset.versions],
    }


def _version(version: PublicVersion) -> dict[str, Any]:
    return {
        "id": version.dataset_id,
        "version": version.version,
        "state": version.state,
        "identifier": version.identifier,
        "url": version.url,
        "published": clock.isoformat(version.published_at),
    }


def _instant(moment: datetime | None) -> str | None:
    return None if moment is None else clock.isoformat(moment)

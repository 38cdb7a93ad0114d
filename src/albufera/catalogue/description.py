"""Aggregated metadata: what a dataset holds, told in counts. Computed by SQL when it is built."""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from albufera.catalogue.model import Dataset
from albufera.catalogue.ports import ClinicalFacts, SubjectNames
from albufera.catalogue.records import dataset_series
from albufera.lake.records import series, studies, subjects

BAND = 10
"""Width of an age band, in years."""
LAST_BAND = 90
"""The last band is open: the lake caps ages at 90."""
MAX_VALUES = 200
METADATA_FORMAT = "albufera-metadata/1"

_FROM = (
    dataset_series.join(series, series.c.series_id == dataset_series.c.series_id)
    .join(studies, studies.c.study_id == series.c.study_id)
    .join(subjects, subjects.c.subject_id == series.c.subject_id)
)
_FACETS: dict[str, sa.ColumnElement[Any]] = {
    "sex": subjects.c.sex,
    "modality": series.c.modality,
    "bodyPart": series.c.body_part,
    "manufacturer": series.c.manufacturer,
    "year": studies.c.year,
}


def subject_names(dataset_id: str) -> SubjectNames:
    """Return the query of the pseudonyms of a dataset's subjects."""
    return (
        sa.select(subjects.c.name)
        .where(
            subjects.c.subject_id.in_(
                sa.select(series.c.subject_id)
                .join(dataset_series, dataset_series.c.series_id == series.c.series_id)
                .where(dataset_series.c.dataset_id == dataset_id)
            )
        )
    )  # fmt: skip


def aggregate(
    connection: Connection, clinical: ClinicalFacts, dataset_id: str, project_id: str
) -> dict[str, Any]:
    """Count a dataset's content; `images` and `bytes` are as frozen in its manifest."""
    mine = dataset_series.c.dataset_id == dataset_id
    totals = connection.execute(
        sa.select(
            sa.func.count(sa.distinct(series.c.subject_id)).label("subjects"),
            sa.func.count(sa.distinct(series.c.study_id)).label("studies"),
            sa.func.count().label("series"),
            sa.func.coalesce(sa.func.sum(dataset_series.c.instance_count), 0).label("images"),
            sa.func.coalesce(sa.func.sum(dataset_series.c.byte_count), 0).label("bytes"),
        )
        .select_from(_FROM)
        .where(mine)
    ).one()
    diagnoses = clinical.diagnoses(connection, project_id, subject_names(dataset_id))
    return {
        **{name: int(value) for name, value in totals._mapping.items()},
        "age": _ages(connection, mine),
        **{name: _facet(connection, mine, column) for name, column in _FACETS.items()},
        "diagnosis": [
            {"value": name, "subjects": subjects_with} for name, subjects_with in diagnoses
        ][:MAX_VALUES],
    }


def band_label(start: int) -> str:
    """Return the name of the age band that starts at an age: `50–59`, and `90+` for the last."""
    return f"{LAST_BAND}+" if start >= LAST_BAND else f"{start}–{start + BAND - 1}"


def to_metadata(dataset: Dataset, aggregated: Mapping[str, Any]) -> dict[str, Any]:
    """Return a dataset's metadata as one JSON document, with MIABIS Core's words for a collection.

    It holds nothing about any single person.
    """
    age = aggregated.get("age", {})
    return {
        "format": METADATA_FORMAT,
        "id": dataset.dataset_id,
        "pid": dataset.pid,
        "name": dataset.name,
        "description": dataset.properties.description,
        "purpose": dataset.properties.purpose,
        "version": dataset.version,
        "previousVersion": dataset.previous_id,
        "state": dataset.state.value,
        "project": dataset.project,
        "licence": dataset.properties.licence or None,
        "contact": dataset.properties.contact or None,
        "created": dataset.created_at.date().isoformat(),
        "released": dataset.released_at.date().isoformat() if dataset.released_at else None,
        "collection": {
            "size": aggregated.get("subjects", 0),
            "ageLow": age.get("min"),
            "ageHigh": age.get("max"),
            "ageUnit": "Years",
            "sex": _sexes(aggregated.get("sex", ())),
            "diagnosis": _values(aggregated.get("diagnosis", ())),
            "imagingModality": _values(aggregated.get("modality", ())),
            "imageBodyPart": _values(aggregated.get("bodyPart", ())),
            "imageManufacturer": _values(aggregated.get("manufacturer", ())),
            "imageYear": _values(aggregated.get("year", ())),
            "type": ["Image"],
        },
        "aggregate": dict(aggregated),
        "manifest": None
        if dataset.manifest is None
        else {
            "root": dataset.manifest.root,
            "sha256": dataset.manifest.sha256,
            "size": dataset.manifest.size,
        },
    }


def _facet(
    connection: Connection, mine: sa.ColumnElement[bool], column: sa.ColumnElement[Any]
) -> list[dict[str, Any]]:
    rows = connection.execute(
        sa.select(
            column.label("value"),
            sa.func.count(sa.distinct(series.c.subject_id)).label("subjects"),
            sa.func.count(sa.distinct(series.c.study_id)).label("studies"),
            sa.func.count().label("series"),
        )
        .select_from(_FROM)
        .where(mine)
        .group_by(column)
        .order_by(sa.desc("series"), column)
        .limit(MAX_VALUES)
    )
    return [dict(row._mapping) for row in rows]


def _ages(connection: Connection, mine: sa.ColumnElement[bool]) -> dict[str, Any]:
    """Ages of the subjects at their first study in the dataset."""
    first = (
        sa.select(subjects.c.sex, sa.func.min(studies.c.age).label("age"))
        .select_from(_FROM)
        .where(mine)
        .group_by(subjects.c.subject_id, subjects.c.sex)
        .subquery()
    )
    start = (first.c.age // BAND) * BAND
    band = sa.case((start > LAST_BAND, LAST_BAND), else_=start)
    rows = connection.execute(
        sa.select(
            band.label("start"),
            first.c.sex,
            sa.func.count().label("subjects"),
            sa.func.min(first.c.age).label("youngest"),
            sa.func.max(first.c.age).label("oldest"),
        ).group_by(band, first.c.sex)
    ).all()
    known = [row for row in rows if row.start is not None]
    if not known:
        return {"min": None, "max": None, "unknown": sum(row.subjects for row in rows), "bands": []}
    low, high = min(row.start for row in known), max(row.start for row in known)
    bands = []
    for begin in range(low, high + 1, BAND):
        by_sex: dict[str, int] = {}
        for row in known:
            if row.start == begin:
                by_sex[row.sex] = by_sex.get(row.sex, 0) + row.subjects
        count = sum(by_sex.values())
        bands.append({"from": begin, "label": band_label(begin), "subjects": count, "sex": by_sex})
    return {
        "min": min(row.youngest for row in known),
        "max": max(row.oldest for row in known),
        "unknown": sum(row.subjects for row in rows if row.start is None),
        "bands": bands,
    }


def _values(facet: Sequence[Mapping[str, Any]]) -> list[Any]:
    return [item["value"] for item in facet if item["value"] not in (None, "")]


def _sexes(facet: Sequence[Mapping[str, Any]]) -> list[str]:
    words = {"M": "Male", "F": "Female", "O": "Undifferentiated"}
    return sorted({words.get(item["value"], "Unknown") for item in facet})

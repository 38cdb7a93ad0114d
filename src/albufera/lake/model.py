"""Subjects, studies, series and instances as the lake knows them: de-identified."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from albufera.kernel.errors import define

STUDY_NOT_FOUND = define(
    "study-not-found",
    404,
    "There is no such study, or none that you may know of.",
    "Check the identifier; the project's study list shows what is there.",
)
SERIES_NOT_FOUND = define(
    "series-not-found",
    404,
    "There is no such series, or none that you may know of.",
    "Check the identifier; the study's page lists its series.",
)


@dataclass(frozen=True)
class Instance:
    """One de-identified DICOM object.

    `header` is the DICOM JSON model (PS3.18 Annex F) of what QIDO and WADO metadata answer from.
    """

    instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    sha256: str
    size: int
    number: int | None
    header: dict[str, Any]


@dataclass(frozen=True)
class Series:
    """A series of one study, as indexed. `instance_count` and `byte_count` are of all instances."""

    series_id: str
    project_id: str
    collection_id: str
    subject_id: str
    subject: str
    study_id: str
    study_uid: str
    series_uid: str
    modality: str
    body_part: str
    description: str
    manufacturer: str
    model: str
    number: int | None
    rows: int | None
    columns: int | None
    slice_thickness: float | None
    instance_count: int
    byte_count: int
    created_at: datetime


@dataclass(frozen=True)
class Study:
    """A study, as indexed. `age` is the patient's age in years at the study, capped at 90."""

    study_id: str
    project_id: str
    subject_id: str
    subject: str
    study_uid: str
    date: str
    description: str
    age: int | None
    sex: str
    created_at: datetime

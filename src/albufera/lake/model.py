"""Subjects, studies, series and instances as the lake knows them: de-identified."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from albufera.kernel.errors import define
from albufera.lake.layout import InstanceKey

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
INSTANCE_NOT_FOUND = define(
    "instance-not-found",
    404,
    "There is no such instance, or none that you may know of.",
    "Check the identifier; the series' metadata list its instances.",
)
NO_PICTURE = define(
    "no-picture",
    406,
    "No picture can be drawn of this image.",
    "The message says why; the object itself is unharmed.",
)
PICTURES_BUSY = define(
    "pictures-busy", 503, "Too many pictures are being drawn.", "Ask again in a few seconds."
)

MAX_AGE = 90
"""Ages above are recorded as this one: so old a person could be recognized by it."""


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

    def key(self, instance_uid: str) -> InstanceKey:
        """The key under which the store holds an instance of this series."""
        return InstanceKey(self.project_id, self.series_uid, instance_uid)


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


@dataclass(frozen=True)
class StudySummary:
    """A study with what the reader may see of its series: counts, bytes and modalities."""

    study: Study
    modalities: tuple[str, ...]
    series_count: int
    instance_count: int
    byte_count: int


@dataclass(frozen=True)
class Arrival:
    """An instance whose bytes the store holds, with what its subject, study and series are.

    `date` is ISO 8601 (empty when not stated), `age` in years, `slice_thickness` in millimetres.
    """

    subject: str
    sex: str
    study_uid: str
    date: str
    study_description: str
    age: int | None
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
    instance: Instance


class Indexing(StrEnum):
    """What became of an arrival in the index."""

    NEW = "new"
    THERE = "there"
    OTHER_CONTENT = "other-content"
    OTHER_STUDY = "other-study"
    OTHER_SUBJECT = "other-subject"


@dataclass(frozen=True)
class Slice:
    """One picture of a series: a frame (counted from 0) of an instance."""

    instance_uid: str
    frame: int


@dataclass(frozen=True)
class StudyFilter:
    """What a list of studies is narrowed to; None does not narrow. `text` is of descriptions."""

    project_id: str | None = None
    collection_id: str | None = None
    subject: str | None = None
    modality: str | None = None
    text: str | None = None


@dataclass(frozen=True)
class SeriesQuery:
    """What a search (QIDO-RS, PS3.18 §10.6) asks for; empty or None does not narrow.

    `subject` may hold the wild cards * and ?; dates are ISO 8601, both ends included.
    """

    study_uids: tuple[str, ...] = ()
    series_uids: tuple[str, ...] = ()
    subject: str = ""
    modality: str = ""
    date_from: str = ""
    date_to: str = ""

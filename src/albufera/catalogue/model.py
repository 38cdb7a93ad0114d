"""Datasets and the rules of their lives."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from albufera.kernel.errors import INVALID, define
from albufera.kernel.transitions import Transitions

MAX_NAME = 200
MAX_TEXT = 8000
MAX_SHORT = 300
MAX_STUDIES = 100_000
"""Most studies that one list may name."""

_SPDX = re.compile(r"^[A-Za-z0-9][A-Za-z0-9.+-]{0,63}$")
_URL = re.compile(r"^https?://[^\s<>\"]{3,290}$")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


class DatasetState(StrEnum):
    """Where a dataset is in its life."""

    CREATING = "creating"
    READY = "ready"
    FAILED = "failed"
    CANCELLED = "cancelled"
    RELEASED = "released"
    PUBLISHED = "published"
    INVALIDATED = "invalidated"


DRAFT = frozenset({DatasetState.CREATING, DatasetState.READY})
"""The states in which a dataset's properties may still be edited."""

FROZEN = frozenset({DatasetState.RELEASED, DatasetState.PUBLISHED, DatasetState.INVALIDATED})
"""The states in which nothing about a dataset's content or properties changes any more."""

WITH_MANIFEST = frozenset({DatasetState.READY}) | FROZEN
"""The states in which a dataset has a manifest."""

EDITABLE = ("name", "description", "purpose", "licence", "contact")
"""The properties that may be edited in a draft."""

_S = DatasetState
DATASET_LIFE = Transitions(
    "dataset",
    {
        (_S.CREATING, "built"): _S.READY,
        (_S.CREATING, "fail"): _S.FAILED,
        (_S.CREATING, "cancel"): _S.CANCELLED,
        (_S.CREATING, "edit"): _S.CREATING,
        (_S.READY, "release"): _S.RELEASED,
        (_S.READY, "edit"): _S.READY,
        (_S.READY, "verify"): _S.READY,
        (_S.READY, "cancel"): _S.CANCELLED,
        (_S.FAILED, "retry"): _S.CREATING,
        (_S.FAILED, "cancel"): _S.CANCELLED,
        (_S.CANCELLED, "retry"): _S.CREATING,
        (_S.RELEASED, "publish"): _S.PUBLISHED,
        (_S.RELEASED, "invalidate"): _S.INVALIDATED,
        (_S.RELEASED, "new-version"): _S.RELEASED,
        (_S.RELEASED, "verify"): _S.RELEASED,
        (_S.PUBLISHED, "invalidate"): _S.INVALIDATED,
        (_S.PUBLISHED, "new-version"): _S.PUBLISHED,
        (_S.PUBLISHED, "verify"): _S.PUBLISHED,
        (_S.INVALIDATED, "new-version"): _S.INVALIDATED,
        (_S.INVALIDATED, "verify"): _S.INVALIDATED,
    },
)
"""Draft (creating, ready; failed and cancelled can be tried again) → released → published →
invalidated. A released dataset is immutable; a correction is a new version."""

LIFE_VERBS = frozenset(event for _, event in DATASET_LIFE.table) - {"built", "fail"}
"""The verbs of people that depend on the state by the table above."""

DATASET_NOT_FOUND = define(
    "dataset-not-found",
    404,
    "There is no such dataset, or none that you may know of.",
    "`albufera dataset list` shows the datasets that you may see.",
)
NOTHING_SELECTED = define(
    "nothing-selected",
    422,
    "The selection contains no series.",
    "Widen the filter, or count with `POST /api/v1/cohorts/count` before making the dataset.",
)
UNKNOWN_STUDIES = define(
    "unknown-studies",
    422,
    "Some of the listed studies are not in this project.",
    "Correct or remove the lines that the message names; nothing was left out silently.",
)
NO_MANIFEST = define(
    "no-manifest",
    409,
    "This dataset has no manifest yet.",
    "Wait until the dataset is ready; `albufera dataset show` says how far it is.",
)
NOT_USABLE = define(
    "dataset-not-usable",
    409,
    "Only a released or published dataset can be worked with.",
    "Release the dataset, or use its newest valid version.",
)
BUILD_FAILED = define(
    "dataset-build-failed",
    409,
    "The dataset could not be made.",
    "The message says why; mend that, then `albufera dataset retry`.",
)
VERIFICATION_FAILED = define(
    "dataset-verification-failed",
    409,
    "The dataset is not what its manifest says.",
    "Compare the named files with a backup; do not use the dataset until it verifies.",
)
NO_SUCH_FILE = define(
    "manifest-file-not-found",
    404,
    "The dataset's manifest has no such file.",
    "Take the path from the manifest, as it is written there.",
)


@dataclass(frozen=True)
class Properties:
    """What people write about a dataset. `licence` is an SPDX identifier or a URL, or empty."""

    name: str
    description: str = ""
    purpose: str = ""
    licence: str = ""
    contact: str = ""

    def checked(self) -> "Properties":
        """Return the properties stripped. Raises `invalid-input`, naming the field."""
        licence = _text(self.licence, "licence", MAX_SHORT)
        if licence and not (_SPDX.match(licence) or _URL.match(licence)):
            raise INVALID(
                "The licence is an SPDX identifier (CC-BY-4.0) or an address (https://…).",
                field="licence",
            )
        name = _text(self.name, "name", MAX_NAME)
        if not name:
            raise INVALID("A dataset needs a name.", field="name")
        return Properties(
            name,
            _text(self.description, "description", MAX_TEXT),
            _text(self.purpose, "purpose", MAX_TEXT),
            licence,
            _text(self.contact, "contact", MAX_SHORT),
        )


@dataclass(frozen=True)
class Selection:
    """What a dataset is made of: the series that a filter selects, or those of listed studies.

    `where` is the canonical text of the filter ("" for a list), `study_count` the number of listed
    studies (0 for a filter).
    """

    where: str = ""
    study_count: int = 0


@dataclass(frozen=True)
class Counts:
    """How much a selection or a dataset holds. `byte_count` is in bytes."""

    subjects: int = 0
    studies: int = 0
    series: int = 0
    images: int = 0
    byte_count: int = 0


@dataclass(frozen=True)
class ManifestDigest:
    """What identifies a manifest: Merkle root and SHA-256 in hexadecimal, size in bytes."""

    root: str
    sha256: str
    size: int


@dataclass(frozen=True)
class Dataset:
    """One version of a dataset."""

    dataset_id: str
    project_id: str
    project: str
    version: int
    previous_id: str | None
    next_id: str | None
    state: DatasetState
    properties: Properties
    selection: Selection
    counts: Counts
    manifest: ManifestDigest | None
    pid: str | None
    note: str
    reason: str
    attempt: int
    created_by: str
    creator: str
    created_at: datetime
    ready_at: datetime | None
    released_at: datetime | None
    published_at: datetime | None
    invalidated_at: datetime | None

    @property
    def name(self) -> str:
        """The name that people gave it."""
        return self.properties.name


@dataclass(frozen=True)
class DatasetSeries:
    """One series of a dataset as frozen in its manifest. `folder` ends with a slash."""

    series_id: str
    series_uid: str
    study_id: str
    study_uid: str
    subject: str
    folder: str
    modality: str
    body_part: str
    description: str
    instance_count: int
    byte_count: int


@dataclass(frozen=True)
class Verification:
    """The outcome of re-reading a dataset. `problems` names at most the first hundred."""

    at: datetime
    requested_by: str
    passed: bool
    root: str
    files: int
    byte_count: int
    corrupt: int
    missing: int
    extra: int
    problems: tuple[Mapping[str, Any], ...]


def _text(value: str, field: str, limit: int) -> str:
    value = value.strip()
    if len(value) > limit:
        raise INVALID(f"“{field}” has at most {limit} characters.", field=field)
    if _CONTROL.search(value):
        raise INVALID(f"“{field}” contains characters that are not text.", field=field)
    return value


def check_reason(reason: str) -> str:
    """Return a reason stripped. Raises `invalid-input` when it is empty or too long."""
    reason = _text(reason, "reason", MAX_TEXT)
    if not reason:
        raise INVALID("Say why: the reason stays visible with the dataset.", field="reason")
    return reason

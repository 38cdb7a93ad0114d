"""What clinical data announce: counts and digests, never a value or a subject."""

from dataclasses import dataclass
from typing import ClassVar

from albufera.kernel.events import Event


@dataclass(frozen=True, kw_only=True)
class FormDefined(Event):
    """A project has a new version of its e-form."""

    verb: ClassVar[str] = "clinical.form-defined"
    form_version: int
    form_digest: str


@dataclass(frozen=True, kw_only=True)
class RecordsWritten(Event):
    """Records of subjects were made or changed by a part of a table.

    `records_digest` is the SHA-256 of the canonical JSON of the written records' digests.
    """

    verb: ClassVar[str] = "clinical.records-written"
    load_id: str
    form_version: int
    new: int
    updated: int
    records_digest: str


@dataclass(frozen=True, kw_only=True)
class TableLoaded(Event):
    """A clinical table was read to its end."""

    verb: ClassVar[str] = "clinical.table-loaded"
    load_id: str
    form_version: int
    file_digest: str
    rows: int
    new: int
    updated: int
    unchanged: int
    rejected: int

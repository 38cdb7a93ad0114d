"""What the catalogue needs of others: a shelf for manifests, and the clinical data of subjects."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, BinaryIO, Protocol

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from albufera.catalogue.manifest import Sink


class Draft(Sink, Protocol):
    """A manifest that is being written."""

    def keep(self, sha256: str) -> None:
        """Make it durable and visible under its digest. MUST appear complete or not at all."""
        ...


class ManifestShelf(Protocol):
    """Keeps manifests by dataset and SHA-256, so that a late writer can never replace another's."""

    def draft(self, dataset_id: str) -> AbstractContextManager[Draft]:
        """Begin a manifest. What is not kept when the context ends MUST vanish."""
        ...

    def open(self, dataset_id: str, sha256: str) -> BinaryIO:
        """Open a kept manifest. Raises `FileNotFoundError`."""
        ...

    def discard(self, dataset_id: str, but: str = "") -> None:
        """Remove a dataset's manifests, and what dead writers left, except the digest `but`."""
        ...


SubjectNames = sa.Select[tuple[str]]
"""A query of one column that gives the pseudonyms of the subjects asked for."""


@dataclass(frozen=True)
class Variable:
    """A column of the flattened clinical table.

    `type` is one of text, integer, number, boolean, date; `values` are the allowed codes, if they
    are enumerated, with their meaning.
    """

    name: str
    type: str
    label: str = ""
    description: str = ""
    unit: str = ""
    values: Mapping[str, str] | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the column's entry of the data dictionary, without what is empty."""
        told = {
            "name": self.name,
            "type": self.type,
            "title": self.label,
            "description": self.description,
            "unit": self.unit,
            "values": None if self.values is None else dict(self.values),
        }
        return {key: value for key, value in told.items() if value not in ("", None)}


class ClinicalFacts(Protocol):
    """The clinical data of a project's subjects, as a dataset hands them on.

    Every method MUST answer with what `subjects` names and nothing else, and MUST stream rows
    rather than gather them. Subjects without clinical data are left out.
    """

    def data_dictionary(self, connection: Connection, project_id: str) -> Sequence[Variable]:
        """Return the columns of the flattened table, in order, without the subject's.

        Empty where the project has no e-form.
        """
        ...

    def flattened(
        self, connection: Connection, project_id: str, subjects: SubjectNames
    ) -> Iterable[tuple[str, Mapping[str, Any]]]:
        """Give (pseudonym, {variable: value}) ordered by pseudonym; missing ones may be absent."""
        ...

    def eforms(
        self, connection: Connection, project_id: str, subjects: SubjectNames
    ) -> Iterable[tuple[str, Mapping[str, Any]]]:
        """Give (pseudonym, e-form document) ordered by pseudonym."""
        ...

    def diagnoses(
        self, connection: Connection, project_id: str, subjects: SubjectNames
    ) -> Sequence[tuple[str, int]]:
        """Return (diagnosis, number of subjects), the commonest first."""
        ...

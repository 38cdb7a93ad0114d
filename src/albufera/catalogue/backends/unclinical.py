"""A node without clinical data: every answer is empty."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy.engine import Connection

from albufera.catalogue.ports import SubjectNames, Variable


class NoClinicalFacts:
    """Answers for a node to which no clinical data were loaded."""

    def data_dictionary(self, connection: Connection, project_id: str) -> Sequence[Variable]:  # noqa: ARG002
        """Return no columns."""
        return ()

    def flattened(
        self, connection: Connection, project_id: str, subjects: SubjectNames  # noqa: ARG002
    ) -> Iterable[tuple[str, Mapping[str, Any]]]:
        """Give no rows."""
        return ()

    def eforms(
        self, connection: Connection, project_id: str, subjects: SubjectNames  # noqa: ARG002
    ) -> Iterable[tuple[str, Mapping[str, Any]]]:
        """Give no e-forms."""
        return ()

    def diagnoses(
        self, connection: Connection, project_id: str, subjects: SubjectNames  # noqa: ARG002
    ) -> Sequence[tuple[str, int]]:
        """Return no diagnoses."""
        return ()

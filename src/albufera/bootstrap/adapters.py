"""Adapters: what one domain needs to know of another, told in the words of its port."""

import functools
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from albufera.bootstrap.home import Home
from albufera.catalogue import ports as catalogue
from albufera.clinical import facts
from albufera.clinical.model import Variable, VariableType
from albufera.clinical.records import form_of
from albufera.ingest.deidentify.keys import ProjectKey
from albufera.lake.records import subjects

_PSEUDONYM = re.compile(r"^SUBJ-[A-Z2-7]{12}\Z")
_AT_ONCE = 500
"""Names in one query: SQLite and PostgreSQL both bound the parameters of a statement."""


class KeyedSubjectNames:
    """Pseudonyms and date shifts of subjects (`clinical.ports.SubjectNames`), from project keys."""

    def __init__(self, home: Home) -> None:
        self._key = functools.cache(lambda project: ProjectKey(home.project_secret(project)))

    def is_pseudonym(self, text: str) -> bool:
        """Tell whether a text has the form of a pseudonym of this node."""
        return _PSEUDONYM.match(text) is not None

    def pseudonym(self, project_id: str, original: str) -> str:
        """Return the pseudonym under which images of this patient are stored."""
        return self._key(project_id).pseudonym(original)

    def day_shift(self, project_id: str, original: str) -> int:
        """Return the days by which the dates of this patient's images were moved."""
        return self._key(project_id).day_shift(original)


class LakeSubjects:
    """The subjects that have images (`clinical.ports.SubjectRegister`), from the lake's table."""

    def known(self, connection: Connection, project_id: str, names: Collection[str]) -> set[str]:
        """Return those of `names` that are subjects of the project."""
        found: set[str] = set()
        ordered = sorted(names)
        for start in range(0, len(ordered), _AT_ONCE):
            part = ordered[start : start + _AT_ONCE]
            mine = sa.and_(subjects.c.project_id == project_id, subjects.c.name.in_(part))
            found.update(connection.scalars(sa.select(subjects.c.name).where(mine)))
        return found


class ClinicalOfSubjects:
    """The clinical data that a dataset hands on (`catalogue.ports.ClinicalFacts`)."""

    def data_dictionary(
        self, connection: Connection, project_id: str
    ) -> Sequence[catalogue.Variable]:
        """Return the columns of the flattened table: the variables of the present e-form."""
        form = form_of(connection, project_id)
        return [] if form is None else [_column(variable) for variable in form.variables]

    def flattened(
        self, connection: Connection, project_id: str, subjects: catalogue.SubjectNames
    ) -> Iterable[tuple[str, Mapping[str, Any]]]:
        """Give each record's values of the present e-form's variables, by pseudonym."""
        form = form_of(connection, project_id)
        if form is None:
            return
        for record in facts.records_of(connection, project_id, subjects):
            yield record.subject, facts.ordered_values(form, record)

    def eforms(
        self, connection: Connection, project_id: str, subjects: catalogue.SubjectNames
    ) -> Iterable[tuple[str, Mapping[str, Any]]]:
        """Give each record as the document of its e-form, by pseudonym."""
        for record in facts.records_of(connection, project_id, subjects):
            yield record.subject, dict(record.values)

    def diagnoses(
        self, connection: Connection, project_id: str, subjects: catalogue.SubjectNames
    ) -> Sequence[tuple[str, int]]:
        """Return how many of the subjects have each diagnosis, the commonest first."""
        return list(facts.diagnoses_of(connection, project_id, subjects).items())


def _column(variable: Variable) -> catalogue.Variable:
    is_text = variable.type is VariableType.STRING
    return catalogue.Variable(
        name=variable.name,
        type="text" if is_text else variable.type.value,
        label=variable.title,
        description=variable.description,
        unit=variable.unit,
        values={str(choice.value): choice.title for choice in variable.choices} or None,
    )

"""What clinical data need to know of projects, of pseudonyms and of the lake's subjects."""

from collections.abc import Collection
from typing import Protocol

from sqlalchemy.engine import Connection

from albufera.kernel.actor import Actor


class InProject(Protocol):
    """A project, as far as clinical data know it."""

    @property
    def project_id(self) -> str:
        """The project's identifier."""
        ...


class ProjectDirectory(Protocol):
    """Finds a project and asks the policy in one step."""

    def resolve(self, connection: Connection, actor: Actor, code: str, verb: str) -> InProject:
        """Return the project for a caller who may do `verb` in it.

        MUST raise a `Refusal` (not found, or forbidden) otherwise, for any string.
        """
        ...


class SubjectNames(Protocol):
    """Gives the pseudonym and the date shift that the subject's images were given."""

    def is_pseudonym(self, text: str) -> bool:
        """Tell whether a text has the form of a pseudonym of this node."""
        ...

    def pseudonym(self, project_id: str, original: str) -> str:
        """Return the pseudonym of an original patient identifier.

        MUST be the one under which images of the same patient are stored. MUST keep nothing.
        """
        ...

    def day_shift(self, project_id: str, original: str) -> int:
        """Return the days to add to this patient's dates. MUST be the shift of their images."""
        ...


class SubjectRegister(Protocol):
    """Knows which subjects have images."""

    def known(self, connection: Connection, project_id: str, names: Collection[str]) -> set[str]:
        """Return those of `names` that are subjects of the project. MUST ask one set question."""
        ...

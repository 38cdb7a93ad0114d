"""The two questions that every domain asks of the policy: may I, and which rows?

The rules stand in `governance`; domains on lower floors only know this protocol, and `bootstrap`
hands them the policy.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from albufera.kernel.actor import Actor


@dataclass(frozen=True, slots=True)
class Thing:
    """What a decision is about: a kind, and the facts that rules look at.

    `kind` is the first word of the verbs that apply to it (`dataset.release` → `dataset`).
    """

    kind: str
    id: str = ""
    project_id: str | None = None
    owner_id: str | None = None
    state: str | None = None


@dataclass(frozen=True)
class Columns:
    """The columns of a table that hold the same facts, for the question *which rows?*

    A column that the table does not have stays None, and rules that need it do not apply.
    """

    id: sa.ColumnElement[Any] | None = None
    project_id: sa.ColumnElement[Any] | None = None
    owner_id: sa.ColumnElement[Any] | None = None
    state: sa.ColumnElement[Any] | None = None


class Policy(Protocol):
    """One table of rules that answers both questions, so that they cannot disagree."""

    def may(self, connection: Connection, actor: Actor, verb: str, thing: Thing) -> bool:
        """Tell whether `actor` may do `verb` to `thing` now."""
        ...

    def require(self, connection: Connection, actor: Actor, verb: str, thing: Thing) -> None:
        """Return silently when allowed.

        Otherwise raise `not-found` for a thing the actor may not know of, `not-signed-in` for an
        anonymous caller, `forbidden` for a thing that the actor may see but not treat so.
        """
        ...

    def which(self, actor: Actor, verb: str, columns: Columns) -> sa.ColumnElement[bool]:
        """Return the SQL condition that is true for the rows to which `actor` may do `verb`."""
        ...

    def allowed(self, connection: Connection, actor: Actor, thing: Thing) -> tuple[str, ...]:
        """Return the verbs that `actor` may do to `thing` now, without the kind's prefix."""
        ...

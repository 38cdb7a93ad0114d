"""Identifiers of this node itself: `albufera:<node>/<name>`, kept in the node's database.

The name is the beginning of the SHA-256 of the dataset's id: short enough for print, the same for
the same dataset whenever it is asked for. A node that is renamed keeps the identifiers it gave.
"""

import hashlib
import itertools
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row
from sqlalchemy.exc import IntegrityError

from albufera.kernel import clock
from albufera.kernel.database import Database
from albufera.publication.backends.records import registrations
from albufera.publication.model import IDENTIFIER_LIFE, IdentifierState
from albufera.publication.ports import IdentifierGone, Registration, UnknownIdentifier

SCHEME = "albufera"
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_LENGTH = 12


class LocalRegistrar:
    """The registrar of a node that has no other (`ports.Registrar`)."""

    def __init__(self, database: Database, node: str) -> None:
        self.database = database
        self.node = node

    def reserve(self, dataset_id: str) -> str:
        """Return the dataset's identifier, the same however often it is asked for."""
        try:
            return self._reserve(dataset_id)
        except IntegrityError:  # another process was faster: it reserved the same
            return self._reserve(dataset_id)

    def register(self, identifier: str, url: str, metadata: Mapping[str, Any]) -> None:
        """Make the identifier resolve; again replaces."""
        with self.database.write() as connection:
            row = _known(connection, identifier)
            state = IdentifierState(row.state)
            if state is IdentifierState.TOMBSTONED:
                raise IdentifierGone(identifier)
            verb = "register" if state is IdentifierState.RESERVED else "update"
            after = IDENTIFIER_LIFE.after(state, verb)
            if (row.state, row.url, row.metadata) != (after.value, url, dict(metadata)):
                _set(connection, identifier, after, url=url, metadata=dict(metadata))

    def tombstone(self, identifier: str, metadata: Mapping[str, Any]) -> None:
        """Mark the identifier as withdrawn; it goes on resolving."""
        with self.database.write() as connection:
            row = _known(connection, identifier)
            state = IdentifierState(row.state)
            if state is IdentifierState.RESERVED:
                raise UnknownIdentifier(identifier)
            if state is IdentifierState.REGISTERED:
                after = IDENTIFIER_LIFE.after(state, "tombstone")
                _set(connection, identifier, after, metadata=dict(metadata))

    def resolve(self, identifier: str) -> Registration | None:
        """Return what is registered, or None."""
        if "\x00" in identifier:
            return None
        mine = registrations.c.identifier == identifier
        with self.database.read() as connection:
            row = connection.execute(registrations.select().where(mine)).one_or_none()
        if row is None:
            return None
        state = IdentifierState(row.state)
        return Registration(row.identifier, row.dataset_id, state, row.url, row.metadata)

    def _reserve(self, dataset_id: str) -> str:
        table = registrations
        with self.database.write() as connection:
            mine = sa.select(table.c.identifier).where(table.c.dataset_id == dataset_id)
            found = connection.scalar(mine)
            if found is not None:
                return str(found)
            identifier = self._free(connection, dataset_id)
            connection.execute(
                table.insert().values(
                    identifier=identifier,
                    dataset_id=dataset_id,
                    state=IdentifierState.RESERVED.value,
                    url="",
                    metadata={},
                    changed_at=clock.now(),
                )
            )
        return identifier

    def _free(self, connection: Connection, dataset_id: str) -> str:
        """Return the first name of the dataset that no other has: nearly always the first."""
        for turn in itertools.count():
            identifier = f"{SCHEME}:{self.node}/{short_name(dataset_id, turn)}"
            taken = sa.select(registrations).where(registrations.c.identifier == identifier)
            if connection.execute(taken).first() is None:
                return identifier
        raise AssertionError


def short_name(dataset_id: str, turn: int = 0) -> str:
    """Return twelve letters and digits (60 bits of SHA-256 in Crockford's base 32)."""
    number = int.from_bytes(hashlib.sha256(f"{dataset_id}\0{turn}".encode()).digest())
    return "".join(_ALPHABET[(number >> (5 * place)) & 31] for place in range(_LENGTH))


def _known(connection: Connection, identifier: str) -> Row[Any]:
    mine = registrations.c.identifier == identifier
    row = connection.execute(registrations.select().where(mine).with_for_update()).one_or_none()
    if row is None:
        raise UnknownIdentifier(identifier)
    return row


def _set(connection: Connection, identifier: str, state: IdentifierState, **values: object) -> None:
    mine = registrations.c.identifier == identifier
    stamped = {"state": state.value, "changed_at": clock.now(), **values}
    connection.execute(registrations.update().where(mine).values(**stamped))

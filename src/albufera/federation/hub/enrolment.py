"""Verbs of enrolment: invite a node, take it in, suspend and resume it."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.engine import Connection, Row

from albufera.federation.hub import records
from albufera.federation.hub.events import (
    NodeEnrolled,
    NodeInvited,
    NodeLeft,
    NodeResumed,
    NodeSuspended,
)
from albufera.federation.hub.model import (
    BAD_TOKEN,
    MAX_NAME,
    NODE_LIFE,
    NODE_NOT_FOUND,
    NODE_SUSPENDED,
    TOKEN_LIFETIME,
    EnrolledNode,
    NodeState,
)
from albufera.federation.messages import Enrolment
from albufera.kernel import clock
from albufera.kernel.actor import Actor
from albufera.kernel.database import Database
from albufera.kernel.errors import INVALID
from albufera.kernel.ids import is_id, new_id
from albufera.kernel.policy import Policy, Thing
from albufera.kernel.signing import VerifyKey
from albufera.kernel.unit_of_work import UnitOfWork, unit_of_work

_HUB = Thing("hub")
_EVENTS = {"suspend": NodeSuspended, "resume": NodeResumed, "leave": NodeLeft}


@dataclass(frozen=True)
class Invitation:
    """A one-time token, shown once and kept as a hash."""

    token: str
    name: str
    expires_at: str


class EnrolmentService:
    """Which nodes belong to the federation, and by what keys."""

    def __init__(self, database: Database, policy: Policy) -> None:
        self.database = database
        self.policy = policy

    def invite(self, actor: Actor, name: str) -> Invitation:
        """Make a one-time token for a node that will be listed as `name`. Raises `forbidden`."""
        name = name.strip()
        if not 0 < len(name) <= MAX_NAME or not name.isprintable():
            raise INVALID(f"A node's name has 1 to {MAX_NAME} printable characters.", field="name")
        token = clock.random_token()
        with unit_of_work(self.database, actor) as work:
            self.policy.require(work.connection, actor, "hub.enrol", _HUB)
            token_id, expires = new_id("et"), work.now() + TOKEN_LIFETIME
            values = {
                "token_id": token_id,
                "token_hash": _hash(token),
                "name": name,
                "created_by": actor.user_id,
                "created_at": work.now(),
                "expires_at": expires,
            }
            work.connection.execute(records.tokens.insert().values(**values))
            work.record(NodeInvited(token_id=token_id))
        return Invitation(token, name, clock.isoformat(expires))

    def nodes(self, actor: Actor) -> Sequence[EnrolledNode]:
        """Return all nodes by name."""
        with self.database.read() as connection:
            self.policy.require(connection, actor, "hub.view-nodes", _HUB)
            return [records.to_node(row) for row in records.node_rows(connection)]

    def show(self, actor: Actor, node_id: str) -> EnrolledNode:
        """Return a node. Raises `hub-node-not-found`."""
        with self.database.read() as connection:
            self.policy.require(connection, actor, "hub.view-nodes", _HUB)
            return _find(connection, node_id)

    def suspend(self, actor: Actor, node_id: str) -> EnrolledNode:
        """Refuse a node's messages and hide what it lists, until it is resumed."""
        return self._change(actor, node_id, "suspend")

    def resume(self, actor: Actor, node_id: str) -> EnrolledNode:
        """Hear a suspended node again."""
        return self._change(actor, node_id, "resume")

    def enrol(self, work: UnitOfWork, key: VerifyKey, body: Enrolment) -> tuple[str, str]:
        """Take in the node that holds a token, within the desk's unit of work: (id, name).

        The same node with the same token again changes nothing: its answer may have been lost. A
        node that is enrolled already (it left while we did not answer, say) is renamed by a new
        token. Raises `enrolment-token-invalid`, `node-suspended`.
        """
        token = self.token(work.connection, body.token)
        table = records.nodes
        known = work.connection.execute(
            table.select().where(table.c.vkey == key.vkey)
        ).one_or_none()
        if token.node_id is not None and (known is None or known.node_id != token.node_id):
            raise BAD_TOKEN("The token was used by another node.")
        if known is not None and token.node_id == known.node_id:
            return known.node_id, known.name
        if known is not None and known.state == NodeState.SUSPENDED:
            raise NODE_SUSPENDED()
        node_id = known.node_id if known is not None else new_id("hn")
        values = _values(work, key, body, token.name)
        if known is None:
            work.connection.execute(table.insert().values(node_id=node_id, **values))
        else:
            work.connection.execute(
                table.update().where(table.c.node_id == node_id).values(**values)
            )
        used = records.tokens.update().where(records.tokens.c.token_id == token.token_id)
        work.connection.execute(used.values(node_id=node_id))
        work.record(
            NodeEnrolled(node_id=node_id, token_id=token.token_id, fingerprint=key.fingerprint)
        )
        return node_id, token.name

    def token(self, connection: Connection, token: str) -> Row[Any]:
        """Return the row of a token that has not expired. Raises `enrolment-token-invalid`."""
        table = records.tokens
        row = connection.execute(
            table.select().where(table.c.token_hash == _hash(token))
        ).one_or_none()
        if row is None or row.expires_at < clock.now():
            raise BAD_TOKEN()
        return row

    def leave(self, work: UnitOfWork, node_id: str) -> None:
        """Let a node go, within the desk's unit of work."""
        self._move(work, _find(work.connection, node_id), "leave")

    def _change(self, actor: Actor, node_id: str, verb: str) -> EnrolledNode:
        with unit_of_work(self.database, actor) as work:
            self.policy.require(work.connection, actor, "hub.suspend", _HUB)
            self._move(work, _find(work.connection, node_id), verb)
            return _find(work.connection, node_id)

    @staticmethod
    def _move(work: UnitOfWork, node: EnrolledNode, verb: str) -> None:
        state = NODE_LIFE.after(node.state, verb)
        table = records.nodes
        work.connection.execute(
            table.update().where(table.c.node_id == node.node_id).values(state=state.value)
        )
        work.record(_EVENTS[verb](node_id=node.node_id))


def _values(work: UnitOfWork, key: VerifyKey, body: Enrolment, name: str) -> dict[str, Any]:
    return {
        "name": name,
        "own_name": body.name,
        "url": body.url,
        "contact": body.contact,
        "vkey": key.vkey,
        "key_identity": key.identity,
        "fingerprint": key.fingerprint,
        "threshold": body.threshold,
        "state": NodeState.ENROLLED.value,
        "enrolled_at": work.now(),
        "seen_at": work.now(),
    }


def _find(connection: Connection, node_id: str) -> EnrolledNode:
    if is_id(node_id, "hn"):
        rows = records.node_rows(connection, records.nodes.c.node_id == node_id)
        if rows:
            return records.to_node(rows[0])
    raise NODE_NOT_FOUND()


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()

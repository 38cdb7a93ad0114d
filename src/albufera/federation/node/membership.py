"""Verbs of membership: look at a hub, join it, see how things stand, leave it."""

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from albufera.catalogue.records import datasets
from albufera.federation.messages import Departure, Done, Enrolled, Enrolment
from albufera.federation.model import BAD_MESSAGE
from albufera.federation.node import records
from albufera.federation.node.conversation import Conversation
from albufera.federation.node.events import FederationJoined, FederationLeft
from albufera.federation.node.model import (
    ALREADY_JOINED,
    FINGERPRINT_DIFFERS,
    NOT_JOINED,
    AnsweredQuestion,
    Candidate,
    Membership,
    MembershipState,
    OfferStatus,
    Status,
)
from albufera.federation.ports import Peers
from albufera.kernel.actor import Actor
from albufera.kernel.database import Database
from albufera.kernel.errors import INVALID, Refusal
from albufera.kernel.ids import is_id, new_id
from albufera.kernel.policy import Policy, Thing
from albufera.kernel.signing import KeyFileError, SigningKey, VerifyKey
from albufera.kernel.unit_of_work import unit_of_work

EXCHANGE = "federation.exchange"
"""The kind of the task that talks with a hub; its key is the hub's id."""

_NODE = Thing("node")
_SHOWN = 100


@dataclass(frozen=True)
class Identity:
    """How this node presents itself to hubs."""

    name: str
    url: str
    threshold: int


class MembershipService:
    """Which hubs this node has joined. Their keys are pinned when it joins."""

    def __init__(
        self,
        database: Database,
        policy: Policy,
        peers: Peers,
        key: SigningKey,
        identity: Identity,
    ) -> None:
        self.database = database
        self.policy = policy
        self.peers = peers
        self.key = key
        self.identity = identity

    def look(self, actor: Actor, url: str) -> Candidate:
        """Return who answers at an address: a person compares the fingerprint before joining."""
        self.require_join(actor)
        return self._introduced(_address(url))

    def join(
        self,
        actor: Actor,
        url: str,
        token: str,
        fingerprint: str,
        *,
        name: str = "",
        contact: str = "",
    ) -> Membership:
        """Join the hub at an address whose key has this fingerprint.

        Repeating it after a failure half-way is safe. Raises `hub-fingerprint-differs`,
        `already-joined`, `invalid-input`, `hub-unreachable`, and what the hub refuses.
        """
        self.require_join(actor)
        hub = self._introduced(_address(url))
        if hub.fingerprint != fingerprint.strip():
            raise FINGERPRINT_DIFFERS(
                f"The hub shows {hub.fingerprint}; expected was {fingerprint.strip()[:80]}."
            )
        with self.database.read() as connection:
            known = self._by_key(connection, hub.vkey)
        if known is not None and known.state is MembershipState.JOINED:
            raise ALREADY_JOINED(f"This node is known there as “{known.known_as}”.")
        conversation = Conversation(self.peers.at(hub.url), self.key, VerifyKey.parse(hub.vkey))
        request = self._request(token, name, contact)
        return self._keep(actor, hub, conversation.say("enrolments", request, Enrolled))

    def leave(self, actor: Actor, hub_id: str) -> bool:
        """Leave a hub; tell whether the hub knows of it (it may not answer, or have forgotten us).

        Raises `not-joined`.
        """
        membership = self.show(actor, hub_id).membership
        self.require_join(actor)
        if membership.state is not MembershipState.JOINED:
            raise NOT_JOINED("This node has left that hub already.")
        try:
            self.conversation(membership).say("departures", Departure(), Done)
            told = True
        except Refusal:
            told = False
        with unit_of_work(self.database, actor) as work:
            mine = records.memberships.c.hub_id == hub_id
            values = {"state": MembershipState.LEFT.value, "problem": ""}
            work.connection.execute(records.memberships.update().where(mine).values(**values))
            work.connection.execute(
                records.offers.delete().where(records.offers.c.hub_id == hub_id)
            )
            work.record(FederationLeft(hub_id=hub_id))
        return told

    def list(self, actor: Actor) -> Sequence[Membership]:
        """Return the hubs that this node has joined or left, the oldest first."""
        with self.database.read() as connection:
            self.policy.require(connection, actor, "node.view", _NODE)
            return records.membership_rows(connection)

    def show(self, actor: Actor, hub_id: str) -> Status:
        """Return a membership with its offers and questions. Raises `not-joined`."""
        with self.database.read() as connection:
            self.policy.require(connection, actor, "node.view", _NODE)
            membership = _find(connection, hub_id)
            return Status(membership, _offers(connection, hub_id), _questions(connection, hub_id))

    def conversation(self, membership: Membership) -> Conversation:
        """Return a conversation with a joined hub, its key as pinned."""
        hub = VerifyKey.parse(membership.vkey)
        return Conversation(self.peers.at(membership.url), self.key, hub)

    def joined(self) -> Sequence[Membership]:
        """Return the hubs to talk with, for the worker."""
        with self.database.read() as connection:
            live = records.memberships.c.state == MembershipState.JOINED.value
            return records.membership_rows(connection, live)

    def require_join(self, actor: Actor) -> None:
        """Raise `forbidden` unless the actor may join, leave and exchange with hubs."""
        with self.database.read() as connection:
            self.policy.require(connection, actor, "node.join", _NODE)

    def _introduced(self, url: str) -> Candidate:
        hub = self.peers.at(url).introduction()
        try:
            key = VerifyKey.parse(hub.vkey)
        except KeyFileError as problem:
            raise BAD_MESSAGE(f"The hub's key cannot be read. {problem}") from None
        return Candidate(url, hub.name, hub.vkey, key.fingerprint)

    def _request(self, token: str, name: str, contact: str) -> Enrolment:
        try:
            return Enrolment(
                token=token.strip(),
                name=name.strip() or self.identity.name,
                url=self.identity.url,
                contact=contact.strip(),
                vkey=self.key.verify_key.vkey,
                threshold=self.identity.threshold,
            )
        except ValueError as failure:
            wrong = str(failure.errors()[0]["loc"][0])  # type: ignore[attr-defined]
            raise INVALID(
                f"The {wrong} is not acceptable: tokens are hexadecimal, texts are one plain line, "
                "and this node's address (`node.url` in the settings) is http(s)://….",
                field=wrong,
            ) from None

    def _keep(self, actor: Actor, hub: Candidate, enrolled: Enrolled) -> Membership:
        table = records.memberships
        with unit_of_work(self.database, actor) as work:
            values = {
                "url": hub.url,
                "name": enrolled.hub_name,
                "known_as": enrolled.name,
                "node_id": enrolled.node_id,
                "vkey": hub.vkey,
                "fingerprint": hub.fingerprint,
                "state": MembershipState.JOINED.value,
                "joined_at": work.now(),
                "last_contact_at": work.now(),
                "failures": 0,
                "problem": "",
            }
            known = self._by_key(work.connection, hub.vkey)
            hub_id = known.hub_id if known is not None else new_id("fh")
            if known is None:
                work.connection.execute(table.insert().values(hub_id=hub_id, **values))
            else:
                mine = table.c.hub_id == hub_id
                work.connection.execute(table.update().where(mine).values(**values))
            work.record(FederationJoined(hub_id=hub_id, fingerprint=hub.fingerprint))
            work.enqueue(EXCHANGE, hub_id, {})
            return _find(work.connection, hub_id)

    @staticmethod
    def _by_key(connection: Connection, vkey: str) -> Membership | None:
        rows = records.membership_rows(connection, records.memberships.c.vkey == vkey)
        return rows[0] if rows else None


def _address(url: str) -> str:
    url = url.strip().rstrip("/")
    if len(url) > 300 or not url.isprintable() or not url.startswith(("http://", "https://")):  # noqa: PLR2004
        raise INVALID("A hub's address begins with https://.", field="url")
    return url


def _find(connection: Connection, hub_id: str) -> Membership:
    if is_id(hub_id, "fh"):
        rows = records.membership_rows(connection, records.memberships.c.hub_id == hub_id)
        if rows:
            return rows[0]
    raise NOT_JOINED()


def _offers(connection: Connection, hub_id: str) -> list[OfferStatus]:
    table = records.offers
    query = (
        sa.select(table, datasets.c.name, datasets.c.state)
        .join(datasets, datasets.c.dataset_id == table.c.dataset_id)
        .where(table.c.hub_id == hub_id)
        .order_by(table.c.dataset_id.desc())
        .limit(_SHOWN)
    )
    return [
        OfferStatus(
            dataset_id=row.dataset_id,
            title=row.name,
            state=row.state,
            acknowledged_at=row.acknowledged_at,
            current=row.digest == row.acknowledged_digest,
            refusal=row.refusal,
        )
        for row in connection.execute(query)
    ]


def _questions(connection: Connection, hub_id: str) -> list[AnsweredQuestion]:
    table = records.answers
    query = table.select().where(table.c.hub_id == hub_id)
    query = query.order_by(table.c.answered_at.desc(), table.c.query_id).limit(_SHOWN)
    return [records.to_answered(row) for row in connection.execute(query)]

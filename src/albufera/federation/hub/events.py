"""What the hub announces: identifiers, digests and fingerprints."""

from dataclasses import dataclass
from typing import ClassVar

from albufera.kernel.events import Event


@dataclass(frozen=True, kw_only=True)
class NodeInvited(Event):
    """An enrolment token was made."""

    verb: ClassVar[str] = "hub.node-invited"
    token_id: str


@dataclass(frozen=True, kw_only=True)
class NodeEnrolled(Event):
    """A node joined with a token; its key is pinned from now on."""

    verb: ClassVar[str] = "hub.node-enrolled"
    node_id: str
    token_id: str
    fingerprint: str


@dataclass(frozen=True, kw_only=True)
class NodeSuspended(Event):
    """A node's messages are refused, and what it lists is hidden."""

    verb: ClassVar[str] = "hub.node-suspended"
    node_id: str


@dataclass(frozen=True, kw_only=True)
class NodeResumed(Event):
    """A suspended node is heard again."""

    verb: ClassVar[str] = "hub.node-resumed"
    node_id: str


@dataclass(frozen=True, kw_only=True)
class NodeLeft(Event):
    """A node left the federation."""

    verb: ClassVar[str] = "hub.node-left"
    node_id: str


@dataclass(frozen=True, kw_only=True)
class OfferTaken(Event):
    """What a node publishes about a dataset was taken into the catalogue."""

    verb: ClassVar[str] = "hub.offer-taken"
    node_id: str
    dataset_id: str
    digest: str
    state: str


@dataclass(frozen=True, kw_only=True)
class QueryAsked(Event):
    """A user asked all nodes a question."""

    verb: ClassVar[str] = "hub.query-asked"
    query_id: str
    digest: str


@dataclass(frozen=True, kw_only=True)
class QueryAnswered(Event):
    """A node answered a question. The number is not told here."""

    verb: ClassVar[str] = "hub.query-answered"
    query_id: str
    node_id: str
    digest: str
    outcome: str

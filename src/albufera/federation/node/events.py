"""What a node announces of its part in a federation: identifiers, digests, fingerprints."""

from dataclasses import dataclass
from typing import ClassVar

from albufera.kernel.events import Event


@dataclass(frozen=True, kw_only=True)
class FederationJoined(Event):
    """This node joined a hub and pinned its key."""

    verb: ClassVar[str] = "federation.joined"
    hub_id: str
    fingerprint: str


@dataclass(frozen=True, kw_only=True)
class FederationLeft(Event):
    """This node left a hub."""

    verb: ClassVar[str] = "federation.left"
    hub_id: str


@dataclass(frozen=True, kw_only=True)
class DatasetOffered(Event):
    """A hub acknowledged the public metadata of a dataset; the digest is of what was sent."""

    verb: ClassVar[str] = "federation.dataset-offered"
    hub_id: str
    dataset_id: str
    digest: str
    state: str


@dataclass(frozen=True, kw_only=True)
class QueryAnswered(Event):
    """A question of a hub was answered. The digest is of the question; the number is not told."""

    verb: ClassVar[str] = "federation.query-answered"
    hub_id: str
    query_id: str
    digest: str
    outcome: str

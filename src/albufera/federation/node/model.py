"""A node's memberships, offers and answers, as the node itself keeps them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from albufera.federation.expressions import Expression
from albufera.federation.model import Told
from albufera.kernel.errors import define

FIRST_PAUSE = timedelta(seconds=5)
LONGEST_PAUSE = timedelta(minutes=5)
"""After failures the pause doubles, from the first to the longest."""


class MembershipState(StrEnum):
    """Whether a node takes part."""

    JOINED = "joined"
    LEFT = "left"


NOT_JOINED = define(
    "not-joined",
    404,
    "This node has not joined that hub.",
    "`albufera node status` lists the hubs; join one with `albufera node join URL --token T`.",
)
ALREADY_JOINED = define(
    "already-joined",
    409,
    "This node has joined that hub already.",
    "`albufera node status` tells how it stands; leave first to join anew.",
)
FINGERPRINT_DIFFERS = define(
    "hub-fingerprint-differs",
    409,
    "The hub's key is not the one that was expected.",
    "Ask the hub's operator for the fingerprint by another way; do not join until they agree.",
)


@dataclass(frozen=True)
class Candidate:
    """A hub that may be joined, as it introduces itself."""

    url: str
    name: str
    vkey: str
    fingerprint: str


@dataclass(frozen=True)
class Membership:
    """This node's place at a hub. `problem` says what went wrong at the last contact."""

    hub_id: str
    url: str
    name: str
    known_as: str
    node_id: str
    vkey: str
    fingerprint: str
    state: MembershipState
    joined_at: datetime
    last_contact_at: datetime | None
    failures: int
    problem: str

    @property
    def pause(self) -> timedelta:
        """How long to wait before the hub is tried again after failures."""
        return min(LONGEST_PAUSE, FIRST_PAUSE * int(2 ** min(self.failures, 10)))


@dataclass(frozen=True)
class OfferStatus:
    """How far a dataset's metadata have come to a hub."""

    dataset_id: str
    title: str
    state: str
    acknowledged_at: datetime | None
    current: bool
    refusal: str


@dataclass(frozen=True)
class AnsweredQuestion:
    """What was asked, and what was told."""

    query_id: str
    expression: Expression
    asker: str
    outcome: str
    subjects: Told | None
    studies: Told | None
    note: str
    answered_at: datetime
    delivered_at: datetime | None


@dataclass(frozen=True)
class Status:
    """A membership with what went to and fro."""

    membership: Membership
    offers: Sequence[OfferStatus]
    questions: Sequence[AnsweredQuestion]


@dataclass(frozen=True)
class Exchanged:
    """What one exchange with a hub moved."""

    offered: int = 0
    refused: int = 0
    answered: int = 0

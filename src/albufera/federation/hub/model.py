"""Nodes, listed datasets and questions, as the hub knows them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from albufera.federation.expressions import Expression
from albufera.federation.messages import DatasetOffer
from albufera.federation.model import Told
from albufera.kernel.errors import define
from albufera.kernel.transitions import Transitions

TOKEN_LIFETIME = timedelta(days=7)
NONCE_LIFETIME = timedelta(minutes=15)
"""Longer than a message stays fresh: a nonce is forgotten only when its message is stale."""
QUESTION_LIFETIME = timedelta(hours=24)
SILENCE = timedelta(minutes=2)
"""A node that said nothing for so long is shown as offline."""
MAX_NAME = 80


class NodeState(StrEnum):
    """Where a node is in its life at the hub."""

    ENROLLED = "enrolled"
    SUSPENDED = "suspended"
    LEFT = "left"


NODE_LIFE = Transitions(
    "node",
    {
        (NodeState.ENROLLED, "suspend"): NodeState.SUSPENDED,
        (NodeState.ENROLLED, "leave"): NodeState.LEFT,
        (NodeState.SUSPENDED, "resume"): NodeState.ENROLLED,
        (NodeState.SUSPENDED, "leave"): NodeState.LEFT,
        (NodeState.LEFT, "enrol"): NodeState.ENROLLED,
    },
)

BAD_TOKEN = define(
    "enrolment-token-invalid",
    403,
    "The enrolment token is unknown, used or expired.",
    "Ask the hub's operator for a new one (`albufera hub enrol NAME`); it is good for seven days.",
)
UNKNOWN_NODE = define(
    "node-unknown",
    403,
    "The hub does not know this node's key.",
    "Join with a token of the hub's operator: `albufera node join URL --token T`.",
)
NODE_SUSPENDED = define(
    "node-suspended",
    403,
    "The hub's operator has suspended this node.",
    "Ask the hub's operator why; nothing is lost, and all is sent when the node is resumed.",
)
NODE_NOT_FOUND = define(
    "hub-node-not-found",
    404,
    "The hub has no such node.",
    "`albufera hub nodes` lists the nodes.",
)
ENTRY_NOT_FOUND = define(
    "catalogue-entry-not-found",
    404,
    "The federation lists no such dataset.",
    "Search the hub's catalogue; a dataset whose node has left is not listed any more.",
)
QUERY_NOT_FOUND = define(
    "query-not-found",
    404,
    "There is no such question, or none that you may know of.",
    "The page of questions lists yours.",
)
TOO_MANY_QUESTIONS = define(
    "too-many-questions",
    429,
    "You have asked as many questions as one person may ask in a day.",
    "Wait until tomorrow. The bound keeps anybody from piecing single people together.",
)


@dataclass(frozen=True)
class EnrolledNode:
    """A node of the federation. `name` is what the hub's operator called it."""

    node_id: str
    name: str
    own_name: str
    url: str
    contact: str
    fingerprint: str
    threshold: int
    state: NodeState
    enrolled_at: datetime
    seen_at: datetime
    datasets: int = 0

    def is_silent(self, now: datetime) -> bool:
        """Tell whether nothing was heard from it lately."""
        return now - self.seen_at > SILENCE


@dataclass(frozen=True)
class Entry:
    """A dataset in the hub's catalogue."""

    entry_id: str
    node_id: str
    node_name: str
    offer: DatasetOffer
    received_at: datetime


@dataclass(frozen=True)
class Search:
    """What is looked for: words, and the wanted values of each facet (any of them)."""

    words: str = ""
    facets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def without(self, name: str) -> "Search":
        """Return the search without one facet: what its values are counted over."""
        return Search(self.words, {key: v for key, v in self.facets.items() if key != name})


@dataclass(frozen=True)
class FacetValue:
    """A value of a facet and the number of datasets that have it."""

    value: str
    label: str
    datasets: int


@dataclass(frozen=True)
class Query:
    """A question that was asked of all nodes."""

    query_id: str
    asked_by: str
    expression: Expression
    digest: str
    asked_at: datetime
    deadline: datetime


class Standing(StrEnum):
    """How a node stands to a question."""

    ANSWERED = "answered"
    NOT_UNDERSTOOD = "not-understood"
    REFUSED = "refused"
    WAITING = "waiting"
    OFFLINE = "offline"
    EXPIRED = "expired"


@dataclass(frozen=True)
class NodeAnswer:
    """What one node has said to a question, or that it has not yet."""

    node_id: str
    node_name: str
    standing: Standing
    subjects: Told | None = None
    studies: Told | None = None
    answered_at: datetime | None = None
    note: str = ""


@dataclass(frozen=True)
class Result:
    """A question with what the nodes have said so far."""

    query: Query
    answers: Sequence[NodeAnswer]

    @property
    def subjects(self) -> int:
        """What all nodes together have at least; nodes with too few add nothing."""
        return sum(answer.subjects.sure for answer in self.answers if answer.subjects)

    @property
    def studies(self) -> int:
        """The studies that all nodes together have at least."""
        return sum(answer.studies.sure for answer in self.answers if answer.studies)

    @property
    def answered(self) -> int:
        """How many nodes have answered."""
        return sum(answer.standing is Standing.ANSWERED for answer in self.answers)

    @property
    def is_open(self) -> bool:
        """Whether answers may still come."""
        return any(a.standing in {Standing.WAITING, Standing.OFFLINE} for a in self.answers)

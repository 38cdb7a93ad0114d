"""What both sides of a federation share: refusals, limits, and counts that tell no few."""

from dataclasses import dataclass
from datetime import timedelta

from albufera.kernel.errors import define

FRESHNESS = timedelta(minutes=5)
"""How far a message's time may be from the receiver's clock, either way."""

BAD_MESSAGE = define(
    "federation-bad-message",
    400,
    "The message is not one of this protocol.",
    "Bring both sides to versions that speak the same protocol; the message names what is wrong.",
)
BAD_SIGNATURE = define(
    "federation-bad-signature",
    403,
    "The message's signature does not hold.",
    "Check that the key is the one that was exchanged at enrolment; somebody may have interfered.",
)
STALE_MESSAGE = define(
    "federation-stale-message",
    403,
    "The message is too old, or from the future.",
    "Set the clocks of both machines (NTP); the message is sent again by itself.",
)
REPLAYED_MESSAGE = define(
    "federation-replayed-message",
    403,
    "A message with this nonce was received before.",
    "Nothing is to be done: every message is signed anew when it is sent again.",
)
WRONG_ADDRESSEE = define(
    "federation-wrong-addressee",
    403,
    "The message is addressed to somebody else.",
    "Check the hub's address and fingerprint; somebody may have passed a message on.",
)
HUB_UNREACHABLE = define(
    "hub-unreachable",
    503,
    "The hub does not answer.",
    "Check the address and the network; what is to be sent is kept and sent again by itself.",
)
PLAIN_HTTP = define(
    "hub-plain-http",
    422,
    "The hub's address is not an HTTPS one.",
    "Use the https:// address of the hub; plain HTTP is for the machine itself only.",
)


@dataclass(frozen=True)
class Told:
    """How many there are, as far as it is told: `at_least`, or `fewer_than` a threshold.

    Exactly one of them is set. `at_least` is a multiple of `resolution`; `fewer_than` equals it,
    and includes none at all.
    """

    resolution: int
    at_least: int | None = None
    fewer_than: int | None = None

    def __post_init__(self) -> None:
        if (self.at_least is None) == (self.fewer_than is None):
            raise ValueError("a count is told either as at least, or as fewer than")

    @property
    def words(self) -> str:
        """The count for people."""
        if self.at_least is None:
            return f"fewer than {self.fewer_than}"
        return f"at least {self.at_least:,}"

    @property
    def sure(self) -> int:
        """What may be added up: 0 when it is too few to be told."""
        return self.at_least or 0

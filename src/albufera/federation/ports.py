"""Where the federation touches the outside: how a node reaches a hub."""

from collections.abc import Mapping
from typing import Any, Protocol

from albufera.federation.messages import Introduction, Kind


class Peer(Protocol):
    """A hub as a node reaches it. The node begins every exchange; a hub never reaches a node.

    Peers carry messages and do not look into them: whoever sends signs, whoever receives verifies.
    """

    def introduction(self) -> Introduction:
        """Return what the hub says of itself. Nobody has vouched for it yet.

        MUST raise `hub-unreachable` when there is no answer, `federation-bad-message` when the
        answer is not an introduction.
        """
        ...

    def send(self, kind: Kind, envelope: Mapping[str, Any]) -> object:
        """Deliver a signed envelope; return the hub's envelope, unverified.

        MUST raise the hub's own refusal under its code when it refuses, `hub-unreachable` when
        there is no answer, and `federation-bad-message` when the answer is no JSON or larger than
        `MAX_MESSAGE_BYTES`. MUST deliver at most once per call.
        """
        ...


class Peers(Protocol):
    """Finds the peer behind an address."""

    def at(self, url: str) -> Peer:
        """Return the peer at a hub's address. MUST raise `hub-plain-http` where that is unsafe."""
        ...


class Desk(Protocol):
    """A hub's counter, where messages are handed in: what serves HTTP, or a peer in-process."""

    def introduction(self) -> Introduction:
        """Return who this hub is."""
        ...

    def receive(self, kind: Kind, body: bytes) -> dict[str, object]:
        """Take one message; return the signed answer. Raises refusals."""
        ...

"""A double of the network: hubs of this very process, for tests and rehearsals.

Messages go through their bytes, as they would on the wire, and are kept for a test to look at.
"""

from collections.abc import Mapping
from typing import Any

from albufera.federation.messages import MAX_MESSAGE_BYTES, Introduction, Kind
from albufera.federation.model import HUB_UNREACHABLE
from albufera.federation.ports import Desk
from albufera.kernel.canonical import canonical_bytes, read_json


class InProcessPeers:
    """Hubs by made-up addresses."""

    def __init__(self, desks: Mapping[str, Desk] | None = None) -> None:
        self.desks = dict(desks or {})
        self.wire: list[tuple[str, bytes]] = []
        self.unreachable = False

    def at(self, url: str) -> "InProcessPeer":
        """Return the peer at an address."""
        return InProcessPeer(self, url.rstrip("/"))

    def desk(self, url: str) -> Desk:
        """Return the desk behind an address. Raises `hub-unreachable`."""
        if self.unreachable or url not in self.desks:
            raise HUB_UNREACHABLE(f"{url}: nobody there.")
        return self.desks[url]


class InProcessPeer:
    """One hub of this process."""

    def __init__(self, peers: InProcessPeers, url: str) -> None:
        self._peers = peers
        self._url = url

    def introduction(self) -> Introduction:
        """Ask the hub who it is."""
        return self._peers.desk(self._url).introduction()

    def send(self, kind: Kind, envelope: Mapping[str, Any]) -> object:
        """Hand the envelope in."""
        body = canonical_bytes(dict(envelope))
        desk = self._peers.desk(self._url)
        self._peers.wire.append((kind, body))
        answer = canonical_bytes(desk.receive(kind, body))
        return read_json(answer, MAX_MESSAGE_BYTES)

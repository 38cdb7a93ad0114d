"""Wires a node's part in federations."""

import hashlib
from dataclasses import dataclass
from datetime import timedelta

from albufera.bootstrap.home import Home
from albufera.federation.backends.https import HttpsPeers
from albufera.federation.node.answering import AnsweringService
from albufera.federation.node.exchange import ExchangeService
from albufera.federation.node.holdings import Holdings
from albufera.federation.node.membership import Identity, MembershipService
from albufera.kernel.database import Database
from albufera.kernel.policy import Policy
from albufera.settings import Settings


@dataclass(frozen=True)
class Federation:
    """The services by which a node takes part in federations."""

    memberships: MembershipService
    exchange: ExchangeService


def open_federation(
    settings: Settings, home: Home, database: Database, policy: Policy
) -> Federation:
    """Wire memberships and exchange; nothing is contacted yet."""
    chosen = settings.federation
    peers = HttpsPeers(allow_plain=chosen.allow_plain_http)
    identity = Identity(settings.node.name, settings.node.url, chosen.small_count_threshold)
    memberships = MembershipService(database, policy, peers, home.node_key(), identity)
    secret = hashlib.blake2b(home.master_secret(), person=b"disclosure", digest_size=32).digest()
    answering = AnsweringService(
        database, secret, chosen.small_count_threshold, chosen.questions_per_day
    )
    holdings = Holdings(settings.node.url, chosen.small_count_threshold)
    every = timedelta(seconds=chosen.poll_seconds)
    return Federation(memberships, ExchangeService(memberships, holdings, answering, every))

"""Wires publication: the registrar, the proofs of the log, the tasks that give identifiers."""

from albufera.bootstrap.home import Home
from albufera.bootstrap.log_proofs import TraceProofs
from albufera.catalogue.lifecycle import MINT, TOMBSTONE, LifecycleService
from albufera.kernel.worker import Handler
from albufera.publication.backends.local import LocalRegistrar
from albufera.publication.minting import Minter
from albufera.publication.model import Publisher
from albufera.publication.service import PublicationService
from albufera.settings import NodeSettings
from albufera.trace.service import TraceService


def open_publication(
    node: NodeSettings, home: Home, lifecycle: LifecycleService, trace: TraceService
) -> tuple[PublicationService, dict[str, Handler]]:
    """Return the service and the handlers of its tasks.

    Identifiers bear the name of the node's key: it stays when the node is renamed.
    """
    database, policy, key = lifecycle.database, lifecycle.policy, home.node_key()
    publisher = Publisher(node.name, node.url)
    registrar = LocalRegistrar(database, key.verify_key.name.partition("/")[0])
    minter = Minter(database, policy, lifecycle, registrar, publisher)
    service = PublicationService(database, policy, publisher, TraceProofs(trace), key)
    return service, {MINT: minter.mint_handler(), TOMBSTONE: minter.tombstone_handler()}

"""Proofs from the log, in the words of publication's ports. Checking one needs no node."""

from collections.abc import Mapping

from albufera.kernel.actor import SYSTEM
from albufera.kernel.pages import PageRequest
from albufera.publication.model import CitationError
from albufera.publication.ports import LoggedFact
from albufera.trace.proof import InvalidProof, verify
from albufera.trace.records import EntryQuery, Order
from albufera.trace.service import TraceService


class TraceProofs:
    """Proofs of this node's log (`publication.ports.LogProofs`)."""

    def __init__(self, trace: TraceService) -> None:
        self._trace = trace

    def first(self, verb: str, dataset_id: str) -> Mapping[str, object] | None:
        """Return the proof of the first such event about a dataset; None while there is none."""
        query = EntryQuery(verb=verb, about=dataset_id, order=Order.OLDEST_FIRST)
        found = self._trace.entries(SYSTEM, query, PageRequest(None, 1)).items
        return self._trace.proof(SYSTEM, found[0].index).document() if found else None


def check_log_proof(document: object, trusted_vkey: str | None) -> LoggedFact:
    """Check a proof document, offline (`publication.ports.CheckLogProof`)."""
    try:
        verdict = verify(document, trusted_vkey)
    except InvalidProof as problem:
        raise CitationError(str(problem)) from None
    return LoggedFact(
        verb=verdict.entry.verb,
        at=verdict.entry.at,
        index=verdict.entry.index,
        subjects=verdict.entry.subjects,
        log_key=verdict.key.identity,
        fingerprint=verdict.key.fingerprint,
        log_size=verdict.checkpoint.size,
        trusted=verdict.trusted,
    )

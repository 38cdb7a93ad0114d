"""What publication needs of others: a registrar of identifiers, and proofs from the log."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from albufera.publication.model import IdentifierState


class UnknownIdentifier(LookupError):
    """The registrar never gave this identifier."""


class IdentifierGone(Exception):
    """The identifier was tombstoned: its registration cannot change any more."""


@dataclass(frozen=True)
class Registration:
    """What a registrar knows of an identifier. `url` is where it leads, "" while only reserved."""

    identifier: str
    dataset_id: str
    state: IdentifierState
    url: str
    metadata: Mapping[str, Any]


class Registrar(Protocol):
    """Gives persistent identifiers. Called from the outbox only, at least once, never exactly once.

    A registrar MUST be durable: what a call returned survives any crash after it.
    """

    def reserve(self, dataset_id: str) -> str:
        """Return the dataset's identifier.

        MUST return the same one for the same dataset, however often and from however many
        processes it is asked, and MUST never have given it to another, not even one tombstoned.
        MUST be visible ASCII without spaces, at most `MAX_IDENTIFIER` characters. Nothing resolves
        yet.
        """
        ...

    def register(self, identifier: str, url: str, metadata: Mapping[str, Any]) -> None:
        """Make a reserved identifier resolve to `url` with public metadata (JSON).

        MUST replace both when it is registered already; the same again MUST change nothing. MUST
        raise `UnknownIdentifier`, `IdentifierGone`.
        """
        ...

    def tombstone(self, identifier: str, metadata: Mapping[str, Any]) -> None:
        """Mark a registered identifier as withdrawn, with the metadata that remain.

        It MUST go on resolving. Again MUST change nothing. MUST raise `UnknownIdentifier`, also for
        one that is only reserved.
        """
        ...

    def resolve(self, identifier: str) -> Registration | None:
        """Return what is registered, MUST return None for what this registrar never gave."""
        ...


class LogProofs(Protocol):
    """Proofs that events about a dataset are in the log."""

    def first(self, verb: str, dataset_id: str) -> Mapping[str, object] | None:
        """Return the proof document of the first such event; None while the log has none."""
        ...


@dataclass(frozen=True)
class LoggedFact:
    """An entry of a log that a proof has shown to be there.

    `log_key` is the identity of the key that signed the log's head, `trusted` whether it is the one
    that the person brought along.
    """

    verb: str
    at: str
    index: int
    subjects: Mapping[str, str | int]
    log_key: str
    fingerprint: str
    log_size: int
    trusted: bool


class CheckLogProof(Protocol):
    """Checks a proof document, offline."""

    def __call__(self, document: object, trusted_vkey: str | None) -> LoggedFact:
        """Return what is proven. MUST raise `CitationError` when nothing is."""
        ...

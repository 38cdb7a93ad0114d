"""Verbs of the log: append, read, prove."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.engine import Connection, Row

from albufera.kernel import merkle
from albufera.kernel.actor import Actor
from albufera.kernel.database import Database
from albufera.kernel.errors import INVALID
from albufera.kernel.merkle import HASH_SIZE, ProofError
from albufera.kernel.pages import Page, PageRequest, cut
from albufera.kernel.policy import Columns, Policy, Thing
from albufera.kernel.signing import SigningKey
from albufera.trace import records, tiles
from albufera.trace.appender import Appender
from albufera.trace.errors import ENTRY_NOT_FOUND, LOG_EMPTY, LOG_TAMPERED, TILE_NOT_FOUND
from albufera.trace.model import Checkpoint, Entry, InvalidCheckpoint, InvalidEntry
from albufera.trace.proof import InvalidProof, Proof, verify
from albufera.trace.records import EntryQuery
from albufera.trace.tiles import TileRequest

MAX_ABOUT = 1000
_MAX_DIGITS = 16
_WHOLE_LOG = Thing("trace")


@dataclass(frozen=True)
class SignedHead:
    """The newest checkpoint, as it is published.

    `note` is the signed note, `vkey` the public key that checks it.
    """

    checkpoint: Checkpoint
    note: str
    signed_at: datetime
    vkey: str


class TraceService:
    """The log of this node."""

    def __init__(self, database: Database, policy: Policy, key: SigningKey) -> None:
        self.database = database
        self.policy = policy
        self.key = key.verify_key
        self.appender = Appender(database, key)

    def append(self) -> int:
        """Take all waiting events into the log; return how many. Raises `trace-tampered`."""
        return self.appender.append()

    def checkpoint(self) -> SignedHead:
        """Return the newest signed head, for anybody. Raises `trace-log-empty`."""
        with self.database.read() as connection:
            return self._head(connection)

    def entries(self, actor: Actor, query: EntryQuery, page: PageRequest) -> Page[Entry]:
        """Return the entries that match and that `actor` may see. Raises `invalid-input`."""
        after = page.after
        if after is not None and not (after.isascii() and after.isdigit()):
            raise INVALID("“after” is the number of an entry.", field="after")
        if after is not None and len(after) > _MAX_DIGITS:
            return Page([], None)
        wanted = (query.verb, query.actor_id, query.project_id, query.about)
        if any("\x00" in text for text in wanted if text is not None):
            return Page([], None)
        with self.database.read() as connection:
            rows = records.entries_matching(connection, query, self._visible(actor), page)
        found = cut(rows, page, lambda row: str(row.entry_index))
        return Page([_entry(row) for row in found.items], found.next_after)

    def entry(self, actor: Actor, index: int) -> Entry:
        """Return the entry at a place. Raises `trace-entry-not-found`."""
        with self.database.read() as connection:
            row = records.entry_at(connection, index)
            return self._permitted(connection, actor, row)

    def entry_of_event(self, actor: Actor, event_id: str) -> Entry:
        """Return the entry of an event. Raises `trace-entry-not-found`, also while it waits."""
        with self.database.read() as connection:
            row = None if "\x00" in event_id else records.entry_of_event(connection, event_id)
            return self._permitted(connection, actor, row)

    def proof(self, actor: Actor, index: int) -> Proof:
        """Return the proof that an entry is in the log. Raises `trace-entry-not-found`."""
        with self.database.read() as connection:
            row = records.entry_at(connection, index)
            return self._prove(connection, self._permitted(connection, actor, row))

    def consistency(self, first: int, second: int) -> list[bytes]:
        """Return the proof that the log of `second` entries extends that of `first`.

        For anybody, as the hashes are public (RFC 6962 §2.1.2). Raises `invalid-input`.
        """
        with self.database.read() as connection:
            size = self._head(connection).checkpoint.size
            if not 0 <= first <= second <= size:
                raise INVALID(f"The sizes do not follow each other up to {size}.", field="second")
            nodes = merkle.consistency_nodes(first, second)
            stored = records.tiles_of(connection, nodes)
        try:
            return merkle.consistency_proof(
                first, second, lambda level, place: tiles.hash_at(stored, level, place)
            )
        except ProofError as problem:
            raise LOG_TAMPERED(f"The stored tree is not whole. {problem}") from None

    def proof_of_event(self, connection: Connection, event_id: str) -> Proof:
        """Return the proof of an event's entry, for callers that have asked the policy.

        Raises `trace-entry-not-found` while the log has not taken the event (`append` does).
        """
        row = records.entry_of_event(connection, event_id)
        if row is None:
            raise ENTRY_NOT_FOUND(f"The log does not hold the event {event_id}, or not yet.")
        return self._prove(connection, _entry(row))

    def entries_about(self, connection: Connection, key: str, value: str) -> Sequence[Entry]:
        """Return the entries with this subject, oldest first, at most `MAX_ABOUT`.

        For callers that have asked the policy: `entries_about(c, "dataset_id", "ds-…")`.
        """
        found = records.entries_with_subject(connection, key, value, MAX_ABOUT)
        return [_entry(row) for row in found]

    def tile(self, request: TileRequest) -> bytes:
        """Return hashes of the tree, for anybody: they tell nothing. Raises `trace-tile-not-found`.

        A partial tile is the beginning of the full one, and stays to be had (C2SP tlog-tiles).
        """
        address = (request.level or 0, request.number)
        with self.database.read() as connection:
            hashes = records.read_tiles(connection, [address]).get(address, b"")
        wanted = hashes[: request.width * HASH_SIZE]
        if len(wanted) < request.width * HASH_SIZE:
            raise TILE_NOT_FOUND()
        return wanted

    def bundle(self, actor: Actor, request: TileRequest) -> bytes:
        """Return the leaves under a tile, to whoever may verify the whole log.

        Leaves name projects and people by their identifiers, of every tenant. Raises `forbidden`,
        `trace-tile-not-found`.
        """
        with self.database.read() as connection:
            self.policy.require(connection, actor, "trace.verify", _WHOLE_LOG)
            start = request.number * tiles.WIDTH
            leaves = records.leaves(connection, start, request.width)
        if len(leaves) < request.width:
            raise TILE_NOT_FOUND()
        return tiles.bundle(leaves)

    def _visible(self, actor: Actor) -> Any:
        table = records.entries
        columns = Columns(
            id=table.c.event_id, project_id=table.c.project_id, owner_id=table.c.actor_id
        )
        return self.policy.which(actor, "trace.view", columns)

    def _permitted(self, connection: Connection, actor: Actor, row: Row[Any] | None) -> Entry:
        if row is None:
            raise ENTRY_NOT_FOUND()
        thing = Thing("trace", row.event_id, row.project_id, row.actor_id)
        if not self.policy.may(connection, actor, "trace.view", thing):
            raise ENTRY_NOT_FOUND()
        return _entry(row)

    def _head(self, connection: Connection) -> SignedHead:
        row = records.latest_checkpoint(connection)
        if row is None:
            raise LOG_EMPTY()
        try:
            checkpoint = Checkpoint.open(row.note, [self.key])
        except InvalidCheckpoint as problem:
            raise LOG_TAMPERED(f"The newest checkpoint does not hold. {problem}") from None
        return SignedHead(checkpoint, row.note, row.signed_at, self.key.vkey)

    def _prove(self, connection: Connection, entry: Entry) -> Proof:
        """Build the proof from O(log n) tiles, and hand out none that does not hold."""
        head = self._head(connection)
        size = head.checkpoint.size
        try:
            nodes = merkle.inclusion_nodes(size, entry.index)
            stored = records.tiles_of(connection, nodes)
            path = merkle.inclusion_proof(
                size, entry.index, lambda level, place: tiles.hash_at(stored, level, place)
            )
            proof = Proof(entry, size, tuple(path), head.note, head.vkey)
            verify(proof.document(), head.vkey)
        except (ProofError, InvalidProof) as problem:
            raise LOG_TAMPERED(f"Entry {entry.index} cannot be proved. {problem}") from None
        return proof


def _entry(row: Row[Any]) -> Entry:
    try:
        return Entry.parse(json.loads(row.leaf))
    except (InvalidEntry, ValueError) as problem:
        raise LOG_TAMPERED(f"Entry {row.entry_index} cannot be read. {problem}") from None

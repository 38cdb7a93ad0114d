"""The only writer of the log: takes waiting events, in batches, each in one transaction.

The entries, the tree over them, the signed checkpoint and the mark on the events commit together:
whatever dies, at any instant, an event is either waiting or in the log once. The row of the head is
locked first, so that of several processes one appends and the others wait for it.
"""

import logging
import time
from collections.abc import Sequence
from typing import Any

from sqlalchemy.engine import Connection, Row
from sqlalchemy.exc import IntegrityError

from albufera.kernel import clock
from albufera.kernel.crashes import crash_point
from albufera.kernel.database import Database
from albufera.kernel.errors import Refusal
from albufera.kernel.merkle import HASH_SIZE, Frontier, Node, leaf_hash
from albufera.kernel.outbox import mark_logged, waiting_events
from albufera.kernel.signing import SigningKey
from albufera.trace import records
from albufera.trace.errors import LOG_TAMPERED
from albufera.trace.facts import entry_of, identifiers
from albufera.trace.model import Checkpoint, Entry, InvalidCheckpoint
from albufera.trace.tiles import HEIGHT, WIDTH, Address

logger = logging.getLogger(__name__)

BATCH = 500
"""Most events taken in one transaction."""

MAX_BATCHES = 40
"""After so many the worker looks after its tasks again; the rest is taken at its next turn."""


REST = 60.0
"""Seconds between two tries while the log is found tampered with; events wait meanwhile."""


class Appender:
    """Appends waiting events to the log and signs its head."""

    def __init__(self, database: Database, key: SigningKey) -> None:
        self.database = database
        self.key = key
        self._rest_until = 0.0

    def chore(self) -> None:
        """Append as the worker does between tasks: a broken log is reported once a minute."""
        if time.monotonic() < self._rest_until:
            return
        try:
            self.append()
        except Refusal as refusal:
            self._rest_until = time.monotonic() + REST
            logger.critical("Nothing is appended to the log. %s %s", refusal, refusal.error.remedy)

    def append(self) -> int:
        """Take what waits; return the number of new entries. Cheap when nothing waits.

        Raises `trace-tampered` rather than sign a head that does not extend the last signed one.
        """
        total = 0
        for _ in range(MAX_BATCHES):
            with self.database.read() as connection:
                if not records.has_waiting(connection):
                    break
            total += self._append_batch()
        return total

    def _append_batch(self) -> int:
        with self.database.write() as connection:
            frontier = records.lock_head(connection)
            if frontier is not None:
                count = self._take(connection, frontier)
                crash_point("trace.before-commit")
        if frontier is None:
            self._open_log()
            return self._append_batch()
        crash_point("trace.after-commit")
        return count

    def _open_log(self) -> None:
        """Begin the log, unless another process does so at the same moment."""
        try:
            with self.database.write() as connection:
                records.open_log(connection)  # from here on nobody else can
                if records.latest_checkpoint(connection) or records.has_logged(connection):
                    raise LOG_TAMPERED("The head of the log is gone, though events were logged.")
        except IntegrityError:
            return

    def _take(self, connection: Connection, frontier: Frontier) -> int:
        waiting = waiting_events(connection, BATCH)
        if not waiting:
            return 0
        self._require_signed(connection, frontier)
        logged = records.already_logged(connection, [row.event_id for row in waiting])
        fresh = [row for row in waiting if row.event_id not in logged]
        if fresh:
            self._write(connection, frontier, fresh)
        mark_logged(connection, [row.sequence for row in waiting])
        return len(fresh)

    def _write(self, connection: Connection, frontier: Frontier, facts: Sequence[Row[Any]]) -> None:
        first = frontier.size
        made = [entry_of(first + place, fact) for place, fact in enumerate(facts)]
        rows = [_row(entry) for entry in made]
        nodes = [node for row in rows for node in frontier.append(row["leaf_hash"])]
        connection.execute(records.entries.insert(), rows)
        found = [
            {"entry_index": entry.index, "key": key, "value": value}
            for entry in made
            for key, value in identifiers(entry)
        ]
        if found:
            connection.execute(records.subjects.insert(), found)
        crash_point("trace.entries-written")
        _grow_tiles(connection, first, nodes)
        records.move_head(connection, frontier)
        crash_point("trace.tree-written")
        self._sign(connection, frontier)
        crash_point("trace.checkpoint-written")

    def _sign(self, connection: Connection, frontier: Frontier) -> None:
        checkpoint = Checkpoint(self.key.verify_key.name, frontier.size, frontier.root())
        note = checkpoint.sign(self.key)
        records.store_checkpoint(connection, frontier.size, note, clock.now())

    def _require_signed(self, connection: Connection, frontier: Frontier) -> None:
        """A log must never sign two heads of which neither extends the other (C2SP)."""
        last = records.latest_checkpoint(connection)
        if last is None and frontier.size == 0:
            return
        try:
            signed = Checkpoint.open(last.note if last else "", [self.key.verify_key])
        except InvalidCheckpoint as problem:
            raise LOG_TAMPERED(f"The last checkpoint of the log does not hold. {problem}") from None
        if (signed.size, signed.root) != (frontier.size, frontier.root()):
            raise LOG_TAMPERED("The head of the log is not the one that was signed last.")


def _row(entry: Entry) -> dict[str, Any]:
    leaf = entry.leaf_bytes()
    return {
        "entry_index": entry.index,
        "event_id": entry.event_id,
        "verb": entry.verb,
        "actor_id": entry.actor_id,
        "project_id": entry.project_id,
        "at": entry.at,
        "leaf": leaf,
        "leaf_hash": leaf_hash(leaf),
    }


def _grow_tiles(connection: Connection, first: int, nodes: Sequence[Node]) -> None:
    """Add the new nodes to their tiles; the rightmost of each level may exist, and grows."""
    edges = [(level, (first >> (level * HEIGHT)) // WIDTH) for level in range(8)]
    present = records.read_tiles(connection, edges)
    changed: dict[Address, bytearray] = {}
    for level, position, digest in nodes:
        if level % HEIGHT:
            continue
        address = (level // HEIGHT, position // WIDTH)
        if address not in changed:
            changed[address] = bytearray(present.get(address, b""))
        if len(changed[address]) != position % WIDTH * HASH_SIZE:
            raise LOG_TAMPERED(f"The stored tree has lost or gained hashes in tile {address}.")
        changed[address] += digest
    written = {address: bytes(hashes) for address, hashes in changed.items()}
    records.write_tiles(connection, written, present)

"""Reading the whole log again, and saying what is wrong with it and where first.

Every row is read once, in order, in bounded memory. The leaf of each entry is compared with the
event it stands for, with the columns that lists are filtered by, and with the stored tree; the tree
with every signed checkpoint. A checkpoint's root over a prefix of what is read shows more than a
consistency proof would: each checkpoint extends all before it.
"""

from collections.abc import Callable

from sqlalchemy.engine import Connection

from albufera.kernel import merkle
from albufera.kernel.database import Database
from albufera.kernel.signing import VerifyKey
from albufera.trace import rows
from albufera.trace.findings import MAX_FINDINGS, Finding, Report
from albufera.trace.heads import SignedHeads
from albufera.trace.model import Checkpoint
from albufera.trace.regrowth import Regrowth
from albufera.trace.rowcheck import check_row
from albufera.trace.tiles import WIDTH, tiles_at

CHUNK = 4 * WIDTH
"""Entries read at a time."""

Progress = Callable[[int, int], None]
"""Told (entries read, entries in all) after each chunk; may raise to stop."""


class Inspector:
    """Verifies the log of a database."""

    def __init__(self, database: Database, key: VerifyKey) -> None:
        self.database = database
        self.key = key

    def inspect(self, progress: Progress, kept: Checkpoint | None = None) -> Report:
        """Read the log; `kept` is a checkpoint of it that somebody has kept elsewhere."""
        with self.database.read() as connection:
            if not self.database.is_sqlite:  # there a reading transaction is a snapshot anyway
                connection.execution_options(isolation_level="REPEATABLE READ")
            return _Inspection(connection, self.key, kept).run(progress)


class _Inspection:
    """One reading of the log."""

    def __init__(self, connection: Connection, key: VerifyKey, kept: Checkpoint | None) -> None:
        self.connection = connection
        self.findings: list[Finding] = []
        self.total_findings = 0
        self.entries = 0
        self.tree = Regrowth(connection, self.find)
        self.heads = SignedHeads(connection, key, kept, self.find)

    def find(self, index: int | None, sentence: str) -> None:
        """Note something wrong, about an entry or about none in particular."""
        self.total_findings += 1
        if len(self.findings) < MAX_FINDINGS:
            self.findings.append(Finding(index, sentence))

    def run(self, progress: Progress) -> Report:
        """Read everything and report."""
        head = rows.stored_head(self.connection)
        size = head.size if head is not None else rows.last_index(self.connection) + 1
        for chunk in rows.chunks(self.connection, CHUNK):
            for row in chunk:
                self._entry(row, size)
            progress(self.entries, size)
        self._skip_to(size)
        self.heads.end(self.tree)
        self.tree.end()
        self._compare_head(head)
        self._compare_rest()
        first = sorted(self.findings, key=lambda f: (f.index is None, f.index or 0))
        root = self.tree.frontier.root().hex()
        return Report(self.entries, self.heads.compared, root, tuple(first), self.total_findings)

    def _entry(self, row: rows.LoggedRow, size: int) -> None:
        """Check one entry and put its leaf on the tree.

        Where the leaf was changed the stored tree's hash is used instead, so that one edited row is
        one finding and the rest of the log is still compared with the signed roots.
        """
        index = row.entry_index
        if not self.tree.frontier.size <= index < size:
            self.find(index, f"Entry {index} was added outside the log, which has {size}.")
            return
        self._skip_to(index)
        self.entries += 1
        leaf = merkle.leaf_hash(row.leaf) if isinstance(row.leaf, bytes) else b""
        stored = self.tree.stored_leaf(index)
        problems = check_row(row, leaf)
        if stored != leaf:
            problems.append("its content is not what the stored tree holds")
        if problems:
            self.find(index, f"Entry {index} was changed: {'; '.join(problems)}.")
        self.tree.grow(stored or leaf)
        self.heads.compare(self.tree)

    def _skip_to(self, index: int) -> None:
        """Say which entries are missing before `index`; the stored tree may still know them."""
        start = self.tree.frontier.size
        if index == start + 1:
            self.find(start, f"Entry {start} is missing.")
        elif index > start:
            self.find(start, f"The entries {start} to {index - 1} are missing.")
        while self.tree.frontier.size < index:
            stored = self.tree.stored_leaf(self.tree.frontier.size)
            if not stored:
                self.tree.jump(index)
                return
            self.tree.grow(stored)
            self.heads.compare(self.tree)

    def _compare_head(self, head: rows.Head | None) -> None:
        """The edge that appending goes on from, the newest checkpoint and the number of tiles."""
        size = self.tree.frontier.size
        if head is None:
            if size:
                self.find(None, "The head of the log is gone.")
            return
        if self.tree.whole and head.frontier != self.tree.frontier.to_bytes():
            self.find(None, "The stored head of the log does not follow from the entries.")
        if self.heads.newest < size:
            self.find(
                self.heads.newest,
                f"No signed checkpoint covers the entries from {self.heads.newest} on.",
            )
        if rows.count_tiles(self.connection) != tiles_at(size):
            self.find(None, "The stored tree has too many tiles, or too few.")

    def _compare_rest(self) -> None:
        for event_id in rows.logged_without_entry(self.connection, MAX_FINDINGS):
            self.find(None, f"The event {event_id} was logged, but the log does not hold it.")
        for index in rows.subjects_without_entry(self.connection, MAX_FINDINGS):
            self.find(index, f"Subjects stand under the number {index}, which no entry has.")

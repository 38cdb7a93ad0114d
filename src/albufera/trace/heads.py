"""The signed checkpoints, each compared with the tree as it was at its size."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy.engine import Connection, Row

from albufera.kernel.merkle import EMPTY_ROOT
from albufera.kernel.signing import VerifyKey
from albufera.trace import rows
from albufera.trace.model import Checkpoint, InvalidCheckpoint
from albufera.trace.regrowth import Find, Regrowth

_AT_A_TIME = 1000


class SignedHeads:
    """The stored checkpoints, and one kept elsewhere, in the order of their sizes.

    `compared` counts those looked at, `newest` is the size of the largest stored one that holds.
    """

    def __init__(
        self, connection: Connection, key: VerifyKey, kept: Checkpoint | None, find: Find
    ) -> None:
        self.connection = connection
        self.key = key
        self.find = find
        self.compared = 0
        self.newest = 0
        self._signed = self._in_order(kept)
        self._next = next(self._signed, None)
        self._agreed = 0
        self._differs = False

    def compare(self, tree: Regrowth) -> None:
        """Compare the checkpoints of the tree's present size with its root."""
        size = tree.frontier.size
        while self._next is not None and self._next.size <= size:
            root = tree.frontier.root() if self._next.size == size else EMPTY_ROOT
            self.compared += 1
            if tree.whole and not self._differs:
                self._judge(self._next, root)
            self._next = next(self._signed, None)

    def end(self, tree: Regrowth) -> None:
        """Whatever is left commits to more entries than there are."""
        self.compare(tree)
        size = tree.frontier.size
        while self._next is not None:
            self.find(
                size,
                f"The log was cut: a signed checkpoint has {self._next.size} entries, "
                f"the log {size}.",
            )
            self._next = next(self._signed, None)

    def _judge(self, checkpoint: Checkpoint, root: bytes) -> None:
        if checkpoint.root == root:
            self._agreed = checkpoint.size
            return
        self._differs = True  # every later root differs too: once is enough
        self.find(
            self._agreed,
            f"The first {checkpoint.size} entries do not have the root that was signed: of the "
            f"entries {self._agreed} to {checkpoint.size - 1} one was changed, added or left out.",
        )

    def _in_order(self, kept: Checkpoint | None) -> Iterator[Checkpoint]:
        for row in rows.stored_checkpoints(self.connection, _AT_A_TIME):
            checkpoint = self._open(row)
            if checkpoint is None:
                continue
            self.newest = max(self.newest, checkpoint.size)
            if kept is not None and kept.size <= checkpoint.size:
                yield kept
                kept = None
            yield checkpoint
        if kept is not None:
            yield kept

    def _open(self, row: Row[Any]) -> Checkpoint | None:
        try:
            checkpoint = Checkpoint.open(str(row.note), [self.key])
        except InvalidCheckpoint as problem:
            self.find(None, f"The checkpoint at {row.size} entries does not hold. {problem}")
            return None
        if checkpoint.size != row.size:
            self.find(None, f"The checkpoint stored at {row.size} entries is one of another size.")
            return None
        return checkpoint

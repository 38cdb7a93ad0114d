"""The tree grown again from what is read, and compared with the stored one as it grows."""

from collections.abc import Callable

from sqlalchemy.engine import Connection

from albufera.kernel.merkle import HASH_SIZE, Frontier
from albufera.trace import rows
from albufera.trace.tiles import HEIGHT, WIDTH, Address

Find = Callable[[int | None, str], None]
"""Takes note of something wrong with an entry (or none in particular)."""


class Regrowth:
    """A growing tree. `whole` is False once a leaf was unknown: then no root means anything."""

    def __init__(self, connection: Connection, find: Find) -> None:
        self.connection = connection
        self.find = find
        self.frontier = Frontier()
        self.whole = True
        self._leaves: tuple[int, bytes] = (-1, b"")
        self._upper: dict[Address, bytearray] = {}

    def stored_leaf(self, index: int) -> bytes:
        """The leaf hash that the stored tree has for an entry, or nothing."""
        number, place = divmod(index, WIDTH)
        if self._leaves[0] != number:
            self._leaves = (number, rows.stored_tile(self.connection, (0, number)))
        return self._leaves[1][place * HASH_SIZE : (place + 1) * HASH_SIZE]

    def grow(self, leaf: bytes) -> None:
        """Add a leaf hash; an unusable one leaves a tree of the right size with a wrong root."""
        if len(leaf) != HASH_SIZE:
            leaf, self.whole = bytes(HASH_SIZE), False
        for level, position, digest in self.frontier.append(leaf):
            if level and level % HEIGHT == 0:
                address = (level // HEIGHT, position // WIDTH)
                self._upper.setdefault(address, bytearray()).extend(digest)
                if position % WIDTH == WIDTH - 1:
                    self._compare(address)

    def jump(self, size: int) -> None:
        """Go on at `size`, though the leaves before it are unknown."""
        self.whole = False
        self._upper.clear()
        self.frontier = Frontier(size, [bytes(HASH_SIZE)] * size.bit_count())

    def end(self) -> None:
        """Compare the tiles that are not full."""
        for address in list(self._upper):
            self._compare(address)

    def _compare(self, address: Address) -> None:
        computed = bytes(self._upper.pop(address))
        if self.whole and rows.stored_tile(self.connection, address) != computed:
            level, number = address
            self.find(
                None,
                f"Tile {number} of level {level} of the stored tree does not follow from "
                "the entries.",
            )

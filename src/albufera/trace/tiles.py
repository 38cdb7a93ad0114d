"""The tree kept and published as tiles of 256 hashes (C2SP tlog-tiles).

Tile ``(L, N)`` holds the hashes of the complete subtrees of 256**L leaves from ``N * 256`` on. All
that a proof needs is in about two tiles for each factor of 256 of the log's size.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from albufera.kernel.merkle import HASH_SIZE, Coordinate, ProofError, root

WIDTH = 256
"""Hashes in a full tile."""

HEIGHT = 8
"""Levels of the tree that one tile spans."""

MAX_LEVEL = 5
"""Highest tile level that the specification names; 256**6 leaves are more than any log has."""

MAX_ENTRY_BYTES = 2**16 - 1

_PATH = re.compile(
    r"(?P<level>[0-5]|entries)/(?P<number>(?:x\d{3}/){0,5}\d{3})(?:\.p/(?P<width>[1-9]\d{0,2}))?",
    re.ASCII,
)

Address = tuple[int, int]
"""(level, number) of a tile."""


@dataclass(frozen=True)
class TileRequest:
    """What a path under ``tile/`` asks for; `level` is None for a bundle of entries."""

    level: int | None
    number: int
    width: int


def parse_path(path: str) -> TileRequest | None:
    """Read ``<L>/<N>[.p/<W>]`` or ``entries/<N>[.p/<W>]``; None for anything else.

    N is in groups of three digits, all but the last prefixed by ``x`` (``x001/x234/067``).
    """
    match = _PATH.fullmatch(path)
    if match is None:
        return None
    number = int(match["number"].replace("x", "").replace("/", ""))
    width = int(match["width"]) if match["width"] else WIDTH
    if (
        width > WIDTH
        or (match["width"] and width == WIDTH)
        or number_path(number) != match["number"]
    ):
        return None
    return TileRequest(None if match["level"] == "entries" else int(match["level"]), number, width)


def number_path(number: int) -> str:
    """Write the number of a tile as a path: 1234067 as ``x001/x234/067``."""
    groups = [f"{number % 1000:03d}"]
    while number := number // 1000:
        groups.append(f"x{number % 1000:03d}")
    return "/".join(reversed(groups))


def bundle(leaves: Iterable[bytes]) -> bytes:
    """An entry bundle: each leaf after its length as two bytes, big-endian."""
    return b"".join(len(leaf).to_bytes(2, "big") + leaf for leaf in leaves)


def read_bundle(data: bytes) -> list[bytes]:
    """The leaves of an entry bundle. Raises ValueError when it is cut short."""
    leaves, place = [], 0
    while place < len(data):
        end = place + 2 + int.from_bytes(data[place : place + 2], "big")
        if end > len(data):
            raise ValueError("The bundle is cut short.")
        leaves.append(data[place + 2 : end])
        place = end
    return leaves


def tile_of(coordinate: Coordinate) -> Address:
    """The tile from which the hash of a complete subtree is computed."""
    level, inner = divmod(coordinate.level, HEIGHT)
    return level, (coordinate.position << inner) // WIDTH


def hash_at(tiles: Mapping[Address, bytes], level: int, position: int) -> bytes:
    """The hash of the complete subtree at ``(level, position)``, folded from its tile.

    Raises:
        ProofError: the tile is missing or too short.
    """
    address = tile_of(Coordinate(level, position))
    inner = level % HEIGHT
    start = (position << inner) % WIDTH * HASH_SIZE
    end = start + (HASH_SIZE << inner)
    hashes = tiles.get(address, b"")[start:end]
    if len(hashes) != end - start:
        raise ProofError(f"The subtree ({level}, {position}) is not in the stored tree.")
    return root(hashes[i : i + HASH_SIZE] for i in range(0, len(hashes), HASH_SIZE))


def tiles_at(size: int) -> int:
    """How many tiles the tree of ``size`` leaves has, partial ones included."""
    count, hashes = 0, size
    while hashes:
        count += -(-hashes // WIDTH)
        hashes //= WIDTH
    return count

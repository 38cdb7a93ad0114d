"""Merkle trees as Certificate Transparency hashes them (RFC 6962 §2.1, RFC 9162 §2.1).

A leaf and a node are hashed under different prefixes, so that neither can be passed off as the
other. The tree over ``n`` leaves splits at the largest power of two below ``n``; it follows that
every *complete* subtree, once full, never changes. A complete subtree is addressed by
``(level, position)``: it covers the leaves ``position << level`` up to
``(position + 1) << level``.

Who holds a log keeps those nodes (`Frontier.append` hands them over as they come into being), asks
`inclusion_nodes` or `consistency_nodes` which of them a proof needs, fetches them in one query and
builds the proof.

Everything here works on 32-byte hashes; nothing here does I/O.
"""

import hashlib
import struct
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

HASH_SIZE = 32
"""Bytes in a SHA-256 hash."""

EMPTY_ROOT = hashlib.sha256(b"").digest()
"""Root of the tree without leaves (RFC 6962 §2.1)."""

MAX_SIZE = 2**63 - 1
"""Most leaves that a tree may have: what a signed 64-bit column holds."""

_SIZE = struct.Struct(">Q")

NodeAt = Callable[[int, int], bytes]
"""Gives the hash of the complete subtree at ``(level, position)``."""


class ProofError(ValueError):
    """A Merkle proof does not prove what it claims, or cannot be made for what was asked."""


class Coordinate(NamedTuple):
    """Address of a complete subtree: ``2**level`` leaves from leaf ``position << level`` on."""

    level: int
    position: int


class Node(NamedTuple):
    """A complete subtree and its hash."""

    level: int
    position: int
    hash: bytes


def leaf_hash(data: bytes) -> bytes:
    """Hash of a leaf: ``SHA-256(0x00 || data)`` (RFC 6962 §2.1)."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of an interior node: ``SHA-256(0x01 || left || right)`` (RFC 6962 §2.1)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Frontier:
    """The right edge of a growing tree: all that is needed to append to it and to know its root.

    It holds one hash for every bit set in the size (at most 63), those of the complete subtrees
    from left to right, so that a log of a thousand million entries goes on from two kilobytes.
    """

    def __init__(self, size: int = 0, hashes: Iterable[bytes] = ()) -> None:
        self._size = size
        self._hashes = list(hashes)
        if not 0 <= size <= MAX_SIZE:
            raise ValueError(f"A tree has between 0 and {MAX_SIZE} leaves, not {size}.")
        if len(self._hashes) != size.bit_count():
            raise ValueError(
                f"A frontier of {size} leaves has {size.bit_count()} hashes, "
                f"but {len(self._hashes)} were given."
            )
        for one in self._hashes:
            _require_hash(one)

    @classmethod
    def from_bytes(cls, data: bytes) -> "Frontier":
        """The frontier that `to_bytes` wrote.

        Raises:
            ValueError: the length does not fit the size written in front.
        """
        hashes = len(data) - _SIZE.size
        if hashes < 0 or hashes % HASH_SIZE:
            raise ValueError("A frontier is 8 bytes of size followed by whole 32-byte hashes.")
        (size,) = _SIZE.unpack_from(data)
        starts = range(_SIZE.size, len(data), HASH_SIZE)
        return cls(size, (data[start : start + HASH_SIZE] for start in starts))

    def to_bytes(self) -> bytes:
        """Size (8 bytes, big-endian), then the hashes from left to right."""
        return _SIZE.pack(self._size) + b"".join(self._hashes)

    @property
    def size(self) -> int:
        """Number of leaves appended so far."""
        return self._size

    @property
    def hashes(self) -> tuple[bytes, ...]:
        """Hashes of the complete subtrees, the largest (leftmost) first."""
        return tuple(self._hashes)

    def append(self, leaf: bytes) -> list[Node]:
        """Add a leaf *hash*; return the subtrees that became complete by it, lowest first.

        The first of them is the leaf itself at level 0. On average there are two.
        """
        _require_hash(leaf)
        if self._size == MAX_SIZE:
            raise ValueError("The tree is full.")
        level, position = 0, self._size
        completed = [Node(level, position, leaf)]
        while position & 1:
            leaf = node_hash(self._hashes.pop(), leaf)
            level, position = level + 1, position >> 1
            completed.append(Node(level, position, leaf))
        self._hashes.append(leaf)
        self._size += 1
        return completed

    def root(self) -> bytes:
        """Root of the tree over all leaves so far (`EMPTY_ROOT` when there are none)."""
        return _fold(self._hashes) if self._hashes else EMPTY_ROOT


def root(leaf_hashes: Iterable[bytes]) -> bytes:
    """Root over a stream of leaf hashes, read once, in O(log n) memory (RFC 6962 §2.1)."""
    frontier = Frontier()
    for leaf in leaf_hashes:
        frontier.append(leaf)
    return frontier.root()


def root_at(size: int, node_at: NodeAt) -> bytes:
    """Root of the tree as it was when it had ``size`` leaves."""
    return _range_hash(0, size, node_at) if size else EMPTY_ROOT


def nodes_of(leaf_hashes: Sequence[bytes]) -> NodeAt:
    """A `NodeAt` over leaf hashes held in memory; each answer re-hashes its subtree."""

    def node_at(level: int, position: int) -> bytes:
        start, end = position << level, (position + 1) << level
        if end > len(leaf_hashes):
            raise ProofError(f"The subtree ({level}, {position}) is not complete.")
        return root(leaf_hashes[start:end])

    return node_at


def root_nodes(size: int) -> list[Coordinate]:
    """The complete subtrees that `root_at` reads."""
    return _complete_subtrees(0, size)


def inclusion_nodes(size: int, index: int) -> list[Coordinate]:
    """The complete subtrees that `inclusion_proof` reads."""
    return [
        c for start, end in _inclusion_ranges(size, index) for c in _complete_subtrees(start, end)
    ]


def consistency_nodes(first: int, second: int) -> list[Coordinate]:
    """The complete subtrees that `consistency_proof` reads."""
    ranges = _consistency_ranges(first, second)
    return [c for start, end in ranges for c in _complete_subtrees(start, end)]


def inclusion_proof(size: int, index: int, node_at: NodeAt) -> list[bytes]:
    """Audit path of leaf ``index`` in the tree of ``size`` leaves (RFC 6962 §2.1.1).

    Raises:
        ProofError: the tree has no such leaf.
    """
    return [_range_hash(start, end, node_at) for start, end in _inclusion_ranges(size, index)]


def consistency_proof(first: int, second: int, node_at: NodeAt) -> list[bytes]:
    """Proof that the tree of ``second`` leaves extends that of ``first`` (RFC 6962 §2.1.2).

    Empty when both are the same tree or the first one has no leaves.

    Raises:
        ProofError: the first tree is larger than the second.
    """
    return [_range_hash(start, end, node_at) for start, end in _consistency_ranges(first, second)]


def verify_inclusion(
    leaf: bytes, index: int, size: int, path: Sequence[bytes], root_hash: bytes
) -> None:
    """Check that the leaf hash is leaf ``index`` of the tree (RFC 9162 §2.1.3.2).

    Raises:
        ProofError: it is not, or the proof is not one.
    """
    _require_hashes(leaf, root_hash, *path)
    if not 0 <= index < size:
        raise ProofError(f"A tree of {size} leaves has no leaf {index}.")
    computed, fn, sn = leaf, index, size - 1
    for sibling in path:
        if sn == 0:
            raise ProofError("The inclusion proof is longer than the tree is high.")
        if fn & 1 or fn == sn:
            computed = node_hash(sibling, computed)
            fn, sn = _to_right_child(fn, sn)
        else:
            computed = node_hash(computed, sibling)
        fn, sn = fn >> 1, sn >> 1
    if sn != 0:
        raise ProofError("The inclusion proof is shorter than the tree is high.")
    if computed != root_hash:
        raise ProofError("The inclusion proof leads to another root.")


def verify_consistency(
    first: int, second: int, path: Sequence[bytes], first_root: bytes, second_root: bytes
) -> None:
    """Check that the second tree extends the first (RFC 9162 §2.1.4.2).

    Every tree extends the one without leaves, so ``first == 0`` says nothing about the second.

    Raises:
        ProofError: it does not, or the proof is not one.
    """
    _require_hashes(first_root, second_root, *path)
    if not 0 <= first <= second:
        raise ProofError(f"A tree of {second} leaves cannot extend one of {first}.")
    if first in (0, second):
        _verify_trivial_consistency(first, second, path, first_root, second_root)
        return
    hashes = list(path)
    if not hashes:
        raise ProofError("The consistency proof is empty.")
    if first & (first - 1) == 0:
        hashes.insert(0, first_root)
    fn, sn = first - 1, second - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    old = new = hashes[0]
    for sibling in hashes[1:]:
        if sn == 0:
            raise ProofError("The consistency proof is longer than the tree is high.")
        if fn & 1 or fn == sn:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            fn, sn = _to_right_child(fn, sn)
        else:
            new = node_hash(new, sibling)
        fn, sn = fn >> 1, sn >> 1
    if sn != 0 or old != first_root or new != second_root:
        raise ProofError("The consistency proof does not lead from the first root to the second.")


def _verify_trivial_consistency(
    first: int, second: int, path: Sequence[bytes], first_root: bytes, second_root: bytes
) -> None:
    if path:
        raise ProofError("Nothing is to be proved between these sizes, yet a proof was given.")
    if first == 0 and first_root != EMPTY_ROOT:
        raise ProofError("The root of a tree without leaves is another.")
    if second == 0 and second_root != EMPTY_ROOT:
        raise ProofError("The root of a tree without leaves is another.")
    if first == second and first_root != second_root:
        raise ProofError("Two trees of one size have different roots: history was rewritten.")


def _to_right_child(fn: int, sn: int) -> tuple[int, int]:
    """Skip the levels at which the node has no sibling (it is the last, and unpaired)."""
    while fn and not fn & 1:
        fn, sn = fn >> 1, sn >> 1
    return fn, sn


def _split(size: int) -> int:
    """The largest power of two smaller than ``size`` (RFC 6962 §2.1), for ``size`` > 1."""
    return 1 << ((size - 1).bit_length() - 1)


def _inclusion_ranges(size: int, index: int) -> list[tuple[int, int]]:
    """Leaf ranges whose hashes make the audit path, nearest to the leaf first."""
    if not 0 <= index < size:
        raise ProofError(f"A tree of {size} leaves has no leaf {index}.")
    start, end = 0, size
    ranges: list[tuple[int, int]] = []
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((start, middle))
            start = middle
    return ranges[::-1]


def _consistency_ranges(first: int, second: int) -> list[tuple[int, int]]:
    """Leaf ranges whose hashes make the consistency proof, in its order."""
    if not 0 <= first <= second:
        raise ProofError(f"A tree of {second} leaves cannot extend one of {first}.")
    if first == 0:
        return []
    start, end = 0, second
    ranges: list[tuple[int, int]] = []
    while first != end:
        middle = start + _split(end - start)
        if first <= middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((start, middle))
            start = middle
    if start:  # the last old subtree is not the whole old tree, so the verifier cannot know it
        ranges.append((start, end))
    return ranges[::-1]


def _complete_subtrees(start: int, end: int) -> list[Coordinate]:
    """The complete subtrees that cover a range of the tree, from left to right."""
    found: list[Coordinate] = []
    while start < end:
        level = (end - start).bit_length() - 1
        found.append(Coordinate(level, start >> level))
        start += 1 << level
    return found


def _range_hash(start: int, end: int, node_at: NodeAt) -> bytes:
    return _fold([node_at(level, position) for level, position in _complete_subtrees(start, end)])


def _fold(hashes: Sequence[bytes]) -> bytes:
    """Join complete subtrees, the rightmost (smallest) first, as RFC 6962 §2.1 nests them."""
    joined = hashes[-1]
    for left in hashes[-2::-1]:
        joined = node_hash(left, joined)
    return joined


def _require_hash(value: bytes) -> None:
    if len(value) != HASH_SIZE:
        raise ValueError(f"A SHA-256 hash has {HASH_SIZE} bytes, not {len(value)}.")


def _require_hashes(*values: bytes) -> None:
    if any(len(value) != HASH_SIZE for value in values):
        raise ProofError(f"A proof consists of hashes of {HASH_SIZE} bytes.")

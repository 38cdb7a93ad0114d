"""Disclosure control: how a count may leave the node.

Three rules keep a count from telling of few people (see docs/decisions/008-federation.md):

1. Fewer than the threshold, none included, is told as *fewer than the threshold*.
2. Anything else is lowered by 0 to threshold − 1, by an offset that a secret key draws from the
   very set of people, and rounded down to a multiple of the threshold. The same people give the
   same number however the question was put, and no step of the rounding marks an exact count.
3. Two sets that differ by fewer people than the threshold are told the same number: the one that
   was told first. So no difference of two answers shows the presence of one person.

Rule 3 needs to compare sets without keeping them. A `Sketch` holds, in each of 256 buckets, the
exclusive or of keyed hashes of the people that fall there. Sets that differ by d people differ in
at most d buckets, never in more: few differing buckets are treated as few differing people, which
errs on the side of telling less.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from albufera.federation.model import Told

BUCKETS = 256
_WIDTH = 8
SKETCH_BYTES = BUCKETS * _WIDTH


@dataclass(frozen=True)
class Sketch:
    """A set of people, as far as comparing it with another set needs it: 2,048 bytes."""

    content: bytes

    def differing_buckets(self, other: "Sketch") -> int:
        """Return in how many buckets two sets differ: at most the number of differing people."""
        return sum(
            self.content[at : at + _WIDTH] != other.content[at : at + _WIDTH]
            for at in range(0, SKETCH_BYTES, _WIDTH)
        )


@dataclass(frozen=True)
class Measured:
    """An exact count (which never leaves the node) and the sketch of who was counted.

    `subjects` is the number of people behind it, for a count of their studies as well.
    """

    count: int
    subjects: int
    sketch: Sketch


@dataclass(frozen=True)
class Anchor:
    """A count that was told before, with the sketch of its set."""

    sketch: Sketch
    told: Told


def measure(key: bytes, pairs: Iterable[tuple[str, str]]) -> tuple[Measured, Measured]:
    """Count distinct subjects and studies, in constant memory.

    Args:
        key: the node's secret for this purpose, 16 to 64 bytes.
        pairs: distinct (subject id, study id), ordered by subject.

    Returns:
        The measured subjects, and the measured studies. A sketch of studies has its buckets by
        subject too: it differs where the studies of a subject differ.
    """
    people, work = [0] * BUCKETS, [0] * BUCKETS
    subjects = studies = bucket = 0
    current: str | None = None
    for subject, study in pairs:
        if subject != current:
            hashed = hashlib.blake2b(subject.encode(), key=key, digest_size=_WIDTH + 2).digest()
            bucket = int.from_bytes(hashed[_WIDTH:], "big") % BUCKETS
            people[bucket] ^= int.from_bytes(hashed[:_WIDTH], "big")
            current, subjects = subject, subjects + 1
        content = f"{subject}\0{study}".encode()
        hashed = hashlib.blake2b(content, key=key, digest_size=_WIDTH).digest()
        work[bucket] ^= int.from_bytes(hashed, "big")
        studies += 1
    return (
        Measured(subjects, subjects, _sketch(people)),
        Measured(studies, subjects, _sketch(work)),
    )


def is_few(measured: Measured, threshold: int) -> bool:
    """Tell whether so few people are behind a count that only the threshold is told."""
    return measured.subjects < threshold


def tell(key: bytes, measured: Measured, threshold: int, told: Iterable[Anchor]) -> Told:
    """Return a count as it may leave: `told` are earlier answers, the oldest first."""
    if is_few(measured, threshold):
        return Told(threshold, fewer_than=threshold)
    for anchor in told:
        if measured.sketch.differing_buckets(anchor.sketch) < threshold:
            return anchor.told
    lowered = measured.count - _offset(key, measured.sketch, threshold)
    return Told(threshold, at_least=max(threshold, round_down(lowered, threshold)))


def round_down(count: int, threshold: int) -> int:
    """Round down to a multiple of the threshold."""
    return count // threshold * threshold


def _offset(key: bytes, sketch: Sketch, threshold: int) -> int:
    """Draw 0 … threshold − 1 from the set itself, by the key."""
    drawn = hashlib.blake2b(sketch.content, key=key, digest_size=_WIDTH, person=b"offset").digest()
    return int.from_bytes(drawn, "big") % threshold


def _sketch(buckets: list[int]) -> Sketch:
    return Sketch(b"".join(value.to_bytes(_WIDTH, "big") for value in buckets))

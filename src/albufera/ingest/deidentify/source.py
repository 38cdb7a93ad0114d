"""A window on the input that grows on demand, is bounded, and is never read twice."""

import zlib
from collections.abc import Callable

from albufera.ingest.deidentify.errors import unreadable

HEADER_LIMIT = 64 * 1024 * 1024
"""Bytes that everything but the pixels may take."""

CHUNK = 64 * 1024
COPY_CHUNK = 1024 * 1024
INFLATE_LIMIT = 8 * 1024**3
FREE_INFLATION = 64 * 1024 * 1024
"""Inflated bytes up to which any ratio is allowed."""

INFLATE_RATIO = 100

Read = Callable[[int], bytes]


class Source:
    """The bytes from some point of the input onwards; `size` is None when it cannot be known."""

    def __init__(self, read: Read, size: int | None, limit: int = HEADER_LIMIT) -> None:
        self.buffer = bytearray()
        self.size = size
        self._read = read
        self._limit = limit

    @classmethod
    def of(cls, written: bytes) -> "Source":
        """All of `written`."""
        source = cls(lambda _: b"", len(written))
        source.buffer += written
        return source

    def need(self, end: int) -> None:
        """Make sure that the buffer reaches `end`.

        Raises:
            Unreadable: `truncated` or `header-too-large`, before anything is read for it if the
                size is known.
        """
        if end <= len(self.buffer):
            return
        if self.size is not None and end > self.size:
            raise unreadable("truncated")
        if end > self._limit:
            raise unreadable("header-too-large")
        while len(self.buffer) < end:
            if not self._grow(max(CHUNK, min(COPY_CHUNK, end - len(self.buffer)))):
                raise unreadable("truncated")

    def at_end(self, position: int) -> bool:
        """Whether the input has no byte at `position`, which the buffer must reach."""
        return not self.reaches(position + 1)

    def reaches(self, end: int) -> bool:
        """Whether the input has at least `end` bytes; the buffer is filled as far as it can."""
        while len(self.buffer) < end:
            if not self._grow(CHUNK):
                return False
        return True

    def _grow(self, wanted: int) -> bool:
        chunk = self._read(wanted)
        self.buffer += chunk
        return bool(chunk)

    def rest_from(self, position: int) -> "Source":
        """What follows `position`, as a source of its own with a buffer of its own."""
        size = None if self.size is None else self.size - position
        rest = Source(self._read, size, self._limit)
        rest.buffer = self.buffer[position:]
        return rest

    def take(self, count: int) -> bytes:
        """Up to `count` bytes, forgotten once given: from the buffer first, then from the input."""
        if self.buffer:
            taken = bytes(self.buffer[:count])
            del self.buffer[:count]
        else:
            taken = self._read(count)
        if self.size is not None:
            self.size -= len(taken)
        return taken


class Inflater:
    """Reads a deflated data set (PS3.5 §A.5), a bounded amount at a time."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._engine = zlib.decompressobj(-zlib.MAX_WBITS)
        self._pending = b""
        self._taken = 0
        self._given = 0

    def read(self, count: int) -> bytes:
        """At most `count` inflated bytes; none at the end.

        Raises:
            Unreadable: `truncated`, `bad-deflate` or `inflated-too-large`.
        """
        while not self._engine.eof:
            compressed = self._pending or self._source.take(CHUNK)
            if not compressed:
                raise unreadable("truncated")
            if not self._pending:
                self._taken += len(compressed)
            try:
                inflated = self._engine.decompress(compressed, count)
            except zlib.error:
                raise unreadable("bad-deflate") from None
            self._pending = self._engine.unconsumed_tail
            if inflated:
                return self._checked(inflated)
        return b""

    def _checked(self, inflated: bytes) -> bytes:
        self._given += len(inflated)
        allowed = max(FREE_INFLATION, INFLATE_RATIO * self._taken)
        if self._given > min(allowed, INFLATE_LIMIT):
            raise unreadable("inflated-too-large")
        return inflated

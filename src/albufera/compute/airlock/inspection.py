"""Looks at a frozen file before a person does: what kind it is, and whether DICOM is in it.

Reads by content, never by name. ZIP, tar and gzip are looked into, a bounded number of bytes,
members and levels; what was not looked into, or not to its end, is said to be so.
"""

import base64
import gzip
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, cast

from albufera.compute.airlock.archives import (
    DAMAGE,
    NotReadable,
    Stream,
    ends_as_zip,
    tar_members,
    zip_members,
)
from albufera.compute.airlock.findings import findings_of
from albufera.compute.airlock.kinds import HEAD, kind_of
from albufera.compute.airlock.model import Finding

CHUNK = 1024 * 1024
MAX_INSPECTED = 1024 * 1024 * 1024
MAX_MEMBERS = 5000
MAX_DEPTH = 3
_CONTAINERS = frozenset({"zip", "tar", "gzip"})

MARK = b"DICM\x02\x00\x00\x00UL"
"""The magic word of PS3.10 §7.1 with the group length that follows it."""


def _in_base64(mark: bytes) -> tuple[bytes, ...]:
    """The characters (RFC 4648 §4) that a mark always gives, at each of its three alignments."""
    whole = (base64.b64encode(b"\0" * lead + mark) for lead in range(3))
    return tuple(text[4 if lead else 0 : -4] for lead, text in enumerate(whole))


_MARKS = (MARK, *_in_base64(MARK))
_OVERLAP = max(len(mark) for mark in _MARKS) - 1


@dataclass
class _Seen:
    """What was come across in one file."""

    folder: Path
    kinds: set[str] = field(default_factory=set)
    mark: bool = False
    missed: bool = False


class Inspector:
    """Inspects the files of one request, with one allowance of work for all of them."""

    def __init__(self, max_bytes: int = MAX_INSPECTED, max_members: int = MAX_MEMBERS) -> None:
        self._bytes_left = max_bytes
        self._members_left = max_members

    def inspect(self, path: Path) -> tuple[str, tuple[Finding, ...]]:
        """Return a file's kind and findings. Never raises for any content; memory is bounded.

        What must be unpacked to be looked into lies, without a name, in the file's folder.
        """
        seen = _Seen(path.parent)
        with path.open("rb") as file:
            kind = kind_of(file.read(HEAD))
            seen.kinds.add(kind)
            if kind in _CONTAINERS:
                self._look_into(file, kind, seen, 0)
            elif ends_as_zip(file):  # a ZIP may follow anything
                self._look_into(file, "zip", seen, 0)
            file.seek(0)
            self._scan(file, seen, b"")
        found = findings_of(
            seen.kinds,
            path.stat().st_size,
            is_dicom=kind == "dicom",
            holds_dicom=seen.mark,
            missed=seen.missed,
        )
        return kind, tuple(found)

    def _look_into(self, file: IO[bytes], kind: str, seen: _Seen, depth: int) -> None:
        """Look at each member of a container; `file` can be sought in."""
        if depth == MAX_DEPTH:
            seen.missed = True
            return
        try:
            for opener in _openers(file, kind):
                self._members_left -= 1
                if self._members_left < 0 or self._bytes_left <= 0:
                    seen.missed = True
                    return
                self._look_at_member(opener, seen, depth + 1)
        except (*DAMAGE, NotReadable):
            seen.missed = True

    def _look_at_member(self, opener: Callable[[], Stream], seen: _Seen, depth: int) -> None:
        try:
            member = opener()
            head = member.read(HEAD)
            kind = kind_of(head)
            seen.kinds.add(kind)
            if kind not in _CONTAINERS:
                self._scan(member, seen, head)
                return
            with tempfile.TemporaryFile(dir=seen.folder) as unpacked:
                self._scan(member, seen, head, unpacked)
                unpacked.seek(0)
                self._look_into(cast(IO[bytes], unpacked), kind, seen, depth)
        except (*DAMAGE, NotReadable):
            seen.missed = True

    def _scan(
        self, stream: Stream, seen: _Seen, head: bytes, copy: IO[bytes] | None = None
    ) -> None:
        """Search for a DICOM object anywhere in `head` and in the stream after it; keep a copy."""
        chunk, tail = head, b""
        while True:
            if copy is not None:
                copy.write(chunk)
            tail = tail[-_OVERLAP:] + chunk
            seen.mark = seen.mark or any(mark in tail for mark in _MARKS)
            chunk = stream.read(CHUNK)
            if not chunk:
                return
            self._bytes_left -= len(chunk)
            if self._bytes_left < 0:
                seen.missed = True
                return


def _openers(file: IO[bytes], kind: str) -> Iterator[Callable[[], Stream]]:
    match kind:
        case "zip":
            yield from zip_members(file)
        case "tar":
            for member in tar_members(file):
                yield lambda member=member: member  # type: ignore[misc]
        case _:
            file.seek(0)
            yield lambda: cast(Stream, gzip.GzipFile(fileobj=file))

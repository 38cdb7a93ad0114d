"""The canonical manifest: what a dataset consists of, file by file, under one Merkle root.

`docs/manifest.md` describes the format for whoever wants to check a dataset without this program.
Writing and reading are streams: a manifest of any length takes the same memory.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from albufera.catalogue.model import NO_SUCH_FILE, ManifestDigest
from albufera.kernel.canonical import CanonicalError, canonical_bytes
from albufera.kernel.merkle import (
    Frontier,
    ProofError,
    inclusion_nodes,
    inclusion_proof,
    leaf_hash,
    verify_inclusion,
)

FORMAT = "albufera-manifest/1"
PROOF_FORMAT = "albufera-manifest-proof/1"

_MAX_PATH = 4000
_BUFFER = 64 * 1024
_HEAD = re.compile(
    rb'\{"dataset":\{"id":"([a-z0-9-]{1,100})","version":([1-9]\d{0,8})\},"files":\['
)
_ENTRY = re.compile(
    rb'\{"path":("(?:[^"\\\x00-\x1f]|\\.){1,24000}"),"sha256":"([0-9a-f]{64})",'
    rb'"size":(0|[1-9]\d{0,15})\}([,\]])'
)
_TAIL = re.compile(
    rb',"format":"albufera-manifest/1","root":"([0-9a-f]{64})",'
    rb'"totals":\{"bytes":(0|[1-9]\d{0,15}),"files":(0|[1-9]\d{0,15})\}\}'
)
_LONGEST = 32 * 1024  # of head, entry or tail, in bytes


class ManifestError(ValueError):
    """The document is not a manifest in canonical form, or contradicts itself."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One file: relative path with `/`, size in bytes, SHA-256 in lower-case hexadecimal."""

    path: str
    size: int
    sha256: str

    def leaf(self) -> bytes:
        """Return the leaf hash: RFC 6962 §2.1 over the canonical JSON of [path, size, sha256]."""
        return leaf_hash(canonical_bytes([self.path, self.size, self.sha256]))


@dataclass(frozen=True)
class Summary:
    """What a manifest says of itself, after it was checked from end to end."""

    dataset_id: str
    version: int
    root: str
    files: int
    byte_count: int
    sha256: str


class Sink(Protocol):
    """Takes bytes in order."""

    def write(self, data: bytes, /) -> object:
        """Take some more bytes."""
        ...


class ManifestWriter:
    """Writes a manifest to a sink, entry by entry, in strictly rising order of the paths' bytes."""

    def __init__(self, sink: Sink, dataset_id: str, version: int) -> None:
        self.files = 0
        self.byte_count = 0
        self.size = 0
        self._sink = sink
        self._frontier = Frontier()
        self._hash = hashlib.sha256()
        self._last = b""
        head = canonical_bytes({"id": dataset_id, "version": version})
        self._write(b'{"dataset":' + head + b',"files":[')

    def add(self, entry: Entry) -> None:
        """Add a file. Raises `ManifestError` for a path out of order or out of the folder."""
        check_path(entry.path)
        encoded = entry.path.encode()
        if encoded <= self._last:
            raise ManifestError(f"{entry.path!r} is out of order, or given twice.")
        self._last = encoded
        fields = {"path": entry.path, "sha256": entry.sha256, "size": entry.size}
        self._write((b"," if self.files else b"") + canonical_bytes(fields))
        self._frontier.append(entry.leaf())
        self.files += 1
        self.byte_count += entry.size

    def finish(self) -> ManifestDigest:
        """Write the end and return what identifies the manifest."""
        root = self._frontier.root().hex()
        totals = canonical_bytes({"bytes": self.byte_count, "files": self.files})
        self._write(b'],"format":"%s","root":"%s","totals":' % (FORMAT.encode(), root.encode()))
        self._write(totals + b"}")
        return ManifestDigest(root, self._hash.hexdigest(), self.size)

    def _write(self, data: bytes) -> None:
        self._hash.update(data)
        self.size += len(data)
        self._sink.write(data)


class ManifestReader:
    """Reads a manifest from a stream and checks it on the way.

    Iterate to the end: then `summary` holds, and the document is canonical, its root and its totals
    are those of its entries. Anything else raises `ManifestError`.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._buffer = b""
        self._at = 0
        self._hash = hashlib.sha256()
        self._frontier = Frontier()
        self._bytes = 0
        self._last = b""
        self._summary: Summary | None = None
        head = self._take(_HEAD, "the beginning of a manifest")
        self.dataset_id, self.version = head[1].decode(), int(head[2])

    @property
    def summary(self) -> Summary:
        """What the manifest says of itself; only after the last entry was read."""
        if self._summary is None:
            raise ManifestError("The manifest was not read to its end.")
        return self._summary

    def __iter__(self) -> Iterator[Entry]:
        """Give the entries in order."""
        if self._peek(b"]"):
            self._skip(1)
        else:
            more = True
            while more:
                match = self._take(_ENTRY, "a file's entry")
                entry = Entry(_path(match[1]), int(match[3]), match[2].decode())
                self._count(entry)
                yield entry
                more = match[4] == b","
        self._end()

    def _count(self, entry: Entry) -> None:
        encoded = entry.path.encode()
        if encoded <= self._last:
            raise ManifestError(f"{entry.path!r} is out of order, or given twice.")
        self._last = encoded
        self._bytes += entry.size
        self._frontier.append(entry.leaf())

    def _end(self) -> None:
        tail = self._take(_TAIL, "the end of a manifest")
        if self._buffer[self._at :] or self._stream.read(1):
            raise ManifestError("Something follows the end of the manifest.")
        root, files = self._frontier.root().hex(), self._frontier.size
        if (int(tail[2]), int(tail[3])) != (self._bytes, files):
            raise ManifestError("The totals are not those of the files listed.")
        if tail[1].decode() != root:
            raise ManifestError("The Merkle root is not that of the files listed.")
        self._summary = Summary(
            self.dataset_id, self.version, root, files, self._bytes, self._hash.hexdigest()
        )

    def _take(self, pattern: re.Pattern[bytes], expected: str) -> re.Match[bytes]:
        if len(self._buffer) - self._at < _LONGEST:
            self._fill()
        match = pattern.match(self._buffer, self._at)
        if match is None:
            raise ManifestError(f"Expected {expected}, in canonical form (RFC 8785).")
        self._skip(match.end() - self._at)
        return match

    def _peek(self, wanted: bytes) -> bool:
        if self._at == len(self._buffer):
            self._fill()
        return self._buffer.startswith(wanted, self._at)

    def _skip(self, count: int) -> None:
        self._hash.update(memoryview(self._buffer)[self._at : self._at + count])
        self._at += count

    def _fill(self) -> None:
        kept = self._buffer[self._at :]
        while len(kept) < _LONGEST and (more := self._stream.read(_BUFFER)):
            kept += more
        self._buffer, self._at = kept, 0


def verify_manifest(stream: BinaryIO) -> Summary:
    """Check a manifest by itself and return what it says. Raises `ManifestError`."""
    reader = ManifestReader(stream)
    for _ in reader:
        pass
    return reader.summary


def check_path(path: str) -> None:
    """Raise `ManifestError` unless the path stays inside its folder and is plain text."""
    parts = path.split("/")
    if (
        len(path) > _MAX_PATH
        or any(part in ("", ".", "..") for part in parts)
        or "\\" in path
        or not path.isprintable()
    ):
        raise ManifestError(f"{path[:80]!r} is not a path inside a dataset.")


@dataclass(frozen=True)
class FileProof:
    """That one file belongs to a dataset: an audit path (RFC 6962 §2.1.1) to its root."""

    entry: Entry
    index: int
    files: int
    root: str
    path: tuple[str, ...]

    def to_json(self) -> dict[str, object]:
        """Write the proof as a JSON document."""
        return {
            "format": PROOF_FORMAT,
            "file": {
                "path": self.entry.path, "size": self.entry.size, "sha256": self.entry.sha256
            },
            "index": self.index,
            "files": self.files,
            "root": self.root,
            "auditPath": list(self.path),
        }  # fmt: skip

    def verify(self) -> None:
        """Raise `kernel.merkle.ProofError` unless the file is in the tree of this root."""
        try:
            hashes = [bytes.fromhex(item) for item in self.path]
            root = bytes.fromhex(self.root)
        except ValueError:
            raise ProofError("A hash is not hexadecimal.") from None
        verify_inclusion(self.entry.leaf(), self.index, self.files, hashes, root)


def prove_file(
    open_manifest: Callable[[], AbstractContextManager[BinaryIO]], path: str
) -> FileProof:
    """Prove that a file is in a manifest, reading it twice. Raises `manifest-file-not-found`."""
    with open_manifest() as stream:
        reader = ManifestReader(stream)
        places = [(at, entry) for at, entry in enumerate(reader) if entry.path == path]
    if not places:
        raise NO_SUCH_FILE(f"The manifest has no file {path[:200]!r}.")
    (index, entry), files = places[0], reader.summary.files
    wanted = set(inclusion_nodes(files, index))
    kept: dict[tuple[int, int], bytes] = {}
    frontier = Frontier()
    with open_manifest() as stream:
        for other in ManifestReader(stream):
            for node in frontier.append(other.leaf()):
                if (node.level, node.position) in wanted:
                    kept[node.level, node.position] = node.hash
    hashes = inclusion_proof(files, index, lambda level, position: kept[level, position])
    return FileProof(
        entry, index, files, frontier.root().hex(), tuple(item.hex() for item in hashes)
    )


def _path(quoted: bytes) -> str:
    try:
        path = json.loads(quoted)
        same = canonical_bytes(path) == quoted
    except (ValueError, CanonicalError):
        same = False
    if not same:
        raise ManifestError("A path is not in canonical form (RFC 8785 §3.2.2.2).")
    check_path(path)
    return str(path)

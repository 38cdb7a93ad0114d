"""Checking a folder against a manifest: no node, no database, no lake."""

import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from albufera.catalogue.manifest import Entry, ManifestReader, Summary
from albufera.kernel.merkle import Frontier

VIEW_DOCUMENTS = frozenset(
    {
        "index.json",
        "eforms.json",
        "manifest.json",
        "clinical.csv",
        "clinical.parquet",
        "clinical.dictionary.json",
    }
)
"""What lies beside a dataset's files in the folder that jobs see; not part of the manifest."""

MAX_PROBLEMS = 100
CHUNK = 1024 * 1024


@dataclass
class Findings:
    """What was found wrong; the first hundred problems are named, all are counted."""

    corrupt: int = 0
    missing: int = 0
    extra: int = 0
    problems: list[dict[str, Any]] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Whether nothing was wrong."""
        return not (self.corrupt or self.missing or self.extra)

    def add(self, kind: str, path: str, detail: str) -> None:
        """Count a problem of kind corrupt, missing or extra."""
        setattr(self, kind, getattr(self, kind) + 1)
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append({"kind": kind, "path": path, "detail": detail})


def verify_folder(manifest: BinaryIO, folder: Path) -> tuple[Summary, str, Findings]:
    """Compare a folder with a manifest, reading every byte.

    Returns what the manifest says, the Merkle root (hexadecimal) of what was read, and the
    findings: changed, missing, and additional files. `VIEW_DOCUMENTS` at the top do not count.
    Raises `ManifestError` when the manifest itself is not sound.
    """
    findings, frontier = Findings(), Frontier()
    present = iter(_files_of(folder, ""))
    found = next(present, None)
    reader = ManifestReader(manifest)
    for entry in reader:
        while found is not None and found.encode() < entry.path.encode():
            findings.add("extra", found, "The manifest does not list it.")
            found = next(present, None)
        if found == entry.path:
            found = next(present, None)
            frontier.append(_check_file(folder / entry.path, entry, findings).leaf())
        else:
            findings.add("missing", entry.path, "The folder does not have it.")
    while found is not None:
        findings.add("extra", found, "The manifest does not list it.")
        found = next(present, None)
    return reader.summary, frontier.root().hex(), findings


def names_differ(manifest: BinaryIO, folder: Path, findings: Findings) -> None:
    """Add to the findings what a folder has too much or too little, by names alone."""
    present = iter(_files_of(folder, ""))
    found = next(present, None)
    for entry in ManifestReader(manifest):
        while found is not None and found.encode() < entry.path.encode():
            findings.add("extra", found, "It is in the view for jobs, but not in the manifest.")
            found = next(present, None)
        if found == entry.path:
            found = next(present, None)
        else:
            findings.add("missing", entry.path, "The view for jobs does not have it.")
    while found is not None:
        findings.add("extra", found, "It is in the view for jobs, but not in the manifest.")
        found = next(present, None)


def compare(entry: Entry, size: int, sha256: str, findings: Findings) -> Entry:
    """Return the entry as it was read, noting when that is not what the manifest says."""
    if (size, sha256) != (entry.size, entry.sha256):
        findings.add("corrupt", entry.path, f"SHA-256 {sha256}, {size} bytes.")
    return Entry(entry.path, size, sha256)


def hash_stream(stream: BinaryIO) -> tuple[int, str]:
    """Return (size, SHA-256) of a stream, read in chunks."""
    digest, size = hashlib.sha256(), 0
    while chunk := stream.read(CHUNK):
        digest.update(chunk)
        size += len(chunk)
    return size, digest.hexdigest()


def _check_file(path: Path, entry: Entry, findings: Findings) -> Entry:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as failure:
        findings.add("corrupt", entry.path, f"It cannot be read: {failure.strerror}.")
        return Entry(entry.path, 0, "")
    with os.fdopen(descriptor, "rb") as stream:
        if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            findings.add("corrupt", entry.path, "It is not a regular file.")
            return Entry(entry.path, 0, "")
        return compare(entry, *hash_stream(stream), findings)


def _files_of(folder: Path, prefix: str) -> Iterator[str]:
    """Give the relative paths of all files below, in the order of the paths' bytes."""
    with os.scandir(folder) as scanned:
        entries = [(e.name + "/" if e.is_dir(follow_symlinks=False) else e.name) for e in scanned]
    for name in sorted(entries, key=os.fsencode):
        if name.endswith("/"):
            yield from _files_of(folder / name, prefix + name)
        elif prefix or name not in VIEW_DOCUMENTS:
            yield os.fsencode(prefix + name).decode("utf-8", "backslashreplace")

"""Frozen copies: what is reviewed is, byte for byte, what leaves."""

import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from albufera.compute.airlock.inspection import Inspector
from albufera.compute.airlock.model import (
    EGRESS_TOO_LARGE,
    MAX_FILES,
    NOTHING_TO_LEAVE,
    UNFIT_FILE,
    EgressFile,
)
from albufera.compute.folders import Listing, list_files, open_file
from albufera.compute.model import Output
from albufera.kernel.errors import INVALID, NOT_FOUND, Refusal

CHUNK = 1024 * 1024
PREFIX = "/outputs/"


class Altered(Exception):
    """A frozen file is not any more what was reviewed."""


class Freezer:
    """Copies chosen outputs into the airlock, hashing as the bytes pass.

    A frozen file is kept under its SHA-256, so that no name from inside a sandbox ever becomes a
    name on the node.
    """

    def __init__(self, root: Path, max_bytes: int) -> None:
        self.root = root
        self.max_bytes = max_bytes

    def freeze(
        self, request_id: str, outputs: Path, paths: Sequence[str]
    ) -> tuple[EgressFile, ...]:
        """Copy files and folders named relative to the outputs.

        Raises `nothing-to-leave`, `egress-too-large`, `unfit-file`, `not-found`, `invalid-input`.
        """
        chosen = self._choose(outputs, paths)
        folder = self.root / request_id
        folder.mkdir(mode=0o700)
        try:
            frozen = self._copy_all(outputs, chosen, folder)
            _sync(folder)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return frozen

    def path(self, request_id: str, file: EgressFile) -> Path:
        """Return where a frozen file is."""
        return self.root / request_id / file.sha256

    def read(self, request_id: str, file: EgressFile) -> Iterator[bytes]:
        """Give a frozen file's bytes. Raises `Altered` at the end if they are not the reviewed."""
        digest = hashlib.sha256()
        with self.path(request_id, file).open("rb") as source:
            while chunk := source.read(CHUNK):
                digest.update(chunk)
                yield chunk
        if digest.hexdigest() != file.sha256:
            raise Altered(f"{request_id}: a frozen file is not {file.sha256} any more")

    def discard(self, request_id: str) -> None:
        """Remove the copies of a request that will not leave."""
        shutil.rmtree(self.root / request_id, ignore_errors=True)

    def held(self) -> list[tuple[str, float]]:
        """Return (request id, seconds since the epoch of its copy) of all that is frozen."""
        with os.scandir(self.root) as entries:
            return [(entry.name, entry.stat(follow_symlinks=False).st_mtime) for entry in entries]

    def _choose(self, outputs: Path, paths: Sequence[str]) -> list[Output]:
        chosen: dict[str, Output] = {}
        for path in paths:
            for output in _expand(outputs, _relative(path)):
                if not output.readable:
                    raise UNFIT_FILE(
                        f"The name “{output.path[:120]}” has characters that cannot be seen, or "
                        "is not UTF-8.",
                        field="paths",
                    )
                chosen[output.path] = output
                if len(chosen) > MAX_FILES:
                    raise EGRESS_TOO_LARGE(f"One request carries at most {MAX_FILES} files.")
        total = sum(output.size for output in chosen.values())
        if not chosen:
            raise NOTHING_TO_LEAVE()
        if total > self.max_bytes:
            raise EGRESS_TOO_LARGE(
                f"These files have {total} bytes; one request carries at most {self.max_bytes}."
            )
        return [chosen[path] for path in sorted(chosen)]

    def _copy_all(
        self, outputs: Path, chosen: Sequence[Output], folder: Path
    ) -> tuple[EgressFile, ...]:
        inspector, left, frozen = Inspector(), self.max_bytes, []
        for output in chosen:
            size, digest = _copy(outputs, output.path, folder / "incoming", left)
            left -= size
            copy = (folder / "incoming").replace(folder / digest)
            kind, findings = inspector.inspect(copy)
            frozen.append(EgressFile(output.path, size, digest, kind, findings))
        return tuple(frozen)


def _copy(outputs: Path, path: str, target: Path, limit: int) -> tuple[int, str]:
    """Copy one file; return its size and SHA-256. Never more than `limit` bytes."""
    digest, size = hashlib.sha256(), 0
    with os.fdopen(open_file(outputs, path), "rb") as source, target.open("xb") as copy:
        if os.fstat(source.fileno()).st_nlink > 1:
            raise UNFIT_FILE(f"“{path[:120]}” has another name elsewhere (a hard link): copy it.")
        while chunk := source.read(CHUNK):
            size += len(chunk)
            if size > limit:
                raise EGRESS_TOO_LARGE(f"“{path[:120]}” grew while it was copied.")
            digest.update(chunk)
            copy.write(chunk)
        copy.flush()
        os.fchmod(copy.fileno(), 0o400)
        os.fsync(copy.fileno())
    return size, digest.hexdigest()


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _relative(path: str) -> str:
    """Return a path relative to the outputs in its plain form; empty for the outputs themselves."""
    inside = path.removeprefix(PREFIX) if path.startswith(PREFIX) else path
    if inside == "/outputs":
        return ""
    if inside.startswith("/"):
        raise INVALID(f"“{path[:80]!r}” is not a path inside the outputs.", field="paths")
    return "/".join(PurePosixPath(inside).parts)


def _expand(outputs: Path, relative: str) -> Iterator[Output]:
    """Give the file itself, or the files below the folder, that `relative` names."""
    listing = Listing()
    try:
        descriptor = open_file(outputs, relative) if relative else None
    except Refusal as refusal:
        found = list_files(outputs, relative, listing=listing)
        first = next(found, None) if refusal.code == NOT_FOUND.code else None
        if first is None:
            raise
        yield first
        yield from found
    else:
        if descriptor is None:
            yield from list_files(outputs, listing=listing)
        else:
            size = os.fstat(descriptor).st_size
            os.close(descriptor)
            yield Output(relative, size)
    if listing.cut:
        raise EGRESS_TOO_LARGE("The folder has more entries, or deeper ones, than can be listed.")

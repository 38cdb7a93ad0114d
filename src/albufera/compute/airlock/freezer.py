"""Frozen copies: what is reviewed is, byte for byte, what leaves."""

import hashlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from albufera.compute.airlock.inspection import inspect
from albufera.compute.airlock.model import (
    EGRESS_TOO_LARGE,
    MAX_FILES,
    NOTHING_TO_LEAVE,
    EgressFile,
)
from albufera.compute.model import Output
from albufera.compute.workspace import list_files, open_file
from albufera.kernel.errors import Refusal

CHUNK = 1024 * 1024
PREFIX = "/outputs/"


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

        Raises `nothing-to-leave`, `egress-too-large`, `not-found`, `invalid-input`.
        """
        chosen = self._choose(outputs, paths)
        folder = self.root / request_id
        folder.mkdir(parents=True, mode=0o700)
        try:
            return tuple(self._copy(outputs, output.path, folder) for output in chosen)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def path(self, request_id: str, file: EgressFile) -> Path:
        """Return where a frozen file is."""
        return self.root / request_id / file.sha256

    def discard(self, request_id: str) -> None:
        """Remove the copies of a request that will not leave."""
        shutil.rmtree(self.root / request_id, ignore_errors=True)

    def _choose(self, outputs: Path, paths: Sequence[str]) -> list[Output]:
        chosen: dict[str, Output] = {}
        for path in paths:
            for output in _expand(outputs, _relative(path)):
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

    def _copy(self, outputs: Path, path: str, folder: Path) -> EgressFile:
        temporary = folder / "incoming"
        digest, size = hashlib.sha256(), 0
        with os.fdopen(open_file(outputs, path), "rb") as source, temporary.open("wb") as target:
            while chunk := source.read(CHUNK):
                size += len(chunk)
                if size > self.max_bytes:
                    raise EGRESS_TOO_LARGE(f"{path!r} grew while it was copied.")
                digest.update(chunk)
                target.write(chunk)
            target.flush()
            os.fsync(target.fileno())
        temporary.chmod(0o400)
        frozen = temporary.replace(folder / digest.hexdigest())
        kind, findings = inspect(frozen)
        return EgressFile(path, size, digest.hexdigest(), kind, findings)


def _relative(path: str) -> str:
    relative = path.removeprefix(PREFIX) if path.startswith(PREFIX) else path
    return "" if relative in {"/outputs", "."} else relative.rstrip("/")


def _expand(outputs: Path, relative: str) -> list[Output]:
    """Return the file itself, or the files below the folder, that `relative` names."""
    if not relative:
        return list(list_files(outputs))
    try:
        descriptor = open_file(outputs, relative)
    except Refusal:
        found = list(list_files(outputs, relative))
        if not found:
            raise
        return found
    try:
        return [Output(relative, os.fstat(descriptor).st_size)]
    finally:
        os.close(descriptor)

"""Originals held back until a person decides: readable by the node's own account alone.

Each is kept once, as `<project>/<keyed digest>.dcm` (0600 in a directory 0700), beside a note of
why. They are as identifying as they came: they never leave the node, and no verb serves them.
"""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

_CHUNK = 1024 * 1024

Fill = Callable[[BinaryIO], object]


class Quarantine:
    """The directory of originals held back."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def keep(self, project_id: str, digest: str, original: BinaryIO, code: str) -> Path:
        """Keep an original durably; one that is kept already is left as it is."""
        directory = self._root / project_id
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        final = directory / f"{digest}.dcm"
        if final.exists():
            return final
        note = json.dumps({"code": code}).encode()
        _write(directory, directory / f"{digest}.json", lambda file: file.write(note))
        _write(directory, final, lambda file: shutil.copyfileobj(original, file, _CHUNK))
        return final

    def kept(self, project_id: str) -> list[Path]:
        """The originals held back for a project."""
        return sorted((self._root / project_id).glob("*.dcm"))


def _write(directory: Path, final: Path, fill: Fill) -> None:
    temporary = final.with_name(f".{final.name}.{os.getpid()}.{os.urandom(4).hex()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            fill(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(final)
    finally:
        temporary.unlink(missing_ok=True)
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

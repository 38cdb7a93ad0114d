"""The bounded log of a run: the head is kept, the rest is counted as cut."""

import os
from pathlib import Path

CAP_BYTES = 16 * 2**20


class BoundedLog:
    """Appends to a file up to a cap (bytes), then says so in one line and drops the rest."""

    def __init__(self, path: Path, cap: int = CAP_BYTES) -> None:
        self.truncated = False
        notice = f"\n[log truncated: only the first {cap} bytes of output are kept]\n"
        self._notice = notice.encode()
        self._left = cap
        flags = os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC
        self._descriptor = os.open(path, flags, 0o600)

    def write(self, data: bytes) -> None:
        """Append what still fits."""
        if self.truncated:
            return
        kept = data[: self._left]
        os.write(self._descriptor, kept)
        self._left -= len(kept)
        if len(kept) < len(data):
            self.truncated = True
            os.write(self._descriptor, self._notice)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

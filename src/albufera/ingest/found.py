"""What finding files gives: a file to take in, or a refusal before it was opened."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import BinaryIO

MAX_SHOWN = 500


@dataclass(frozen=True)
class SourceFile:
    """A file that can be opened, possibly more than once.

    `path` is shown to stewards; `identity` tells the file apart within its run. `open` gives a
    binary stream, which for a member of an archive cannot seek.
    """

    path: str = field(repr=False)
    identity: str = field(repr=False)
    size: int
    open: Callable[[], BinaryIO]
    seekable: bool = True


@dataclass(frozen=True)
class Refused:
    """A file, or an archive, that ends here; `code` is one of `model.REASONS`."""

    path: str = field(repr=False)
    identity: str = field(repr=False)
    code: str
    size: int = 0


Found = SourceFile | Refused


def display(name: str) -> str:
    """A name as it can be stored and shown: no undecodable bytes, no control characters."""
    text = os.fsencode(name).decode("utf-8", "backslashreplace")
    shown = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)
    return shown if len(shown) <= MAX_SHOWN else "…" + shown[1 - MAX_SHOWN :]

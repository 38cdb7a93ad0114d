"""How much a run adds to the disk, and a watch that says when it is too much."""

import contextlib
import os
import stat
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

ENTRY_BYTES = 1024  # what an entry costs at least, so that empty files are not free
BLOCK_BYTES = 512  # unit of st_blocks, POSIX sys/stat.h


class Unmeasurable(Exception):
    """A folder was made that cannot be looked into, so nobody can say what it holds."""


def measure(folders: Iterable[Path]) -> int:
    """Bytes on disk in these folders; symbolic links are not followed.

    Raises Unmeasurable for a folder nested too deep to be named, or closed to its owner.
    """
    total = 0
    waiting = [os.fspath(folder) for folder in folders]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    total += _weigh(entry, waiting)
        except (FileNotFoundError, NotADirectoryError):
            continue  # removed while we were looking
        except OSError as error:
            raise Unmeasurable(os.strerror(error.errno or 0)) from error
    return total


def _weigh(entry: os.DirEntry[str], waiting: list[str]) -> int:
    status = entry.stat(follow_symlinks=False)
    if stat.S_ISDIR(status.st_mode):
        waiting.append(entry.path)
    return max(status.st_blocks * BLOCK_BYTES, ENTRY_BYTES)


def measure_unlinked(processes: Iterable[int], devices: set[int]) -> int:
    """Bytes in files on these devices that processes hold open although their names are gone."""
    sizes: dict[tuple[int, int], int] = {}
    for process in processes:
        with contextlib.suppress(OSError):
            for descriptor in Path(f"/proc/{process}/fd").iterdir():
                with contextlib.suppress(OSError):
                    status = descriptor.stat()
                    if status.st_nlink == 0 and status.st_dev in devices:
                        key = (status.st_dev, status.st_ino)
                        sizes[key] = status.st_blocks * BLOCK_BYTES
    return sum(sizes.values())


class DiskWatch(threading.Thread):
    """Measures again and again what a run adds to its folders.

    `added` is the newest figure in bytes; `problem` a sentence once the run must end.
    Home holds earlier runs' files, so only growth since the beginning counts.
    """

    PAUSE_SECONDS = 0.25
    REST_FACTOR = 4  # looking may take a fifth of the time

    def __init__(
        self, folders: tuple[Path, ...], limit: int, processes: Callable[[], list[int]]
    ) -> None:
        super().__init__(name="disk-watch", daemon=True)
        self.added = 0
        self.problem = ""
        self._folders = folders
        self._devices = {folder.stat().st_dev for folder in folders}
        self._limit = limit
        self._processes = processes
        self._before = 0

    def note_beginning(self) -> None:
        """Measure what is there already; raises Unmeasurable."""
        self._before = measure(self._folders)

    def run(self) -> None:
        """Look until there is a problem; the supervisor's end ends the thread."""
        while not self.problem:
            began = time.monotonic()
            self.look()
            cost = time.monotonic() - began
            time.sleep(max(self.PAUSE_SECONDS, cost * self.REST_FACTOR))

    def look(self) -> None:
        """Measure once."""
        try:
            self.added = max(0, measure(self._folders) - self._before)
        except Unmeasurable as error:
            self.problem = f"The run made a folder whose contents cannot be measured ({error})."
            return
        self.added += measure_unlinked(self._processes(), self._devices)
        if self.added > self._limit:
            self.problem = (
                f"The run wrote more than the {self._limit} bytes it may add to /work, /outputs "
                "and /home/user. Write less, or choose a flavour with more disk."
            )

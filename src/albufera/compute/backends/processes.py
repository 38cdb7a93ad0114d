"""Limits without control groups: resource limits per process, and a watch over all of them.

Weaker than a control group: memory is seen by sampling, and only anonymous and shared pages.
"""

import contextlib
import os
import resource
from pathlib import Path

from albufera.compute.ports import Limits

PROC = Path("/proc")
ADDRESS_SPACE_MARGIN = 512 * 2**20  # address space is reserved more freely than memory is used
PROCESSOR_MARGIN_SECONDS = 5
OPEN_FILES = 4096
_TICKS = os.sysconf("SC_CLK_TCK")
_CHILDREN_TIME_END = 15  # fields 12-15 of what follows the name in stat: u, s, cu, cs time


class ProcessTree:
    """The processes below one, by looking at /proc."""

    kind = "prlimit"

    def __init__(self, limits: Limits, proc: Path = PROC) -> None:
        self._limits = limits
        self._proc = proc
        self._root: int | None = None
        self._peak = 0
        self._cpu = 0.0

    def folders(self) -> list[str]:
        """None: nothing is left behind on disk."""
        return []

    def join(self) -> None:
        """Bind the calling process's address space; called between fork and exec."""
        lower(resource.RLIMIT_AS, self._limits.memory_bytes + ADDRESS_SPACE_MARGIN)

    def follow(self, process: int) -> None:
        """Take this process as the root of the tree."""
        self._root = process

    def memory(self) -> tuple[int, int]:
        """Anonymous and shared bytes now, and the largest sum seen."""
        now = sum(_memory(self._proc, process) for process in self.processes())
        self._peak = max(self._peak, now)
        return now, self._peak

    def cpu_seconds(self) -> float:
        """Processor time of the tree and of the children it has waited for."""
        now = sum(_processor_seconds(self._proc, process) for process in self.processes())
        self._cpu = max(self._cpu, now)
        return self._cpu

    def processes(self) -> list[int]:
        """The root and all below it."""
        found: list[int] = []
        waiting = [self._root] if self._root is not None else []
        while waiting:
            process = waiting.pop()
            found.append(process)
            for path in (self._proc / str(process) / "task").glob("*/children"):
                with contextlib.suppress(OSError):
                    waiting += [int(child) for child in path.read_text().split()]
        return found

    def breach(self) -> bool:
        """Whether the processes together use more memory than the limit."""
        return self.memory()[0] > self._limits.memory_bytes

    def remove(self) -> None:
        """Nothing to remove: the processes end with their process namespace."""


def lower(limit: int, value: int) -> None:
    """Set a resource limit, never above what the caller itself is bound to."""
    _, hard = resource.getrlimit(limit)
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(limit, (value, value))


def apply_resource_limits(limits: Limits) -> None:
    """The limits that hold for each process, beside those for the run as a whole."""
    lower(resource.RLIMIT_CORE, 0)
    lower(resource.RLIMIT_NOFILE, OPEN_FILES)
    lower(resource.RLIMIT_FSIZE, limits.disk_bytes)
    processors = max(1, round(limits.cpus + 0.5))
    lower(resource.RLIMIT_CPU, limits.seconds * processors + PROCESSOR_MARGIN_SECONDS)


def started_at(process: int, proc: Path = PROC) -> int | None:
    """When a process began, in clock ticks since boot; None if there is none (or a zombie).

    With the process id this names a process for good: ids are used again, start times are not.
    """
    fields = _stat(proc, process)
    if not fields or fields[0] in "ZX":
        return None
    return int(fields[19])


def _memory(proc: Path, process: int) -> int:
    total = 0
    with contextlib.suppress(OSError):
        for line in (proc / str(process) / "status").read_text().splitlines():
            if line.startswith(("RssAnon:", "RssShmem:")):
                total += int(line.split()[1]) * 1024
    return total


def _processor_seconds(proc: Path, process: int) -> float:
    fields = _stat(proc, process)
    return sum(map(int, fields[_CHILDREN_TIME_END - 4 : _CHILDREN_TIME_END])) / _TICKS


def _stat(proc: Path, process: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on (proc(5) field 3 is the first here)."""
    with contextlib.suppress(OSError):
        text = (proc / str(process) / "stat").read_text(errors="replace")
        return text.rpartition(")")[2].split()  # the name may contain blanks and brackets
    return []

"""Control groups, version 1 and 2: the limits of a run as a whole, and what it used.

Version 1 as in the kernel's admin-guide/cgroup-v1, version 2 as in admin-guide/cgroup-v2.
"""

import contextlib
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from albufera.compute.ports import Limits

PERIOD_MICROSECONDS = 100_000
MOUNT_POINT = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")
_NEEDED = ("memory", "pids", "cpu")


class ControlGroup(Protocol):
    """A group of processes with limits; `kind` names the mechanism."""

    @property
    def kind(self) -> str:
        """How the limits are enforced, as `Availability.limits` tells it."""
        ...

    def folders(self) -> list[str]:
        """The folders to clear if the supervisor dies."""
        ...

    def join(self) -> None:
        """Put the calling process in; called between fork and exec."""
        ...

    def follow(self, process: int) -> None:
        """Told the first process of the run once it is there."""
        ...

    def memory(self) -> tuple[int, int]:
        """Bytes now and at the peak."""
        ...

    def cpu_seconds(self) -> float:
        """Processor time of all its processes, also those that ended."""
        ...

    def processes(self) -> list[int]:
        """The process ids in it now."""
        ...

    def breach(self) -> bool:
        """Whether it wanted more memory than its limit, and was or must be killed for it."""
        ...

    def remove(self) -> None:
        """Kill what is left in it and remove it."""
        ...


@dataclass(frozen=True)
class Version1:
    """One folder per controller."""

    memory_folder: Path
    pids_folder: Path
    cpu_folder: Path
    accounting_folder: Path | None
    kind: str = "cgroup v1"

    def folders(self) -> list[str]:
        """The folders to clear if the supervisor dies."""
        made = (self.memory_folder, self.pids_folder, self.cpu_folder, self.accounting_folder)
        return list(dict.fromkeys(str(folder) for folder in made if folder))

    def join(self) -> None:
        """Put the calling process in; called between fork and exec."""
        for folder in self.folders():
            _write(Path(folder) / "cgroup.procs", "0")

    def follow(self, process: int) -> None:
        """Nothing to do: the kernel keeps the members."""

    def memory(self) -> tuple[int, int]:
        """Bytes now and at the peak, page cache included."""
        now = _number(self.memory_folder / "memory.usage_in_bytes")
        return now, _number(self.memory_folder / "memory.max_usage_in_bytes")

    def cpu_seconds(self) -> float:
        """Processor time of all its processes (0 where nothing accounts for it)."""
        if self.accounting_folder is None:
            return 0.0
        return _number(self.accounting_folder / "cpuacct.usage") / 1e9

    def processes(self) -> list[int]:
        """The process ids in it now."""
        return _processes(self.pids_folder)

    def breach(self) -> bool:
        """Whether it wanted more memory than its limit, and was or must be killed for it."""
        return _field(self.memory_folder / "memory.oom_control", "oom_kill") > 0

    def remove(self) -> None:
        """Kill what is left in it and remove it."""
        remove_folders(self.folders())


@dataclass(frozen=True)
class Version2:
    """One folder for all controllers."""

    folder: Path
    kind: str = "cgroup v2"

    def folders(self) -> list[str]:
        """The folder to clear if the supervisor dies."""
        return [str(self.folder)]

    def join(self) -> None:
        """Put the calling process in; called between fork and exec."""
        _write(self.folder / "cgroup.procs", "0")

    def follow(self, process: int) -> None:
        """Nothing to do: the kernel keeps the members."""

    def memory(self) -> tuple[int, int]:
        """Bytes now and at the peak (Linux 5.19 and later), page cache included."""
        now = _number(self.folder / "memory.current")
        peak = self.folder / "memory.peak"
        return now, _number(peak) if peak.exists() else now

    def cpu_seconds(self) -> float:
        """Processor time of all its processes."""
        return _field(self.folder / "cpu.stat", "usage_usec") / 1e6

    def processes(self) -> list[int]:
        """The process ids in it now."""
        return _processes(self.folder)

    def breach(self) -> bool:
        """Whether it wanted more memory than its limit, and was or must be killed for it."""
        return _field(self.folder / "memory.events", "oom_kill") > 0

    def remove(self) -> None:
        """Kill what is left in it and remove it."""
        remove_folders(self.folders())


def make(
    name: str, limits: Limits, root: Path = MOUNT_POINT, membership: Path = MEMBERSHIP
) -> ControlGroup | None:
    """A new control group with these limits, below the caller's own; None where none can be."""
    own = _membership(membership)
    if (root / "memory").is_dir():
        return _make_version_1(name, limits, root, own)
    if (root / "cgroup.controllers").exists():
        return _make_version_2(name, limits, root, own)
    return None


def _make_version_1(
    name: str, limits: Limits, root: Path, own: dict[str, str]
) -> ControlGroup | None:
    made: dict[str, Path] = {}
    try:
        for controller in (*_NEEDED, "cpuacct"):
            base = root / controller
            if controller == "cpuacct" and not base.is_dir():
                continue
            inner = base / own.get(controller, "/").lstrip("/")
            folder = (inner if inner.is_dir() else base) / name
            folder.mkdir(exist_ok=True)
            made[controller] = folder
        group = Version1(made["memory"], made["pids"], made["cpu"], made.get("cpuacct"))
        _limit_version_1(group, limits)
    except OSError:
        remove_folders([str(folder) for folder in made.values()])
        return None
    return group


def _limit_version_1(group: Version1, limits: Limits) -> None:
    memory = str(limits.memory_bytes)
    _write(group.memory_folder / "memory.limit_in_bytes", memory)
    with_swap = group.memory_folder / "memory.memsw.limit_in_bytes"
    if with_swap.exists():
        _write(with_swap, memory)
    _write(group.pids_folder / "pids.max", str(limits.processes))
    _write(group.cpu_folder / "cpu.cfs_period_us", str(PERIOD_MICROSECONDS))
    _write(group.cpu_folder / "cpu.cfs_quota_us", str(_quota(limits)))


def _make_version_2(
    name: str, limits: Limits, root: Path, own: dict[str, str]
) -> ControlGroup | None:
    """Try the caller's own group, then those above it.

    A group that holds processes cannot hand controllers to groups below it (the "no internal
    processes" rule), so the place is usually the parent: the service's slice.
    """
    place = root / own.get("", "/").lstrip("/")
    for parent in (place, *place.parents):
        if parent != root and root not in parent.parents:
            break
        if not _enabled(parent):
            continue
        folder = parent / name
        try:
            folder.mkdir(exist_ok=True)
            _limit_version_2(folder, limits)
        except OSError:
            remove_folders([str(folder)])
            continue
        return Version2(folder)
    return None


def _enabled(parent: Path) -> bool:
    control = parent / "cgroup.subtree_control"
    with contextlib.suppress(OSError):
        if set(_NEEDED) <= set(control.read_text().split()):
            return True
        _write(control, " ".join(f"+{controller}" for controller in _NEEDED))
        return set(_NEEDED) <= set(control.read_text().split())
    return False


def _limit_version_2(folder: Path, limits: Limits) -> None:
    _write(folder / "memory.max", str(limits.memory_bytes))
    if (folder / "memory.swap.max").exists():
        _write(folder / "memory.swap.max", "0")
    _write(folder / "memory.oom.group", "1")  # the run ends as a whole, not one worker of it
    _write(folder / "pids.max", str(limits.processes))
    _write(folder / "cpu.max", f"{_quota(limits)} {PERIOD_MICROSECONDS}")


def remove_folders(folders: list[str], patience_seconds: float = 3.0) -> None:
    """Kill every process in these control groups and remove them."""
    deadline = time.monotonic() + patience_seconds
    left = [Path(folder) for folder in folders if Path(folder).is_dir()]
    while left:
        for folder in list(left):
            _kill(folder)
            try:
                folder.rmdir()
            except FileNotFoundError:
                left.remove(folder)
            except OSError:
                continue  # dying processes are still counted: try again
            else:
                left.remove(folder)
        if time.monotonic() > deadline:
            return
        if left:
            time.sleep(0.01)


def _kill(folder: Path) -> None:
    switch = folder / "cgroup.kill"
    if switch.exists():
        with contextlib.suppress(OSError):
            _write(switch, "1")
            return
    for process in _processes(folder):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(process, signal.SIGKILL)


def _membership(path: Path) -> dict[str, str]:
    """`/proc/self/cgroup`: {controller: path}, version 2 under the empty name (cgroups(7))."""
    paths: dict[str, str] = {}
    with contextlib.suppress(OSError):
        for line in path.read_text().splitlines():
            _, controllers, where = line.split(":", 2)
            paths.update(dict.fromkeys(controllers.split(","), where))
    return paths


def _quota(limits: Limits) -> int:
    return max(1000, int(limits.cpus * PERIOD_MICROSECONDS))  # the kernel takes no less than 1 ms


def _processes(folder: Path) -> list[int]:
    with contextlib.suppress(OSError):
        return [int(line) for line in (folder / "cgroup.procs").read_text().split()]
    return []


def _number(path: Path) -> int:
    with contextlib.suppress(OSError, ValueError):
        return int(path.read_text())
    return 0


def _field(path: Path, name: str) -> int:
    with contextlib.suppress(OSError):
        for line in path.read_text().splitlines():
            key, _, value = line.partition(" ")
            if key == name:
                return int(value)
    return 0


def _write(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)

"""What compute asks of the machinery that runs a command beside the data."""

import re
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol

_SEGMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class RunnerUnavailable(Exception):
    """Jobs cannot be run safely here: `reason` says why, `remedy` what to do about it."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(f"{reason} {remedy}".strip())
        self.reason = reason
        self.remedy = remedy


class RunConflict(Exception):
    """The run directory already belongs to another job."""


class UnknownRun(LookupError):
    """No run is recorded under this handle."""


@dataclass(frozen=True)
class Mount:
    """A folder of the host, shown read-only at `/datasets/<name>`.

    `name` is one path segment (letters, digits, `.`, `_`, `-`). Symbolic links inside `host`
    that lead out of it do not resolve in the sandbox.
    """

    host: Path
    name: str

    def __post_init__(self) -> None:
        """Refuse names that could place the mount elsewhere."""
        if not _SEGMENT.fullmatch(self.name):
            raise ValueError(f"{self.name!r} is not a dataset name that can be a folder's name.")
        if not self.host.is_absolute():
            raise ValueError(f"The dataset folder {self.host} must be an absolute path.")


@dataclass(frozen=True)
class Limits:
    """What one run may use at most.

    Units: `cpus` processors (may be a fraction); `memory_bytes` of all its processes together,
    `/tmp` and `/dev/shm` included; `seconds` of wall time; `processes` and threads at one time;
    `disk_bytes` that the run may add to scratch, outputs and home together.
    """

    cpus: float
    memory_bytes: int
    seconds: int
    processes: int
    disk_bytes: int

    def __post_init__(self) -> None:
        """Refuse limits that are no limit."""
        values = (self.cpus, self.memory_bytes, self.seconds, self.processes, self.disk_bytes)
        if min(values) <= 0:
            raise ValueError("Every limit must be greater than zero.")


@dataclass(frozen=True)
class Launch:
    """One command, what it may see, and what it may use.

    `run_dir` is the runner's own folder for this run, never shown inside. Inside, `home` is
    `/home/user`, `work` is `/work` (the working directory), `outputs` is `/outputs`; all three
    are writable and must exist. `environment` is added to a minimal one.
    """

    job_id: str
    run_dir: Path
    command: tuple[str, ...]
    home: Path
    work: Path
    outputs: Path
    limits: Limits
    datasets: tuple[Mount, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what no backend could run as it is meant."""
        if not self.job_id or not self.command or not self.command[0]:
            raise ValueError("A run needs a job id and a command.")
        for path in (self.run_dir, self.home, self.work, self.outputs):
            if not path.is_absolute():
                raise ValueError(f"The folder {path} must be an absolute path.")
        names = [mount.name for mount in self.datasets]
        if len(set(names)) != len(names):
            raise ValueError("Two datasets would be mounted under the same name.")
        for name in self.environment:
            if not _VARIABLE.fullmatch(name):
                raise ValueError(f"{name!r} is not a name for an environment variable.")
        paths = (str(mount.host) for mount in self.datasets)
        texts = (*self.command, *self.environment.values(), *paths)
        if any("\0" in text for text in texts):
            raise ValueError("A command, a path or a variable contains a NUL character.")


class Phase(StrEnum):
    """Where a run stands. `prepared`: recorded but never begun (start it again)."""

    PREPARED = "prepared"
    RUNNING = "running"
    ENDED = "ended"


class EndReason(StrEnum):
    """Why a run ended.

    `finished` exit code 0; `failed` another exit code, or the sandbox could not be set up;
    `timeout`, `out-of-memory`, `disk-full`: a limit was reached; `cancelled` by `stop`;
    `lost`: the run broke off and nobody knows its exit code.
    """

    FINISHED = "finished"
    FAILED = "failed"
    TIMEOUT = "timeout"
    OUT_OF_MEMORY = "out-of-memory"
    DISK_FULL = "disk-full"
    CANCELLED = "cancelled"
    LOST = "lost"


@dataclass(frozen=True)
class RunResult:
    """How a run ended. `exit_code` is None unless the command itself ended (128+n: signal n).

    `detail` is a sentence for the person, empty when the reason says it all.
    `ended_at` is in seconds since the epoch.
    """

    reason: EndReason
    exit_code: int | None
    detail: str
    memory_peak_bytes: int
    cpu_seconds: float
    wall_seconds: float
    log_truncated: bool
    ended_at: float


@dataclass(frozen=True)
class RunState:
    """A run's phase, and its result once it has ended."""

    phase: Phase
    result: RunResult | None = None


@dataclass(frozen=True)
class Usage:
    """What a run uses now, or used at its end.

    `memory_peak_bytes` counts the page cache where a control group measures it; `disk_bytes`
    is what the run added to scratch, outputs and home, as last measured.
    """

    memory_bytes: int
    memory_peak_bytes: int
    cpu_seconds: float
    wall_seconds: float
    processes: int
    disk_bytes: int


@dataclass(frozen=True)
class Availability:
    """Whether runs can be had. If not, `reason` says why and `remedy` what to do.

    `limits` names how limits are enforced: `cgroup v1`, `cgroup v2` or `prlimit`.
    """

    ok: bool
    reason: str = ""
    remedy: str = ""
    limits: str = ""


class Runner(Protocol):
    """Runs commands in isolation, beside the data.

    Every backend MUST keep, for every run:

    - the command sees `/datasets/<name>` read-only, `/home/user`, `/work`, `/outputs`, a private
      `/tmp`, and nothing else of the host's or other tenants' files, processes and network;
    - it MUST NOT run with less isolation when isolation cannot be had: it is refused;
    - the limits hold for the run as a whole, whatever number of processes it starts;
    - a run outlives the node process that started it, and is found again by its handle alone;
    - whatever happens, the run reaches `ended`, exactly once, and its result never changes.

    Methods may block for some milliseconds on files and processes: never call them in an event
    loop. They MAY be called from several threads and processes at once.
    """

    def available(self) -> Availability:
        """Say whether runs can be had; MUST prove it by a real trial. MUST NOT raise."""
        ...

    def start(self, launch: Launch) -> str:
        """Begin a run and return its handle, a text that MUST stay valid across restarts.

        MUST be idempotent: starting the same job in the same run directory again, at any time
        and from any process, returns the same handle and never runs the command twice.

        Raises RunnerUnavailable when isolation cannot be had, RunConflict when the run
        directory belongs to another job.
        """
        ...

    def stop(self, handle: str) -> None:
        """Ask that the run end now; returns at once, `poll` tells when it has.

        MUST end every process of the run. MUST change nothing for a run that has ended.
        A run that never began MUST become `cancelled` and never begin. Raises UnknownRun.
        """
        ...

    def poll(self, handle: str) -> RunState:
        """Tell the run's phase. MUST tell `ended` with reason `lost` for a run that broke off,
        and by then no process of the run may be left. Raises UnknownRun."""
        ...

    def logs(self, handle: str, offset: int, limit: int) -> bytes:
        """Return at most `limit` bytes of standard output and error from byte `offset` on.

        MUST work while the run is going on; empty at the end of what there is. The log is
        bounded: the head is kept, and one line says that the rest was cut. Raises UnknownRun.
        """
        ...

    def stats(self, handle: str) -> Usage:
        """Return what the run uses, at most some seconds old. Raises UnknownRun."""
        ...

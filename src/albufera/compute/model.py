"""Jobs: a command run beside the data, its life and its limits."""

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import PurePosixPath

from albufera.kernel.errors import INVALID, define
from albufera.kernel.transitions import Transitions

MAX_ARGUMENTS = 256
MAX_COMMAND_BYTES = 64 * 1024
MAX_DATASETS = 16
MAX_ATTACHED_FILES = 64
MAX_ATTACHED_BYTES = 16 * 1024 * 1024
MAX_LISTED_OUTPUTS = 1000

_SAFE_NAME = re.compile(r"^[^\x00-\x1f\x7f]{1,200}$")


class JobState(StrEnum):
    """Where a job is in its life."""

    QUEUED = "queued"
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled"


JOB_LIFE = Transitions(
    "job",
    {
        (JobState.QUEUED, "start"): JobState.RUNNING,
        (JobState.QUEUED, "cancel"): JobState.CANCELLED,
        (JobState.QUEUED, "fail"): JobState.FAILED,
        (JobState.RUNNING, "finish"): JobState.FINISHED,
        (JobState.RUNNING, "fail"): JobState.FAILED,
        (JobState.RUNNING, "cancel"): JobState.CANCELLED,
    },
)
ENDED = frozenset({JobState.FINISHED, JobState.FAILED, JobState.CANCELLED})

JOB_NOT_FOUND = define(
    "job-not-found",
    404,
    "There is no such job, or none that you may know of.",
    "`albufera job list` shows your jobs.",
)
SANDBOX_UNAVAILABLE = define(
    "sandbox-unavailable",
    503,
    "Jobs cannot be run safely on this machine, so they are not run at all.",
    "The message says what is missing; `albufera doctor` checks it.",
)
FLAVOUR_NOT_FOUND = define(
    "flavour-not-found", 422, "There is no such flavour.", "The message lists the flavours."
)


@dataclass(frozen=True)
class Flavour:
    """A bundle of what a job may use: processors, bytes of memory and disk, seconds, processes."""

    name: str
    cpus: float
    memory_bytes: int
    seconds: int
    processes: int
    disk_bytes: int


@dataclass(frozen=True)
class Job:
    """A job as people see it. `command` is what they asked for, word by word."""

    job_id: str
    project_id: str
    owner_id: str
    owner: str
    dataset_ids: tuple[str, ...]
    command: tuple[str, ...]
    flavour: str
    state: JobState
    reason: str
    detail: str
    exit_code: int | None
    submitted_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    memory_peak_bytes: int
    cpu_seconds: float


@dataclass(frozen=True)
class Output:
    """A file that a job left in `/outputs`: its path relative to there, and its size in bytes."""

    path: str
    size: int


def check_command(command: tuple[str, ...]) -> None:
    """Raise `invalid-input` for a command that no shell would take either."""
    total = sum(len(word.encode()) for word in command)
    if not command or not command[0].strip():
        raise INVALID("A job needs a command, for example: -- python analyse.py", field="command")
    if len(command) > MAX_ARGUMENTS or total > MAX_COMMAND_BYTES:
        raise INVALID(
            f"A command has at most {MAX_ARGUMENTS} words and {MAX_COMMAND_BYTES} bytes.",
            field="command",
        )
    if any("\0" in word for word in command):
        raise INVALID("A command cannot contain NUL characters.", field="command")


def check_attachments(files: dict[str, bytes]) -> None:
    """Raise `invalid-input` for attached files that are too many, too large or named oddly."""
    if len(files) > MAX_ATTACHED_FILES:
        raise INVALID(f"At most {MAX_ATTACHED_FILES} files go with a job.", field="files")
    if sum(len(content) for content in files.values()) > MAX_ATTACHED_BYTES:
        raise INVALID(
            f"The files that go with a job have at most {MAX_ATTACHED_BYTES} bytes together; "
            "larger ones belong in the home.",
            field="files",
        )
    for name in files:
        parts = PurePosixPath(name).parts
        odd = name.startswith("/") or ".." in parts or not parts or not _SAFE_NAME.match(name)
        if odd or name.endswith("/"):
            raise INVALID(
                f"The file name {name[:80]!r} cannot be placed in the job's folder.", field="files"
            )

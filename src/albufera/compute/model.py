"""Jobs: a command run beside the data, its life and its limits."""

from collections.abc import Collection, Mapping, Sequence
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
MAX_ATTACHED_NAME = 200
MAX_LISTED_OUTPUTS = 1000
MAX_WAITING_JOBS = 100
_MAX_PART_BYTES = 255
"""The longest name of a file that Linux takes (`NAME_MAX`)."""


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
NOT_GRANTED = define(
    "dataset-not-granted",
    403,
    "You may know of this dataset, but not work with it.",
    "Apply for access on the dataset's page; the project's committee decides.",
)
TOO_MANY_JOBS = define(
    "too-many-jobs",
    429,
    "You have as many jobs waiting as one person may have.",
    "Wait until some have ended, or cancel those that you do not need.",
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
    """A file that a job left in `/outputs`: its path relative to there, and its size in bytes.

    A file whose path no person could read (`is_readable_path`) has it written with escapes here:
    such a file is seen, but cannot be asked for.
    """

    path: str
    size: int
    readable: bool = True


def is_readable_path(path: str) -> bool:
    """Tell whether a person sees what the path is: UTF-8, nothing invisible, nothing reordering.

    A name is what a reviewer decides by and what a download is unpacked under, so control
    characters, line breaks, bytes that are no UTF-8 (which Python reads as surrogates) and
    bidirectional overrides make a path unfit for leaving.
    """
    return path.isprintable()


def shown_path(path: str) -> str:
    """Write a path so that every character of it can be seen and stored."""
    if is_readable_path(path):
        return path
    shown = (c if c.isprintable() else c.encode("unicode_escape").decode() for c in path)
    return "".join(shown)


def check_command(command: Sequence[str]) -> None:
    """Raise `invalid-input` for a command that no shell would take either."""
    if not command or not command[0].strip():
        raise INVALID("A job needs a command, for example: -- python analyse.py", field="command")
    total = sum(len(word.encode("utf-8", "surrogatepass")) for word in command)
    if len(command) > MAX_ARGUMENTS or total > MAX_COMMAND_BYTES:
        raise INVALID(
            f"A command has at most {MAX_ARGUMENTS} words and {MAX_COMMAND_BYTES} bytes.",
            field="command",
        )
    if not all(_is_text(word) for word in command):
        raise INVALID("A command is UTF-8 text without NUL characters.", field="command")


def check_attachments(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the attached files by their plain paths (`./a` is `a`).

    Raises `invalid-input` for files that are too many, too large or named oddly.
    """
    if len(files) > MAX_ATTACHED_FILES:
        raise INVALID(f"At most {MAX_ATTACHED_FILES} files go with a job.", field="files")
    if sum(len(content) for content in files.values()) > MAX_ATTACHED_BYTES:
        raise INVALID(
            f"The files that go with a job have at most {MAX_ATTACHED_BYTES} bytes together; "
            "larger ones belong in the home.",
            field="files",
        )
    placed = {_placed(name): content for name, content in files.items()}
    folders = {str(folder) for name in placed for folder in PurePosixPath(name).parents}
    if len(placed) != len(files) or folders & placed.keys():
        raise INVALID("Two of the files have the same name in the job's folder.", field="files")
    return placed


def _placed(name: str) -> str:
    parts = PurePosixPath(name).parts
    odd = not parts or ".." in parts or name.startswith("/") or name.endswith("/")
    if odd or not _fits(name, parts):
        raise INVALID(
            f"The file name {shown_path(name[:80])!r} cannot be placed in the job's folder.",
            field="files",
        )
    return "/".join(parts)


def _fits(name: str, parts: Collection[str]) -> bool:
    long = any(len(part.encode("utf-8", "replace")) > _MAX_PART_BYTES for part in parts)
    return not long and len(name) <= MAX_ATTACHED_NAME and is_readable_path(name)


def _is_text(word: str) -> bool:
    try:
        word.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in word

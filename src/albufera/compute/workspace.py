"""The folders of jobs and people: run directory, scratch, outputs, home."""

import os
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from albufera.compute.model import MAX_LISTED_OUTPUTS, Output
from albufera.kernel.errors import INVALID, NOT_FOUND

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
MAX_DEPTH = 32


@dataclass(frozen=True)
class JobFolders:
    """A job's own folders. `run` is the runner's; `work` and `outputs` are seen by the job."""

    root: Path

    @property
    def run(self) -> Path:
        """The runner's folder, never shown inside."""
        return self.root / "run"

    @property
    def work(self) -> Path:
        """Scratch, gone afterwards."""
        return self.root / "work"

    @property
    def outputs(self) -> Path:
        """What the job wants to show."""
        return self.root / "outputs"


class Workspace:
    """Makes and clears the folders under a node's home."""

    def __init__(self, jobs: Path, homes: Path) -> None:
        self.jobs = jobs
        self.homes = homes

    def of_job(self, job_id: str) -> JobFolders:
        """Return a job's folders (which may not exist yet)."""
        return JobFolders(self.jobs / job_id)

    def prepare(self, job_id: str, files: dict[str, bytes]) -> JobFolders:
        """Make a job's folders and put the attached files into its scratch."""
        folders = self.of_job(job_id)
        for folder in (folders.work, folders.outputs):
            folder.mkdir(parents=True, mode=0o700)
        for name, content in files.items():
            path = folders.work / PurePosixPath(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return folders

    def home_of(self, project_id: str, user_id: str) -> Path:
        """Return the persistent home of a person in a project, making it if need be."""
        home = self.homes / project_id / user_id
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        return home

    def clear_scratch(self, job_id: str) -> None:
        """Remove a job's scratch; outputs and logs stay."""
        shutil.rmtree(self.of_job(job_id).work, ignore_errors=True)

    def outputs(self, job_id: str) -> tuple[list[Output], bool]:
        """Return the regular files a job left, by path, and whether there are more than listed."""
        found: list[Output] = []
        for output in list_files(self.of_job(job_id).outputs):
            if len(found) == MAX_LISTED_OUTPUTS:
                return found, True
            found.append(output)
        return found, False


def list_files(root: Path, start: str = "") -> Iterator[Output]:
    """Yield regular files below `root/start`, never following a symbolic link."""
    try:
        folder = open_inside(root, start, _FOLDER) if start else os.open(root, _FOLDER)
    except OSError:
        return
    try:
        yield from _walk(folder, start, 0)
    finally:
        os.close(folder)


def _walk(folder: int, prefix: str, depth: int) -> Iterator[Output]:
    with os.scandir(folder) as entries:
        ordered = sorted(entries, key=lambda entry: entry.name)
    for entry in ordered:
        path = f"{prefix}/{entry.name}" if prefix else entry.name
        if entry.is_dir(follow_symlinks=False) and depth < MAX_DEPTH:
            inner = os.open(entry.name, _FOLDER, dir_fd=folder)
            try:
                yield from _walk(inner, path, depth + 1)
            finally:
                os.close(inner)
        elif entry.is_file(follow_symlinks=False):
            yield Output(path, entry.stat(follow_symlinks=False).st_size)


def open_inside(root: Path, relative: str, flags: int = _FILE) -> int:
    """Open a path below `root` without following a symbolic link in any of its parts.

    A job may have left links that point anywhere; this never leaves `root`. Raises OSError, and
    `invalid-input` for a path that is absolute or climbs.
    """
    parts = PurePosixPath(relative).parts
    if not parts or relative.startswith("/") or ".." in parts or "\0" in relative:
        raise INVALID(f"{relative[:80]!r} is not a path inside the outputs.", field="paths")
    folder = os.open(root, _FOLDER)
    try:
        for part in parts[:-1]:
            inner = os.open(part, _FOLDER, dir_fd=folder)
            os.close(folder)
            folder = inner
        return os.open(parts[-1], flags, dir_fd=folder)
    finally:
        os.close(folder)


def open_file(root: Path, relative: str) -> int:
    """Open a regular file below `root`; raise `not-found` for anything else."""
    try:
        descriptor = open_inside(root, relative)
    except OSError as failure:
        raise NOT_FOUND(f"There is no file {relative[:80]!r} among the outputs.") from failure
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise NOT_FOUND(f"{relative[:80]!r} is not an ordinary file.")
    return descriptor

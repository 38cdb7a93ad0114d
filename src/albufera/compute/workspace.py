"""The folders of jobs and people: run directory, scratch, outputs, home."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from albufera.compute.folders import Listing, list_files, remove_tree, write_file
from albufera.compute.model import MAX_LISTED_OUTPUTS, Output


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
        """Make a job's folders and put the attached files, by plain paths, into its scratch.

        When this returns, they are on the disk: the job may be promised.
        """
        folders = self.of_job(job_id)
        for folder in (folders.root, folders.work, folders.outputs):
            folder.mkdir(mode=0o700)
        for name, content in files.items():
            path = folders.work / name
            path.parent.mkdir(parents=True, exist_ok=True)
            write_file(path, content)
        return folders

    def discard(self, job_id: str) -> None:
        """Remove all folders of a job that was never queued."""
        shutil.rmtree(self.of_job(job_id).root, ignore_errors=True)

    def home_of(self, project_id: str, user_id: str) -> Path:
        """Return the persistent home of a person in a project, making it if need be."""
        home = self.homes / project_id / user_id
        for folder in (home.parent, home):
            folder.mkdir(exist_ok=True, mode=0o700)
        return home

    def clear_scratch(self, job_id: str) -> None:
        """Remove a job's scratch; outputs and logs stay. Nothing happens if it is gone."""
        remove_tree(self.of_job(job_id).work)

    def outputs(self, job_id: str) -> tuple[list[Output], bool]:
        """Return the regular files a job left, by path, and whether there are more than listed."""
        listing = Listing()
        found: list[Output] = []
        for output in list_files(self.of_job(job_id).outputs, listing=listing):
            if len(found) == MAX_LISTED_OUTPUTS:
                return found, True
            found.append(output)
        return found, listing.cut

    def folders_of_jobs(self) -> list[tuple[str, float]]:
        """Return (job id, seconds since the epoch when it was last changed) of all folders."""
        with os.scandir(self.jobs) as entries:
            return [(entry.name, entry.stat(follow_symlinks=False).st_mtime) for entry in entries]

"""The run directory: everything the node and the supervisor know of one run, on disk.

launch.json       what to run; written once by `start`
started           created exclusively by whoever may run the command: the "never twice" token
lock              held by the supervisor (flock) for as long as it lives
supervisor.json   its process id and the control groups to clear if it dies
cancel            somebody asked the run to end
log               bounded output of the command
usage.json        what the run uses, refreshed about once a second
result.json       how it ended; written once, atomically
"""

import contextlib
import dataclasses
import fcntl
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from albufera.compute.ports import (
    EndReason,
    Launch,
    Limits,
    Mount,
    RunConflict,
    RunResult,
    UnknownRun,
    Usage,
)


class RunDirectory:
    """Reads and writes one run directory. Every write is atomic; readers never see half a file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.log = path / "log"
        self._launch = path / "launch.json"
        self._started = path / "started"
        self._lock = path / "lock"
        self._cancel = path / "cancel"
        self._result = path / "result.json"

    @classmethod
    def known(cls, handle: str) -> "RunDirectory":
        """The run directory behind a handle; raises UnknownRun when there is none."""
        directory = cls(Path(handle))
        if not directory._launch.is_file():
            raise UnknownRun(f"No run is recorded at {handle}.")
        return directory

    def record(self, launch: Launch) -> None:
        """Record the launch unless it is recorded; raises RunConflict for another job's folder."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        text = json.dumps(_plain(launch), sort_keys=True)
        draft = self.path / f"launch.{os.getpid()}.{time.monotonic_ns()}"
        _write_synced(draft, text)
        try:
            os.link(draft, self._launch)  # fails if it exists: the first writer wins
        except FileExistsError:
            if self.launch().job_id != launch.job_id:
                raise RunConflict(
                    f"The run directory {self.path} belongs to job {self.launch().job_id}."
                ) from None
        finally:
            draft.unlink()

    def launch(self) -> Launch:
        """The recorded launch."""
        plain = json.loads(self._launch.read_text("utf-8"))
        paths = {name: Path(plain.pop(name)) for name in ("run_dir", "home", "work", "outputs")}
        return Launch(
            job_id=plain["job_id"],
            command=tuple(plain["command"]),
            limits=Limits(**plain["limits"]),
            datasets=tuple(Mount(Path(m["host"]), m["name"]) for m in plain["datasets"]),
            environment=plain["environment"],
            **paths,
        )

    def claim(self) -> bool:
        """Take the right to run the command (or to end it unrun). True for exactly one caller."""
        try:
            os.close(os.open(self._started, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except FileExistsError:
            return False
        return True

    @property
    def claimed(self) -> bool:
        """Whether somebody took the right to run the command."""
        return self._started.exists()

    def hold(self) -> int | None:
        """Lock the directory for the life of this process; None if another holds it."""
        descriptor = os.open(self._lock, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        return descriptor

    @property
    def supervised(self) -> bool:
        """Whether a living supervisor holds the directory.

        The kernel drops an flock with its process, so this cannot be fooled by a reused
        process id or a stale file.
        """
        with self._probe() as free:
            return not free

    @contextlib.contextmanager
    def _probe(self) -> Iterator[bool]:
        try:
            descriptor = os.open(self._lock, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            yield True
            return
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            yield True
        except BlockingIOError:
            yield False
        finally:
            os.close(descriptor)

    def request_cancel(self) -> None:
        """Leave the mark that asks the supervisor to end the run."""
        self._cancel.touch(mode=0o600)

    @property
    def cancel_requested(self) -> bool:
        """Whether somebody asked the run to end."""
        return self._cancel.exists()

    def write_supervisor(
        self, control_groups: list[str], first: tuple[int, int | None] | None
    ) -> None:
        """Record the living supervisor, the control groups it made, and the sandbox's first
        process (id and start time), without which no process of the sandbox lives."""
        value = {"pid": os.getpid(), "control_groups": control_groups, "first_process": first}
        _write_atomic(self.path / "supervisor.json", json.dumps(value))

    def supervisor(self) -> dict[str, Any]:
        """What the supervisor recorded of itself; empty before it did."""
        return _read(self.path / "supervisor.json") or {}

    def write_usage(self, usage: Usage) -> None:
        """Publish what the run uses."""
        _write_atomic(self.path / "usage.json", json.dumps(dataclasses.asdict(usage)))

    def usage(self) -> Usage:
        """What the run was last seen to use; zeros before the first look."""
        plain = _read(self.path / "usage.json")
        return Usage(**plain) if plain else Usage(0, 0, 0.0, 0.0, 0, 0)

    def write_result(self, result: RunResult) -> None:
        """Publish how the run ended, unless that is published already."""
        draft = self.path / f"result.{os.getpid()}.{time.monotonic_ns()}"
        _write_synced(draft, json.dumps(dataclasses.asdict(result)))
        with contextlib.suppress(FileExistsError):
            os.link(draft, self._result)  # a result never changes
        draft.unlink()

    def result(self) -> RunResult | None:
        """How the run ended; None while it goes on."""
        plain = _read(self._result)
        if plain is None:
            return None
        return RunResult(**{**plain, "reason": EndReason(plain["reason"])})


def _plain(launch: Launch) -> dict[str, Any]:
    plain = dataclasses.asdict(launch)
    for name in ("run_dir", "home", "work", "outputs"):
        plain[name] = str(plain[name])
    plain["datasets"] = [{"host": str(m.host), "name": m.name} for m in launch.datasets]
    return plain


def _read(path: Path) -> dict[str, Any] | None:
    try:
        plain: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return None
    return plain


def _write_synced(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _write_atomic(path: Path, text: str) -> None:
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    draft.write_text(text, "utf-8")
    draft.replace(path)

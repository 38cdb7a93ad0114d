"""The runner that every node has: bubblewrap on the node's own machine."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import albufera
from albufera.compute.backends import cgroups
from albufera.compute.backends.processes import ProcessTree, started_at
from albufera.compute.backends.rundir import RunDirectory
from albufera.compute.backends.sandbox import BUBBLEWRAP, spawn
from albufera.compute.backends.seccomp import UnknownArchitecture, this_architecture
from albufera.compute.ports import (
    Availability,
    EndReason,
    Launch,
    Limits,
    Phase,
    RunnerUnavailable,
    RunResult,
    RunState,
    Usage,
)

OLDEST = (0, 8, 0)  # the first with --disable-userns
INSTALL = "Install it: sudo apt-get install bubblewrap (or your distribution's package)."
TRIAL_SECONDS = 20
START_SECONDS = 30
TRUST_SECONDS = 60.0  # how long a successful trial is believed
DEATH_SECONDS = 5.0
_SUPERVISOR = "albufera.compute.backends.supervisor"
_TRIAL_LIMITS = Limits(1, 256 * 2**20, TRIAL_SECONDS, 64, 2**20)
_SWITCHES = (  # (file, value that forbids, remedy)
    (
        "kernel/apparmor_restrict_unprivileged_userns",
        "1",
        "Allow it: sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0, "
        "or give bubblewrap an AppArmor profile with `userns`.",
    ),
    (
        "kernel/unprivileged_userns_clone",
        "0",
        "Allow it: sudo sysctl kernel.unprivileged_userns_clone=1.",
    ),
    (
        "user/max_user_namespaces",
        "0",
        "Allow it: sudo sysctl user.max_user_namespaces=15000.",
    ),
)


class BubblewrapRunner:
    """Runs commands in bubblewrap sandboxes, each held by a detached supervisor.

    Keeps nothing in memory but the memory of a successful trial: what it knows of a run is in
    the run's directory, whose path is the handle.
    """

    def __init__(self, program: str = BUBBLEWRAP) -> None:
        self._program = program
        self._proven: tuple[float, Availability] | None = None

    def available(self) -> Availability:
        """Whether a sandbox can be had: looks for bubblewrap, then makes one. See Runner."""
        if self._proven and time.monotonic() - self._proven[0] < TRUST_SECONDS:
            return self._proven[1]
        try:
            found = self._examine()
        except (OSError, subprocess.SubprocessError) as error:
            found = Availability(False, f"A sandbox could not be tried: {error}.", _remedy())
        self._proven = (time.monotonic(), found) if found.ok else None
        return found

    def start(self, launch: Launch) -> str:
        """Record the launch and see a supervisor take it. See Runner."""
        directory = RunDirectory(launch.run_dir)
        found = self.available()
        if not found.ok:
            raise RunnerUnavailable(found.reason, found.remedy)
        directory.record(launch)
        if not directory.claimed:
            _begin(directory)
        return str(launch.run_dir)

    def stop(self, handle: str) -> None:
        """Ask the supervisor to end the run, or end it unrun. See Runner."""
        directory = RunDirectory.known(handle)
        directory.request_cancel()
        if directory.claim():
            never = _ended(EndReason.CANCELLED, "The run never began.", directory.usage())
            directory.write_result(never)

    def poll(self, handle: str) -> RunState:
        """Read the run directory; settle a run whose supervisor died. See Runner."""
        directory = RunDirectory.known(handle)
        if result := directory.result():
            return RunState(Phase.ENDED, result)
        if not directory.claimed:
            return RunState(Phase.PREPARED)
        if directory.supervised:
            return RunState(Phase.RUNNING)
        if directory.result() is None:  # it may have ended between the two looks
            _clear(directory)
            detail = "The supervisor of the run died; its processes were ended."
            directory.write_result(_ended(EndReason.LOST, detail, directory.usage()))
        return RunState(Phase.ENDED, directory.result())

    def logs(self, handle: str, offset: int, limit: int) -> bytes:
        """Read the log file. See Runner."""
        directory = RunDirectory.known(handle)
        try:
            with directory.log.open("rb") as file:
                file.seek(offset)
                return file.read(limit)
        except FileNotFoundError:
            return b""

    def stats(self, handle: str) -> Usage:
        """Read what the supervisor last published. See Runner."""
        return RunDirectory.known(handle).usage()

    def _examine(self) -> Availability:
        try:
            this_architecture()
        except UnknownArchitecture as error:
            reason = f"There is no table of system calls for this processor ({error})."
            return Availability(False, reason, "Run jobs on x86_64 or aarch64.")
        if shutil.which(self._program) is None:
            return Availability(False, "bubblewrap (bwrap) is not installed.", INSTALL)
        version = _version(self._program)
        if version < OLDEST:
            shown = ".".join(map(str, version))
            reason = f"bubblewrap {shown} is too old: at least 0.8.0 is needed."
            return Availability(False, reason, INSTALL)
        limits = _limits_mechanism()
        if limits == ProcessTree.kind and os.geteuid() == 0:
            reason = "No control groups can be made, and limits on processes do not bind root."
            remedy = "Run the node as an ordinary user, or give it writable control groups."
            return Availability(False, reason, remedy)
        return self._try(limits)

    def _try(self, limits: str) -> Availability:
        with tempfile.TemporaryDirectory(prefix="albufera-trial-") as folder:
            sandbox = spawn(_trial(Path(folder)), bubblewrap=self._program)
            try:
                code = sandbox.process.wait(TRIAL_SECONDS)
            except subprocess.TimeoutExpired:
                code = -1
                sandbox.process.kill()
                sandbox.process.wait()
            said = os.read(sandbox.output, 4096).decode(errors="replace").strip()
            os.close(sandbox.output)
            os.close(sandbox.status)
        if code == 0:
            return Availability(True, limits=limits)
        return Availability(False, f"A trial sandbox did not start: {said}.", _remedy())


def _begin(directory: RunDirectory) -> None:
    """Start a supervisor and wait until it, or another one, has claimed the run."""
    source = str(Path(albufera.__file__).parents[1])
    with (directory.path / "supervisor.err").open("ab") as errors:
        begun = subprocess.run(
            [sys.executable, "-P", "-s", "-m", _SUPERVISOR, str(directory.path)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            cwd=directory.path,
            env={"PATH": os.environ.get("PATH", os.defpath), "PYTHONPATH": source},
            start_new_session=True,
            timeout=START_SECONDS,
            check=False,
        )
    if begun.returncode != 0 or not directory.claimed:
        said = (directory.path / "supervisor.err").read_text(errors="replace").strip()
        reason = f"The supervisor of the run did not start: {said[-500:]}"
        raise RunnerUnavailable(reason, "Look into supervisor.err in the run directory.")


def _clear(directory: RunDirectory) -> None:
    """End what a dead supervisor may have left: the sandbox dies with it, but not at once."""
    recorded = directory.supervisor()
    first = recorded.get("first_process")
    deadline = time.monotonic() + DEATH_SECONDS
    while first and started_at(first[0]) == first[1] and time.monotonic() < deadline:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(first[0], signal.SIGKILL)
        time.sleep(0.005)
    cgroups.remove_folders(recorded.get("control_groups", []))


def _ended(reason: EndReason, detail: str, usage: Usage) -> RunResult:
    return RunResult(
        reason=reason,
        exit_code=None,
        detail=detail,
        memory_peak_bytes=usage.memory_peak_bytes,
        cpu_seconds=usage.cpu_seconds,
        wall_seconds=usage.wall_seconds,
        log_truncated=False,
        ended_at=time.time(),
    )


def _trial(folder: Path) -> Launch:
    home, work, outputs = (folder / name for name in ("home", "work", "outputs"))
    for path in (home, work, outputs):
        path.mkdir()
    return Launch(
        job_id="trial",
        run_dir=folder,
        command=("python3", "-c", "pass"),
        home=home,
        work=work,
        outputs=outputs,
        limits=_TRIAL_LIMITS,
    )


def _limits_mechanism() -> str:
    name = f"albufera-trial-{os.getpid()}-{time.monotonic_ns()}"
    group = cgroups.make(name, _TRIAL_LIMITS) or ProcessTree(_TRIAL_LIMITS)
    group.remove()
    return group.kind


def _version(program: str) -> tuple[int, ...]:
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    numbers = re.search(r"(\d+)\.(\d+)\.(\d+)", said.stdout)
    return tuple(map(int, numbers.groups())) if numbers else (0, 0, 0)


def _remedy() -> str:
    for name, forbids, remedy in _SWITCHES:
        with contextlib.suppress(OSError):
            if Path("/proc/sys", name).read_text().strip() == forbids:
                return remedy
    return (
        "Check that unprivileged user namespaces are allowed here (inside a container: start it "
        "with a seccomp and AppArmor profile that permit them), then run `albufera doctor`."
    )

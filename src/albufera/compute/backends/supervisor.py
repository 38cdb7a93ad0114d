"""The supervisor: a process of its own that holds one sandbox from beginning to end.

`python -m albufera.compute.backends.supervisor RUN_DIR` returns once the supervisor stands in
the background. It outlives the node; if it dies itself, the sandbox dies with it.
"""

import contextlib
import ctypes
import hashlib
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from albufera.compute.backends import cgroups
from albufera.compute.backends.disk import DiskWatch, Unmeasurable
from albufera.compute.backends.log import BoundedLog
from albufera.compute.backends.processes import ProcessTree, apply_resource_limits, started_at
from albufera.compute.backends.rundir import RunDirectory
from albufera.compute.backends.sandbox import Sandbox, spawn
from albufera.compute.ports import EndReason, Launch, RunResult, Usage

TICK_SECONDS = 0.1
USAGE_SECONDS = 1.0
CHUNK = 2**18
FLOOD_CHUNK = 2**20  # what is thrown away per tick once the log is full: slows the flood down
DEATH_SECONDS = 10.0
SACRIFICE_SCORE = "500"  # if the whole machine runs out of memory, runs go before services
_SET_PARENT_DEATH_SIGNAL, _SET_CHILD_SUBREAPER = 1, 36  # prctl(2)
_PRLIMIT = Path("/usr/bin/prlimit")
_LIBC = ctypes.CDLL(None, use_errno=True)


class Supervision:
    """Runs one launch and tells how it ended."""

    def __init__(self, directory: RunDirectory, launch: Launch) -> None:
        self._directory = directory
        self._launch = launch
        self._log = BoundedLog(directory.log)
        self._group = confine(directory, launch)
        self._began = time.monotonic()
        self._usage_at = 0.0
        self._status = b""
        self._first: tuple[int, int | None] | None = None
        self._disk = DiskWatch(
            (launch.work, launch.outputs, launch.home),
            launch.limits.disk_bytes,
            self._group.processes,
        )
        self._stopped_by_signal = ""

    def run(self) -> RunResult:
        """Hold the sandbox to its end; nothing of it is left when this returns."""
        self._directory.write_supervisor(self._group.folders(), None)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        try:
            self._disk.note_beginning()
            if ended := self._must_end():  # cancelled before it began
                self._group.remove()
                return self._result(ended[0], None, ended[1])
            sandbox = spawn(self._launch, prefix=self._prefix(), before_exec=self._before_exec)
        except (OSError, Unmeasurable, subprocess.SubprocessError) as error:
            self._group.remove()
            return self._result(EndReason.FAILED, None, f"The sandbox could not be made: {error}.")
        try:
            return self._hold(sandbox)
        finally:
            self._group.remove()

    def _hold(self, sandbox: Sandbox) -> RunResult:
        self._group.follow(sandbox.process.pid)
        self._disk.start()
        ended = self._watch(sandbox)
        sandbox.process.kill()
        sandbox.process.wait()
        self._note_status(_read(sandbox.status, CHUNK))
        self._kill_first()
        reap_all()
        self._drain(sandbox)
        self._disk.look()
        self._publish_usage()
        return self._judge(sandbox, ended)

    def _watch(self, sandbox: Sandbox) -> tuple[EndReason, str] | None:
        """Move output to the log until the sandbox ends (None) or must be ended (why)."""
        with selectors.DefaultSelector() as selector, _process_handle(sandbox) as handle:
            os.set_blocking(sandbox.output, False)
            os.set_blocking(sandbox.status, False)
            selector.register(sandbox.output, selectors.EVENT_READ)
            selector.register(sandbox.status, selectors.EVENT_READ)
            if handle is not None:
                selector.register(handle, selectors.EVENT_READ)
            checked = 0.0
            while sandbox.process.poll() is None:
                for key, _ in selector.select(TICK_SECONDS):
                    if key.fd == sandbox.output:
                        self._take_output(sandbox, selector)
                    elif key.fd == sandbox.status:
                        self._take_status(sandbox, selector)
                if time.monotonic() - checked >= TICK_SECONDS:
                    checked = time.monotonic()
                    if self._log.truncated:
                        _read(sandbox.output, FLOOD_CHUNK)
                    if why := self._must_end():
                        return why
            return None

    def _take_output(self, sandbox: Sandbox, selector: selectors.BaseSelector) -> None:
        data = _read(sandbox.output, CHUNK)
        if data:
            self._log.write(data)
        if data == b"" or self._log.truncated:
            selector.unregister(sandbox.output)

    def _take_status(self, sandbox: Sandbox, selector: selectors.BaseSelector) -> None:
        data = _read(sandbox.status, CHUNK)
        if data == b"":
            selector.unregister(sandbox.status)
        self._note_status(data)

    def _note_status(self, data: bytes | None) -> None:
        self._status += data or b""
        first = self._reported("child-pid")
        if first is not None and self._first is None:
            self._first = (first, started_at(first))
            self._directory.write_supervisor(self._group.folders(), self._first)

    def _must_end(self) -> tuple[EndReason, str] | None:
        limits = self._launch.limits
        if self._directory.cancel_requested:
            return EndReason.CANCELLED, ""
        if self._stopped_by_signal:
            return EndReason.LOST, f"The supervisor was stopped by {self._stopped_by_signal}."
        if time.monotonic() - self._began > limits.seconds:
            return EndReason.TIMEOUT, f"The run took longer than its {limits.seconds} seconds."
        if self._group.breach():
            return EndReason.OUT_OF_MEMORY, self._memory_sentence()
        if self._disk.problem:
            return EndReason.DISK_FULL, self._disk.problem
        if time.monotonic() - self._usage_at > USAGE_SECONDS:
            self._publish_usage()
        return None

    def _judge(self, sandbox: Sandbox, ended: tuple[EndReason, str] | None) -> RunResult:
        if ended is not None:
            return self._result(ended[0], None, ended[1])
        code = self._reported("exit-code")
        if code == 0:
            return self._result(EndReason.FINISHED, 0, "")
        if self._group.breach():
            return self._result(EndReason.OUT_OF_MEMORY, code, self._memory_sentence())
        if code is not None:
            return self._result(EndReason.FAILED, code, "")
        if sandbox.process.returncode < 0:
            return self._result(EndReason.LOST, None, "The sandbox was killed from outside.")
        detail = "The command could not be started in the sandbox; the log says why."
        return self._result(EndReason.FAILED, None, detail)

    def _result(self, reason: EndReason, code: int | None, detail: str) -> RunResult:
        usage = self._directory.usage()
        return RunResult(
            reason=reason,
            exit_code=code,
            detail=detail,
            memory_peak_bytes=usage.memory_peak_bytes,
            cpu_seconds=usage.cpu_seconds,
            wall_seconds=time.monotonic() - self._began,
            log_truncated=self._log.truncated,
            ended_at=time.time(),
        )

    def _publish_usage(self) -> None:
        self._usage_at = time.monotonic()
        now, peak = self._group.memory()
        self._directory.write_usage(
            Usage(
                memory_bytes=now,
                memory_peak_bytes=peak,
                cpu_seconds=self._group.cpu_seconds(),
                wall_seconds=time.monotonic() - self._began,
                processes=len(self._group.processes()),
                disk_bytes=self._disk.added,
            )
        )

    def _memory_sentence(self) -> str:
        limit = self._launch.limits.memory_bytes
        return f"The run wanted more than its {limit} bytes of memory."

    def _prefix(self) -> tuple[str, ...]:
        """Without a control group, the number of processes is bound inside the new user
        namespace: outside, the node user's other processes would count too."""
        if self._group.kind != ProcessTree.kind or not _PRLIMIT.exists():
            return ()
        return (str(_PRLIMIT), f"--nproc={self._launch.limits.processes}", "--")

    def _before_exec(self) -> None:
        _LIBC.prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)
        self._group.join()
        Path("/proc/self/oom_score_adj").write_text(SACRIFICE_SCORE)
        apply_resource_limits(self._launch.limits)

    def _kill_first(self) -> None:
        """End the sandbox's first process, which takes all others with it (pid_namespaces(7)).

        It dies with bubblewrap by itself, except in the instants before it has asked for that.
        """
        if self._first and started_at(self._first[0]) == self._first[1]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._first[0], signal.SIGKILL)

    def _drain(self, sandbox: Sandbox) -> None:
        """Take what is still in the pipes; every writer is dead by now."""
        while data := _read(sandbox.output, CHUNK):
            self._log.write(data)
        os.close(sandbox.output)
        os.close(sandbox.status)
        self._log.close()

    def _reported(self, name: str) -> int | None:
        """What bubblewrap reported under this name, if anything yet."""
        for line in self._status.splitlines():
            with contextlib.suppress(ValueError):
                report: dict[str, Any] = json.loads(line)
                if name in report:
                    return int(report[name])
        return None

    def _on_signal(self, number: int, _: object) -> None:
        self._stopped_by_signal = signal.Signals(number).name


def confine(directory: RunDirectory, launch: Launch) -> cgroups.ControlGroup:
    """A control group for the run, or where none can be had the watch over its processes."""
    name = "albufera-" + hashlib.sha256(os.fsencode(directory.path)).hexdigest()[:20]
    return cgroups.make(name, launch.limits) or ProcessTree(launch.limits)


def reap_all() -> None:
    """Wait until no descendant is left: the supervisor inherits the sandbox's first process,
    whose own end waits for every process of its namespace."""
    deadline = time.monotonic() + DEATH_SECONDS
    while time.monotonic() < deadline:
        try:
            process, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if process == 0:
            time.sleep(0.002)


@contextlib.contextmanager
def _process_handle(sandbox: Sandbox) -> Any:
    """A descriptor that becomes readable when the sandbox ends; None on old kernels."""
    try:
        handle = os.pidfd_open(sandbox.process.pid)
    except OSError:
        yield None
        return
    try:
        yield handle
    finally:
        os.close(handle)


def _read(descriptor: int, size: int) -> bytes | None:
    """Bytes at hand; empty at the end, None if there are none yet."""
    try:
        return os.read(descriptor, size)
    except BlockingIOError:
        return None


def supervise(directory: RunDirectory) -> None:
    """Run the recorded launch and publish its result, whatever happens."""
    _LIBC.prctl(_SET_CHILD_SUBREAPER, 1)
    launch = directory.launch()
    try:
        result = Supervision(directory, launch).run()
    except Exception as error:
        detail = f"The supervisor failed: {type(error).__name__}: {error}."
        result = RunResult(EndReason.LOST, None, detail, 0, 0.0, 0.0, False, time.time())
        directory.write_result(result)
        raise
    directory.write_result(result)


def main(path: Path) -> None:
    """Go to the background; return when the run is claimed, by this supervisor or another."""
    ready, ready_end = os.pipe()
    if os.fork():
        os.close(ready_end)
        os.read(ready, 1)
        os._exit(0)
    os.close(ready)
    directory = RunDirectory(path)
    if directory.hold() is None or not directory.claim():
        os._exit(0)
    os.close(ready_end)
    supervise(directory)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

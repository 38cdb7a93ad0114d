"""A place to run hostile programs in: a host with a lake, secrets and a runner."""

import json
import os
import shutil
import textwrap
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from albufera.compute.backends.seccomp import this_architecture
from albufera.compute.backends.syscalls import RULES
from albufera.compute.ports import Launch, Limits, Mount, Phase, Runner, RunResult

MIB = 2**20
ORDINARY = Limits(cpus=2, memory_bytes=512 * MIB, seconds=20, processes=128, disk_bytes=64 * MIB)

PREAMBLE = """
import ctypes, errno, json, os, socket, sys
libc = ctypes.CDLL(None, use_errno=True)
NUMBERS = json.loads('%s')
def attempt(action):
    try:
        return f'did it: {action()!r}'
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error.errno))
def call(name, *arguments):
    ctypes.set_errno(0)
    number = NUMBERS[name] if isinstance(name, str) else name
    done = libc.syscall(ctypes.c_long(number), *arguments)
    return errno.errorcode[ctypes.get_errno()] if done == -1 else f'did it: {done}'
def tell(value):
    print(json.dumps(value))
"""


def require_sandbox() -> None:
    """Skip where bubblewrap is not installed; in CI that is a failure."""
    if shutil.which("bwrap") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("bubblewrap is not installed: sudo apt-get install bubblewrap")
        pytest.skip("bubblewrap is not installed")


@dataclass(frozen=True)
class Outcome:
    """What a hostile program printed, and how its run ended."""

    text: str
    result: RunResult

    @property
    def told(self) -> Any:
        """The value the program told in its last line."""
        assert self.text.strip(), f"the program said nothing: {self.result}"
        return json.loads(self.text.strip().splitlines()[-1])


@dataclass
class Laboratory:
    """A host folder: `lake/granted` is shown to runs, `lake/neighbour` and `secret` are not."""

    root: Path
    runner: Runner
    runs: int = 0

    def __post_init__(self) -> None:
        for name in ("granted", "neighbour"):
            (self.root / "lake" / name).mkdir(parents=True)
            (self.root / "lake" / name / "image.dcm").write_text(f"pixels of {name}")
        (self.root / "secret").write_text("the patient's name")
        self.granted.chmod(0o777)  # nothing but the mount stands in the way of writing
        (self.granted / "image.dcm").chmod(0o666)

    @property
    def granted(self) -> Path:
        """The dataset that runs see as /datasets/granted."""
        return self.root / "lake" / "granted"

    def launch(self, *command: str, limits: Limits = ORDINARY, **variables: str) -> Launch:
        """A launch in fresh folders."""
        self.runs += 1
        run = self.root / f"run-{self.runs}"
        for name in ("home", "work", "outputs"):
            (run / name).mkdir(parents=True)
        return Launch(
            job_id=f"job-{self.runs}",
            run_dir=run / "run",
            command=command,
            home=run / "home",
            work=run / "work",
            outputs=run / "outputs",
            limits=limits,
            datasets=(Mount(self.granted, "granted"),),
            environment=variables,
        )

    def run(self, *command: str, limits: Limits = ORDINARY, **variables: str) -> Outcome:
        """Run a command to its end."""
        return self.finish(self.runner.start(self.launch(*command, limits=limits, **variables)))

    def python(self, program: str, *arguments: str, limits: Limits = ORDINARY) -> Outcome:
        """Run a Python program, with `attempt`, `call` and `tell` at hand, to its end."""
        column = this_architecture().column
        numbers = json.dumps({rule.name: rule.numbers[column] for rule in RULES})
        text = PREAMBLE % numbers + textwrap.dedent(program)
        return self.run("python3", "-c", text, *arguments, limits=limits)

    def finish(self, handle: str, patience_seconds: float = 30.0) -> Outcome:
        """Wait for a run's end."""
        deadline = time.monotonic() + patience_seconds
        while (state := self.runner.poll(handle)).phase is not Phase.ENDED:
            assert time.monotonic() < deadline, "the run does not end"
            time.sleep(0.005)
        assert state.result is not None
        text = self.runner.logs(handle, 0, 32 * MIB).decode(errors="replace")
        return Outcome(text, state.result)

"""What the bubblewrap runner does when parts of it die or are missing."""

import dataclasses
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from albufera.compute.backends import bubblewrap
from albufera.compute.backends.bubblewrap import BubblewrapRunner
from albufera.compute.backends.rundir import RunDirectory
from albufera.compute.ports import EndReason, Phase, RunnerUnavailable
from tests.compute.backends.laboratory import Laboratory

pytestmark = pytest.mark.sandbox


def _await(condition: Callable[[], object], patience_seconds: float = 10) -> None:
    deadline = time.monotonic() + patience_seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _sleeping(mark: str) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if f"sleep\0{mark}\0".encode() in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def test_a_killed_supervisor_takes_the_sandbox_with_it(laboratory: Laboratory) -> None:
    mark = f"91{os.getpid()}"
    launch = laboratory.launch("sh", "-c", f"setsid sleep {mark} & sleep {mark}")
    handle = laboratory.runner.start(launch)
    _await(lambda: len(_sleeping(mark)) >= 2)
    supervisor = RunDirectory(launch.run_dir).supervisor()
    os.kill(supervisor["pid"], signal.SIGKILL)
    _await(lambda: not _sleeping(mark))  # by itself: nobody has polled yet
    _await(lambda: laboratory.runner.poll(handle).phase is Phase.ENDED)
    state = laboratory.runner.poll(handle)
    assert state.result is not None
    assert state.result.reason is EndReason.LOST
    assert not any(Path(folder).exists() for folder in supervisor["control_groups"])
    assert laboratory.runner.start(launch) == handle
    time.sleep(0.2)
    assert _sleeping(mark) == []
    assert laboratory.runner.poll(handle) == state


def test_a_terminated_supervisor_says_so(laboratory: Laboratory) -> None:
    launch = laboratory.launch("sleep", "60")
    handle = laboratory.runner.start(launch)
    directory = RunDirectory(launch.run_dir)
    _await(lambda: directory.supervisor().get("first_process"))
    os.kill(directory.supervisor()["pid"], signal.SIGTERM)
    result = laboratory.finish(handle).result
    assert result.reason is EndReason.LOST
    assert "SIGTERM" in result.detail


def test_a_sandbox_killed_from_outside_is_lost(laboratory: Laboratory) -> None:
    launch = laboratory.launch("sleep", "60")
    handle = laboratory.runner.start(launch)
    directory = RunDirectory(launch.run_dir)
    _await(lambda: directory.supervisor().get("first_process"))
    first = directory.supervisor()["first_process"][0]
    parent = int(Path(f"/proc/{first}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(parent, signal.SIGKILL)
    assert laboratory.finish(handle).result.reason is EndReason.LOST


def test_a_run_that_was_recorded_but_never_begun_can_be_begun(laboratory: Laboratory) -> None:
    launch = laboratory.launch("echo", "ran")
    RunDirectory(launch.run_dir).record(launch)  # and here the node died
    handle = str(launch.run_dir)
    assert laboratory.runner.poll(handle).phase is Phase.PREPARED
    assert laboratory.runner.start(launch) == handle
    assert laboratory.finish(handle).text == "ran\n"


def test_a_run_cancelled_before_it_began_never_begins(laboratory: Laboratory) -> None:
    launch = laboratory.launch("touch", "/outputs/ran")
    RunDirectory(launch.run_dir).record(launch)
    handle = str(launch.run_dir)
    laboratory.runner.stop(handle)
    assert laboratory.finish(handle).result.reason is EndReason.CANCELLED
    assert laboratory.runner.start(launch) == handle
    time.sleep(0.2)
    assert list(launch.outputs.iterdir()) == []


def test_the_supervisor_carries_nothing_of_the_nodes_variables(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALBUFERA_MASTER_KEY", "sesame-open")
    launch = laboratory.launch("sleep", "60")
    handle = laboratory.runner.start(launch)
    directory = RunDirectory(launch.run_dir)
    _await(lambda: directory.supervisor().get("pid"))
    supervisor = directory.supervisor()["pid"]
    assert b"sesame" not in Path(f"/proc/{supervisor}/environ").read_bytes()
    assert os.getsid(supervisor) != os.getsid(0)
    laboratory.runner.stop(handle)
    laboratory.finish(handle)


def test_the_run_directory_is_closed_to_others(laboratory: Laboratory) -> None:
    launch = laboratory.launch("true")
    laboratory.finish(laboratory.runner.start(launch))
    assert launch.run_dir.stat().st_mode & 0o777 == 0o700


def test_the_supervisor_said_nothing(laboratory: Laboratory) -> None:
    launch = laboratory.launch("sh", "-c", "exit 3")
    laboratory.finish(laboratory.runner.start(launch))
    assert (launch.run_dir / "supervisor.err").read_text() == ""


def test_without_bubblewrap_runs_are_refused_with_the_remedy(laboratory: Laboratory) -> None:
    runner = BubblewrapRunner("no-such-bwrap")
    found = runner.available()
    assert not found.ok
    assert "not installed" in found.reason
    assert "apt-get install bubblewrap" in found.remedy
    launch = laboratory.launch("touch", "/outputs/ran")
    with pytest.raises(RunnerUnavailable, match="apt-get install"):
        runner.start(launch)
    assert not launch.run_dir.exists()


def _imitation(folder: Path, version: str, then: str) -> str:
    """A program that answers `--version` like bubblewrap and otherwise does as told."""
    program = folder / "bwrap"
    program.write_text(
        f'#!/bin/sh\n[ "$1" = --version ] && echo "bubblewrap {version}" && exit 0\n{then}\n'
    )
    program.chmod(0o755)
    return str(program)


def test_an_old_bubblewrap_is_refused(tmp_path: Path) -> None:
    found = BubblewrapRunner(_imitation(tmp_path, "0.6.1", "exit 0")).available()
    assert not found.ok
    assert "0.6.1 is too old" in found.reason


def test_a_trial_that_fails_is_told_with_its_message(tmp_path: Path) -> None:
    message = "bwrap: setting up uid map: Permission denied"
    runner = BubblewrapRunner(_imitation(tmp_path, "0.8.0", f"echo '{message}' >&2; exit 1"))
    found = runner.available()
    assert not found.ok
    assert message in found.reason
    assert "user namespaces" in found.remedy


def test_a_trial_that_hangs_does_not_hang_the_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bubblewrap, "TRIAL_SECONDS", 0.3)
    runner = BubblewrapRunner(_imitation(tmp_path, "0.8.0", "exec sleep 30"))
    began = time.monotonic()
    assert not runner.available().ok
    assert time.monotonic() - began < 5


AS_A_USER = """
import dataclasses, json, sys, time
from pathlib import Path
from albufera.compute.backends.bubblewrap import BubblewrapRunner
from albufera.compute.ports import Launch, Limits, Phase
root = Path(sys.argv[1])
runner = BubblewrapRunner()
told = {'available': dataclasses.asdict(runner.available())}
HOG = "kept = [b'x' * 2**20 for _ in range(900)]; print('had it')"
TREE = '''
import os, time
for _ in range(8):
    if os.fork() == 0:
        kept = b'x' * (60 * 2**20); time.sleep(10); os._exit(0)
time.sleep(10)
'''
BOMB = '''
import os, time
n = 0
try:
    while n < 500:
        if os.fork() == 0:
            time.sleep(20); os._exit(0)
        n += 1
except OSError:
    print(n)
'''
WRITE = '''
for path in ('/dev/null', '/usr/x', '/proc/sys/kernel/core_pattern'):
    try:
        open(path, 'w').close(); print(path)
    except OSError:
        pass
'''
for name, program in (('hog', HOG), ('tree', TREE), ('bomb', BOMB), ('write', WRITE)):
    base = root / name
    for folder in ('home', 'work', 'outputs'):
        (base / folder).mkdir(parents=True)
    handle = runner.start(Launch(job_id=name, run_dir=base / 'run', home=base / 'home',
        command=('python3', '-c', program), work=base / 'work', outputs=base / 'outputs',
        limits=Limits(1, 256 * 2**20, 15, 40, 2**24)))
    while runner.poll(handle).phase is not Phase.ENDED:
        time.sleep(0.02)
    told[name] = [runner.poll(handle).result.reason, runner.logs(handle, 0, 5000).decode()]
print(json.dumps(told))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="changes the user, which only root can")
def test_an_ordinary_user_without_control_groups_is_served_too(tmp_path: Path) -> None:
    python, user = Path("/usr/bin/python3"), 54321
    source = Path(bubblewrap.__file__).parents[3]
    try_source = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "--"]
    known = [*try_source, str(python), "-c", f"import sys; sys.path[:0] = [{str(source)!r}]; "]
    known[-1] += "import albufera; assert sys.version_info >= (3, 11)"
    if subprocess.run(known, capture_output=True).returncode != 0:
        pytest.skip("no system Python that an ordinary user may run the sources with")
    root = Path(f"/tmp/albufera-user-{os.getpid()}")
    root.mkdir()
    os.chown(root, user, user)
    try:
        done = subprocess.run(
            [*try_source, str(python), "-c", AS_A_USER, str(root)],
            capture_output=True,
            text=True,
            env={
                "PATH": "/usr/bin:/bin",
                "PYTHONPATH": str(source),
                "PYTHONDONTWRITEBYTECODE": "1",
            },
        )
    finally:
        subprocess.run(["rm", "-rf", str(root)], check=True)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["available"]["ok"]
    assert told["available"]["limits"] in {"prlimit", "cgroup v2"}
    assert "had it" not in told["hog"][1]
    assert told["tree"][0] == "out-of-memory"
    assert told["bomb"][0] == "finished"
    assert 0 < int(told["bomb"][1]) <= 40
    assert told["write"] == ["finished", "/dev/null\n"]


def test_an_unfinished_result_is_never_read(laboratory: Laboratory) -> None:
    launch = laboratory.launch("true")
    directory = RunDirectory(launch.run_dir)
    laboratory.finish(laboratory.runner.start(launch))
    first = directory.result()
    assert first is not None
    directory.write_result(dataclasses.replace(first, reason=EndReason.LOST))
    assert directory.result() == first  # a result never changes

"""The contract of the Runner port, run over every backend.

A further backend adds itself to `BACKENDS` (name, marks, how to make it); it must be able to run
`sh` and `python3`.
"""

import dataclasses
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import albufera
from albufera.compute.backends.bubblewrap import BubblewrapRunner
from albufera.compute.ports import (
    EndReason,
    Launch,
    Limits,
    Mount,
    Phase,
    RunConflict,
    Runner,
    RunResult,
    UnknownRun,
)

MIB = 2**20


def _bubblewrap() -> Runner:
    if shutil.which("bwrap") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("bubblewrap is not installed: sudo apt-get install bubblewrap")
        pytest.skip("bubblewrap is not installed")
    return BubblewrapRunner()


BACKENDS: tuple[tuple[str, pytest.MarkDecorator, Callable[[], Runner]], ...] = (
    ("bubblewrap", pytest.mark.sandbox, _bubblewrap),
)


@pytest.fixture(params=[pytest.param(make, marks=mark, id=name) for name, mark, make in BACKENDS])
def make_runner(request: pytest.FixtureRequest) -> Callable[[], Runner]:
    """How to make the backend anew, as a node that starts again does."""
    make: Callable[[], Runner] = request.param
    return make


@pytest.fixture
def runner(make_runner: Callable[[], Runner]) -> Runner:
    return make_runner()


@pytest.fixture
def launch(tmp_path: Path) -> Callable[..., Launch]:
    """Makes launches in fresh folders; keywords change the launch's fields."""
    count = iter(range(1000))

    def make(*command: str, **changes: object) -> Launch:
        number = next(count)
        base = tmp_path / str(number)
        for name in ("home", "work", "outputs", "data"):
            (base / name).mkdir(parents=True)
        (base / "data" / "image.dcm").write_text("pixels")
        made = Launch(
            job_id=f"job-{number}",
            run_dir=base / "run",
            command=command,
            home=base / "home",
            work=base / "work",
            outputs=base / "outputs",
            limits=Limits(1, 256 * MIB, 20, 64, 64 * MIB),
            datasets=(Mount(base / "data", "set-1"),),
        )
        return dataclasses.replace(made, **changes)  # type: ignore[arg-type]

    return make


Launches = Callable[..., Launch]


def _result(runner: Runner, handle: str, patience_seconds: float = 20) -> RunResult:
    deadline = time.monotonic() + patience_seconds
    while (state := runner.poll(handle)).phase is not Phase.ENDED:
        assert time.monotonic() < deadline, "the run does not end"
        time.sleep(0.005)
    assert state.result is not None
    return state.result


def _await(condition: Callable[[], object], patience_seconds: float = 10) -> None:
    deadline = time.monotonic() + patience_seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _processes(mark: str) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if f"sleep\0{mark}\0".encode() in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def test_it_is_available(runner: Runner) -> None:
    found = runner.available()
    assert found.ok, f"{found.reason} {found.remedy}"
    assert found.limits


def test_a_command_finishes(runner: Runner, launch: Launches) -> None:
    handle = runner.start(launch("sh", "-c", "echo out; echo err >&2; cat /datasets/set-1/*"))
    result = _result(runner, handle)
    assert result.reason is EndReason.FINISHED
    assert result.exit_code == 0
    assert runner.logs(handle, 0, 1000) == b"out\nerr\npixels"
    assert not result.log_truncated
    assert 0 < result.wall_seconds < 10
    assert time.time() - 20 < result.ended_at <= time.time()


@pytest.mark.parametrize("code", [1, 2, 77, 255])
def test_an_exit_code_is_reported(runner: Runner, launch: Launches, code: int) -> None:
    result = _result(runner, runner.start(launch("sh", "-c", f"exit {code}")))
    assert (result.reason, result.exit_code) == (EndReason.FAILED, code)


def test_a_signal_is_reported_as_128_and_its_number(runner: Runner, launch: Launches) -> None:
    result = _result(runner, runner.start(launch("sh", "-c", "kill -ABRT $$")))
    assert (result.reason, result.exit_code) == (EndReason.FAILED, 128 + signal.SIGABRT)


def test_a_missing_command_fails_and_says_so(runner: Runner, launch: Launches) -> None:
    handle = runner.start(launch("no-such-program"))
    result = _result(runner, handle)
    assert result.reason is EndReason.FAILED
    assert "could not be started" in result.detail
    assert b"no-such-program" in runner.logs(handle, 0, 1000)


def test_a_dataset_that_is_gone_fails_the_run(runner: Runner, launch: Launches) -> None:
    gone = (Mount(Path("/no/such/folder"), "gone"),)
    result = _result(runner, runner.start(launch("true", datasets=gone)))
    assert result.reason is EndReason.FAILED
    assert result.exit_code is None


def test_python_has_what_images_need(runner: Runner, launch: Launches) -> None:
    program = (
        "import multiprocessing, threading, numpy, pydicom\n"
        "with multiprocessing.Pool(2) as pool: print(pool.map(abs, [-1, -2]))\n"
        "done = []\n"
        "threads = [threading.Thread(target=done.append, args=(n,)) for n in range(2)]\n"
        "[t.start() for t in threads]; [t.join() for t in threads]\n"
        "print(len(done), int(numpy.ones((300, 300)).dot(numpy.ones((300, 300))).sum()))\n"
    )
    for python in ("python", "python3"):
        handle = runner.start(launch(python, "-c", program))
        result = _result(runner, handle)
        log = runner.logs(handle, 0, 10_000).decode()
        assert result.exit_code == 0, log
        assert log.split() == ["[1,", "2]", "2", "27000000"]


def test_variables_are_given(runner: Runner, launch: Launches) -> None:
    given = {"ALBUFERA_JOB_ID": "job 1", "EMPTY": "", "LANG": "ca_ES.UTF-8"}
    command = ("sh", "-c", 'echo "$ALBUFERA_JOB_ID|$EMPTY|$LANG|$HOME|$PWD"')
    handle = runner.start(launch(*command, environment=given))
    _result(runner, handle)
    assert runner.logs(handle, 0, 1000) == b"job 1||ca_ES.UTF-8|/home/user|/work\n"


def test_attached_files_and_outputs_pass_through(runner: Runner, launch: Launches) -> None:
    made = launch("python3", "analyse.py")
    (made.work / "analyse.py").write_text("open('/outputs/table.csv', 'w').write('a,b')")
    assert _result(runner, runner.start(made)).exit_code == 0
    assert (made.outputs / "table.csv").read_text() == "a,b"


def test_logs_are_read_by_offset_while_it_runs(runner: Runner, launch: Launches) -> None:
    made = launch("sh", "-c", "echo first; while [ ! -e go ]; do sleep 0.02; done; echo second")
    handle = runner.start(made)
    _await(lambda: runner.logs(handle, 0, 100) == b"first\n")
    assert runner.poll(handle).phase is Phase.RUNNING
    assert runner.logs(handle, 2, 3) == b"rst"
    assert runner.logs(handle, 6, 100) == b""
    assert runner.logs(handle, 1000, 100) == b""
    (made.work / "go").touch()
    _result(runner, handle)
    assert runner.logs(handle, 6, 100) == b"second\n"


def test_a_run_can_be_cancelled(runner: Runner, launch: Launches) -> None:
    mark = f"81{os.getpid()}"
    handle = runner.start(launch("sleep", mark))
    _await(lambda: _processes(mark))
    began = time.monotonic()
    runner.stop(handle)
    runner.stop(handle)
    result = _result(runner, handle)
    assert time.monotonic() - began < 3
    assert (result.reason, result.exit_code) == (EndReason.CANCELLED, None)
    assert _processes(mark) == []


def test_cancelling_what_has_ended_changes_nothing(runner: Runner, launch: Launches) -> None:
    handle = runner.start(launch("true"))
    before = _result(runner, handle)
    runner.stop(handle)
    assert _result(runner, handle) == before


def test_a_run_ends_at_its_time_limit(runner: Runner, launch: Launches) -> None:
    limits = Limits(1, 256 * MIB, 1, 64, 64 * MIB)
    result = _result(runner, runner.start(launch("sleep", "60", limits=limits)))
    assert (result.reason, result.exit_code) == (EndReason.TIMEOUT, None)
    assert "1 seconds" in result.detail


def test_starting_twice_runs_once(runner: Runner, launch: Launches) -> None:
    made = launch("sh", "-c", "echo ran >> /outputs/count; sleep 0.3")
    handle = runner.start(made)
    assert runner.start(made) == handle
    _result(runner, handle)
    assert runner.start(made) == handle
    time.sleep(0.3)
    assert (made.outputs / "count").read_text() == "ran\n"


def test_starting_at_once_from_many_processes_runs_once(
    make_runner: Callable[[], Runner], launch: Launches
) -> None:
    made = launch("sh", "-c", "echo ran >> /outputs/count")
    children = []
    for _ in range(6):
        child = os.fork()
        if child == 0:
            try:
                make_runner().start(made)
                os._exit(0)
            finally:
                os._exit(1)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 6
    _result(make_runner(), str(made.run_dir))
    time.sleep(0.3)
    assert (made.outputs / "count").read_text() == "ran\n"


def test_a_folder_of_another_job_is_refused(runner: Runner, launch: Launches) -> None:
    made = launch("true")
    _result(runner, runner.start(made))
    with pytest.raises(RunConflict, match="job-0"):
        runner.start(dataclasses.replace(made, job_id="another"))


def test_an_unknown_run_is_said_to_be_unknown(runner: Runner, tmp_path: Path) -> None:
    handle = str(tmp_path / "nowhere")
    for ask in (runner.poll, runner.stop, runner.stats, lambda h: runner.logs(h, 0, 1)):
        with pytest.raises(UnknownRun):
            ask(handle)


def test_several_runs_go_on_at_once(runner: Runner, launch: Launches) -> None:
    began = time.monotonic()
    handles = [runner.start(launch("sh", "-c", f"sleep 1; echo {n}")) for n in range(6)]
    assert len(set(handles)) == 6
    for number, handle in enumerate(handles):
        assert _result(runner, handle).exit_code == 0
        assert runner.logs(handle, 0, 100) == f"{number}\n".encode()
    assert time.monotonic() - began < 5


def test_usage_is_told_while_it_runs_and_after(runner: Runner, launch: Launches) -> None:
    program = (
        "kept = b'x' * (40 * 2**20); open('/outputs/big', 'wb').write(bytes(2**21))\n"
        "import time, pathlib; time.process_time()\n"
        "while not pathlib.Path('/work/go').exists(): pass\n"
    )
    made = launch("python3", "-c", program)
    handle = runner.start(made)
    _await(lambda: runner.stats(handle).disk_bytes >= 2 * MIB)
    _await(lambda: runner.stats(handle).cpu_seconds > 0.5)
    usage = runner.stats(handle)
    assert usage.memory_bytes > 40 * MIB
    assert usage.processes >= 1
    (made.work / "go").touch()
    result = _result(runner, handle)
    assert 40 * MIB < result.memory_peak_bytes <= 256 * MIB
    assert result.cpu_seconds >= usage.cpu_seconds
    assert runner.stats(handle).wall_seconds >= usage.wall_seconds


NODE = """
import pickle, sys, time
from {module} import {name}
print({name}().start(pickle.load(sys.stdin.buffer)), flush=True)
time.sleep(60)
"""


@pytest.fixture
def node(runner: Runner) -> Iterator[Callable[[Launch], "subprocess.Popen[bytes]"]]:
    """Starts a run from a process of its own, as a node does."""
    import pickle

    source = str(Path(albufera.__file__).parents[1])
    kind = type(runner)
    program = NODE.format(module=kind.__module__, name=kind.__name__)
    nodes: list[subprocess.Popen[bytes]] = []

    def begin(launch: Launch) -> "subprocess.Popen[bytes]":
        process = subprocess.Popen(
            [sys.executable, "-c", program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": source},
            start_new_session=True,
        )
        nodes.append(process)
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(pickle.dumps(launch))
        process.stdin.close()
        assert process.stdout.readline().decode().strip() == str(launch.run_dir)
        return process

    yield begin
    for process in nodes:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def test_a_run_outlives_its_node_and_is_found_again(
    make_runner: Callable[[], Runner],
    launch: Launches,
    node: Callable[[Launch], "subprocess.Popen[bytes]"],
) -> None:
    made = launch("sh", "-c", "echo begun; while [ ! -e go ]; do sleep 0.02; done; echo ended")
    process = node(made)
    handle = str(made.run_dir)
    _await(lambda: make_runner().logs(handle, 0, 100) == b"begun\n")
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()

    again = make_runner()
    assert again.poll(handle).phase is Phase.RUNNING
    assert again.start(made) == handle
    (made.work / "go").touch()
    assert _result(again, handle).reason is EndReason.FINISHED
    assert again.logs(handle, 0, 100) == b"begun\nended\n"


def test_a_run_can_be_cancelled_after_its_node_died(
    make_runner: Callable[[], Runner],
    launch: Launches,
    node: Callable[[Launch], "subprocess.Popen[bytes]"],
) -> None:
    mark = f"82{os.getpid()}"
    made = launch("sleep", mark)
    process = node(made)
    _await(lambda: _processes(mark))
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    again = make_runner()
    again.stop(str(made.run_dir))
    assert _result(again, str(made.run_dir)).reason is EndReason.CANCELLED
    assert _processes(mark) == []

"""Ways to other processes: seeing, signalling, reading, outliving."""

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.compute.backends.laboratory import Laboratory

pytestmark = pytest.mark.sandbox


@pytest.fixture
def bystander() -> Iterator["subprocess.Popen[bytes]"]:
    """A process of the host with the same user as the node."""
    process = subprocess.Popen(["sleep", "60"])
    yield process
    assert process.poll() is None, "the bystander was killed"
    process.kill()
    process.wait()


def _alive(mark: str) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if mark.encode() in path.read_bytes():
                found.append(path.parent.name)
        except OSError:
            continue
    return found


def test_other_processes_are_not_to_be_seen(
    laboratory: Laboratory, bystander: "subprocess.Popen[bytes]"
) -> None:
    told = laboratory.python(
        """
        numbers = [name for name in os.listdir('/proc') if name.isdigit()]
        tell([open(f'/proc/{n}/comm').read().strip() for n in numbers])
        """
    ).told
    assert len(told) == 2
    assert "bwrap" in told


def test_a_process_outside_cannot_be_signalled(
    laboratory: Laboratory, bystander: "subprocess.Popen[bytes]"
) -> None:
    told = laboratory.python(f"tell(attempt(lambda: os.kill({bystander.pid}, 9)))").told
    assert told == "ESRCH"


def test_a_signal_to_all_stays_inside(
    laboratory: Laboratory, bystander: "subprocess.Popen[bytes]"
) -> None:
    told = laboratory.python(
        """
        child = os.fork()
        if child == 0:
            import time; time.sleep(10); os._exit(0)
        os.kill(-1, 9)
        tell(os.waitpid(child, 0)[1])
        """
    ).told
    assert told == 9  # the own child died, the first process did not
    assert bystander.poll() is None


def test_priorities_outside_cannot_be_changed(
    laboratory: Laboratory, bystander: "subprocess.Popen[bytes]"
) -> None:
    laboratory.python("tell(attempt(lambda: os.setpriority(os.PRIO_USER, 1000, 19)))")
    assert os.getpriority(os.PRIO_PROCESS, bystander.pid) == os.getpriority(os.PRIO_PROCESS, 0)


def test_limits_outside_cannot_be_changed(
    laboratory: Laboratory, bystander: "subprocess.Popen[bytes]"
) -> None:
    program = (
        f"import resource\ntell(attempt(lambda: resource.prlimit({bystander.pid}, 0, (1, 1))))"
    )
    assert laboratory.python(program).told == "ESRCH"


def test_even_an_own_child_cannot_be_traced(laboratory: Laboratory) -> None:
    attach, trace_me = 16, 0
    told = laboratory.python(
        f"""
        child = os.fork()
        if child == 0:
            import time; time.sleep(5); os._exit(0)
        tell([call('ptrace', {attach}, child, 0, 0), call('ptrace', {attach}, 1, 0, 0),
              call('ptrace', {trace_me}, 0, 0, 0)])
        """
    ).told
    assert told == ["EPERM"] * 3


def test_memory_of_other_processes_cannot_be_read_or_written(laboratory: Laboratory) -> None:
    told = laboratory.python(
        """
        class Part(ctypes.Structure):
            _fields_ = [('base', ctypes.c_void_p), ('length', ctypes.c_size_t)]
        text = ctypes.create_string_buffer(8)
        part = Part(ctypes.addressof(text), 8)
        tell([call(name, process, ctypes.byref(part), 1, ctypes.byref(part), 1, 0)
              for name in ('process_vm_readv', 'process_vm_writev')
              for process in (1, os.getpid())])
        """
    ).told
    assert told == ["EPERM"] * 4


def test_descriptors_cannot_be_taken_from_other_processes(laboratory: Laboratory) -> None:
    told = laboratory.python("tell(call('pidfd_getfd', os.pidfd_open(1), 0, 0))").told
    assert told == "EPERM"


def test_namespaces_of_the_first_process_cannot_be_joined(laboratory: Laboratory) -> None:
    told = laboratory.python(
        """
        place = os.open('/proc/1/ns/mnt', os.O_RDONLY)
        tell([call('setns', place, 0), call('setns', os.pidfd_open(1), 0x20000)])
        """
    ).told
    assert told == ["EPERM", "EPERM"]


def test_shared_memory_of_the_host_is_out_of_reach(laboratory: Laboratory) -> None:
    # the host's Unix98 shared memory, and its System V segments
    mark = Path(f"/dev/shm/albufera-{os.getpid()}")
    mark.write_text("secret")
    try:
        told = laboratory.python(
            "tell([os.listdir('/dev/shm'), libc.shmget(1234567, 1, 0), ctypes.get_errno()])"
        ).told
    finally:
        mark.unlink()
    assert told[:2] == [[], -1]


def test_nothing_outlives_the_command(laboratory: Laboratory) -> None:
    mark = f"3{os.getpid()}.25"
    outcome = laboratory.run(
        "sh", "-c", f"setsid sh -c 'sleep {mark}' >/dev/null 2>&1 & sleep 0.1; echo done"
    )
    assert outcome.text == "done\n"
    assert _alive(mark) == []


def test_nothing_outlives_a_cancelled_run(laboratory: Laboratory) -> None:
    mark = f"4{os.getpid()}.25"
    program = f"trap '' TERM INT HUP; setsid sleep {mark} & sleep {mark}"
    handle = laboratory.runner.start(laboratory.launch("sh", "-c", program))
    deadline = time.monotonic() + 10
    while len(_alive(f"sleep\0{mark}")) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(_alive(f"sleep\0{mark}")) == 2
    laboratory.runner.stop(handle)
    laboratory.finish(handle)
    assert _alive(mark) == []

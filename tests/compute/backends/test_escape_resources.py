"""Ways to bring the machine down: every run is held to its limits."""

import dataclasses
import json
import time
from pathlib import Path

import pytest

from albufera.compute.backends.log import CAP_BYTES
from albufera.compute.ports import EndReason
from tests.compute.backends.laboratory import MIB, ORDINARY, Laboratory

pytestmark = pytest.mark.sandbox


def _limits(laboratory: Laboratory) -> str:
    return laboratory.runner.available().limits


def test_a_fork_bomb_is_contained(laboratory: Laboratory) -> None:
    limits = dataclasses.replace(ORDINARY, processes=40, seconds=15)
    told = laboratory.python(
        """
        import time
        children = 0
        try:
            while children < 500:
                if os.fork() == 0:
                    time.sleep(20); os._exit(0)
                children += 1
        except OSError as error:
            tell([children, errno.errorcode[error.errno]])
        """,
        limits=limits,
    ).told
    assert told[0] <= 40
    assert told[1] == "EAGAIN"


def test_a_real_fork_bomb_ends_with_the_run(laboratory: Laboratory) -> None:
    limits = dataclasses.replace(ORDINARY, processes=60, seconds=2, cpus=1)
    outcome = laboratory.run("sh", "-c", "bomb() { bomb | bomb & }; bomb; sleep 60", limits=limits)
    assert outcome.result.reason in {EndReason.TIMEOUT, EndReason.FAILED}
    assert outcome.result.wall_seconds < 6


def test_threads_count_as_processes(laboratory: Laboratory) -> None:
    told = laboratory.python(
        """
        import threading, time
        begun = 0
        try:
            while begun < 400:
                threading.Thread(target=time.sleep, args=(20,), daemon=True).start()
                begun += 1
        except RuntimeError:
            pass
        tell(begun)
        sys.stdout.flush()
        os._exit(0)
        """,
        limits=dataclasses.replace(ORDINARY, processes=40),
    ).told
    assert told <= 40


def test_a_memory_hog_is_killed(laboratory: Laboratory) -> None:
    limits = dataclasses.replace(ORDINARY, memory_bytes=64 * MIB)
    outcome = laboratory.python("kept = bytearray(10**9); tell('had it')", limits=limits)
    assert "had it" not in outcome.text
    assert outcome.result.reason is EndReason.OUT_OF_MEMORY
    assert "67108864" in outcome.result.detail
    assert outcome.result.memory_peak_bytes <= 65 * MIB


def test_memory_spread_over_many_processes_is_counted_together(laboratory: Laboratory) -> None:
    limits = dataclasses.replace(ORDINARY, memory_bytes=128 * MIB)
    outcome = laboratory.python(
        """
        import time
        for _ in range(8):
            if os.fork() == 0:
                kept = b'x' * (32 * 2**20); time.sleep(10); os._exit(0)
        time.sleep(10)
        tell('had it')
        """,
        limits=limits,
    )
    assert outcome.result.reason is EndReason.OUT_OF_MEMORY


def test_files_in_tmp_count_as_memory_and_are_bounded(laboratory: Laboratory) -> None:
    told = laboratory.python(
        """
        def fill(path):
            with open(path, 'wb') as file:
                while True:
                    file.write(bytes(2**20))
        tell([attempt(lambda: fill('/tmp/big')), os.path.getsize('/tmp/big'),
              attempt(lambda: fill('/dev/shm/big')), os.path.getsize('/dev/shm/big')])
        """,
        limits=dataclasses.replace(ORDINARY, memory_bytes=256 * MIB, disk_bytes=512 * MIB),
    ).told
    assert told == ["ENOSPC", 64 * MIB, "ENOSPC", 64 * MIB]


def test_processor_time_is_shared_out(laboratory: Laboratory) -> None:
    if _limits(laboratory) == "prlimit":
        pytest.skip("without control groups processors are not shared out")
    limits = dataclasses.replace(ORDINARY, cpus=0.5, seconds=10)
    outcome = laboratory.python(
        """
        import time
        for _ in range(3):
            if os.fork() == 0:
                break
        end = time.monotonic() + 1.5
        while time.monotonic() < end:
            pass
        """,
        limits=limits,
    )
    assert outcome.result.cpu_seconds < 0.75 * outcome.result.wall_seconds


def test_the_time_limit_ends_the_run(laboratory: Laboratory) -> None:
    limits = dataclasses.replace(ORDINARY, seconds=1)
    outcome = laboratory.run("sh", "-c", "trap '' TERM; sleep 60", limits=limits)
    assert outcome.result.reason is EndReason.TIMEOUT
    assert outcome.result.exit_code is None
    assert 1 <= outcome.result.wall_seconds < 3


def test_a_flood_of_output_is_cut(laboratory: Laboratory) -> None:
    limits = dataclasses.replace(ORDINARY, seconds=2)
    outcome = laboratory.run("sh", "-c", "echo first; yes flood", limits=limits)
    assert outcome.result.reason is EndReason.TIMEOUT
    assert outcome.result.log_truncated
    assert outcome.text.startswith("first\nflood\n")
    assert "log truncated" in outcome.text.splitlines()[-1]
    assert CAP_BYTES < len(outcome.text) < CAP_BYTES + 200


def test_a_run_goes_on_past_a_full_log(laboratory: Laboratory) -> None:
    count = CAP_BYTES + 3 * MIB
    outcome = laboratory.run("sh", "-c", f"yes | head -c {count}; exit 3")
    assert outcome.result.exit_code == 3
    assert outcome.result.log_truncated


def test_one_huge_file_is_stopped(laboratory: Laboratory) -> None:
    laboratory.python(
        """
        def fill():
            with open('/outputs/big', 'wb') as file:
                while True:
                    file.write(bytes(2**20))
        tell([attempt(fill), os.path.getsize('/outputs/big')])
        """,
        limits=dataclasses.replace(ORDINARY, disk_bytes=16 * MIB),
    )
    size = (laboratory.root / f"run-{laboratory.runs}" / "outputs" / "big").stat().st_size
    assert size <= 16 * MIB


def test_many_files_fill_the_disk_only_so_far(laboratory: Laboratory) -> None:
    outcome = laboratory.python(
        """
        import time
        for n in range(1000):
            for folder in ('/work', '/outputs', '/home/user'):
                open(f'{folder}/{n}', 'wb').write(bytes(2**19))
            time.sleep(0.02)
        tell('filled')
        """,
        limits=dataclasses.replace(ORDINARY, disk_bytes=16 * MIB),
    )
    assert outcome.result.reason is EndReason.DISK_FULL
    assert "/outputs" in outcome.result.detail
    run = laboratory.root / f"run-{laboratory.runs}"
    written = sum(path.stat().st_size for path in run.rglob("*") if path.is_file())
    assert written < 128 * MIB


def test_empty_files_are_not_free(laboratory: Laboratory) -> None:
    outcome = laboratory.python(
        """
        import time
        for n in range(10**6):
            os.mkdir(f'/work/{n}')
            if n % 500 == 0: time.sleep(0.01)
        tell('filled')
        """,
        limits=dataclasses.replace(ORDINARY, disk_bytes=4 * MIB),
    )
    assert outcome.result.reason is EndReason.DISK_FULL


def test_deleted_files_that_are_still_open_count(laboratory: Laboratory) -> None:
    outcome = laboratory.python(
        """
        import time
        kept = []
        for n in range(1000):
            file = open('/work/ghost', 'w+b'); os.unlink('/work/ghost')
            file.write(bytes(2**20)); file.flush()
            kept.append(file); time.sleep(0.02)
        tell('filled')
        """,
        limits=dataclasses.replace(ORDINARY, disk_bytes=16 * MIB),
    )
    assert outcome.result.reason is EndReason.DISK_FULL


def test_files_cannot_be_hidden_in_bottomless_folders(laboratory: Laboratory) -> None:
    outcome = laboratory.python(
        """
        import time
        for _ in range(60):
            os.mkdir('d' * 200); os.chdir('d' * 200)
        time.sleep(15)
        """
    )
    assert outcome.result.reason is EndReason.DISK_FULL
    assert "cannot be measured" in outcome.result.detail


def test_descriptors_are_bounded(laboratory: Laboratory) -> None:
    told = laboratory.python(
        """
        kept = []
        def hoard():
            while len(kept) < 10**5:
                kept.append(os.open('/dev/null', os.O_RDONLY))
        tell([attempt(hoard), len(kept)])
        """
    ).told
    assert told[0] == "EMFILE"
    assert told[1] <= 4096


def test_control_groups_are_removed(laboratory: Laboratory) -> None:
    launch = laboratory.launch("sleep", "60")
    handle = laboratory.runner.start(launch)
    recorded = launch.run_dir / "supervisor.json"
    while not recorded.exists():
        time.sleep(0.01)
    groups = [Path(path) for path in json.loads(recorded.read_text())["control_groups"]]
    assert all(path.is_dir() for path in groups)
    assert bool(groups) == (_limits(laboratory) != "prlimit")
    laboratory.runner.stop(handle)
    laboratory.finish(handle)
    assert not any(path.exists() for path in groups)

"""Control groups against folders that imitate the kernel's file layout.

Real groups of version 1 are used by the sandbox tests where the machine has them; version 2 is
seen here only by its imitation: ordinary files in which nothing is enforced.
"""

from pathlib import Path

import pytest

from albufera.compute.backends import cgroups
from albufera.compute.backends.cgroups import Version1, Version2
from albufera.compute.ports import Limits

LIMITS = Limits(cpus=1.5, memory_bytes=2**28, seconds=60, processes=99, disk_bytes=2**20)
V2_FILES = {
    "memory.max": "max",
    "memory.swap.max": "max",
    "memory.oom.group": "0",
    "memory.current": "4096",
    "memory.peak": "8192",
    "memory.events": "low 0\noom 1\noom_kill 2\n",
    "pids.max": "max",
    "cpu.max": "max 100000",
    "cpu.stat": "usage_usec 2500000\nuser_usec 2000000\n",
    "cgroup.procs": "",
    "cgroup.kill": "",
}
V1_FILES = {
    "memory": {
        "memory.limit_in_bytes": "",
        "memory.memsw.limit_in_bytes": "",
        "memory.usage_in_bytes": "4096",
        "memory.max_usage_in_bytes": "8192",
        "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n",
    },
    "pids": {"pids.max": ""},
    "cpu": {"cpu.cfs_period_us": "", "cpu.cfs_quota_us": ""},
    "cpuacct": {"cpuacct.usage": "2500000000"},
}


def _fill(folder: Path, files: dict[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text)


@pytest.fixture
def version_2(tmp_path: Path) -> Path:
    """`system.slice` hands its controllers down, the service's own group does not."""
    root = tmp_path / "cgroup"
    for name, enabled in (("", "cpu"), ("system.slice", "cpu memory pids")):
        files = {"cgroup.controllers": "cpu memory pids", "cgroup.subtree_control": enabled}
        _fill(root / name, files)
    service = root / "system.slice" / "node.service"
    _fill(service, {"cgroup.controllers": "cpu memory pids"})
    (service / "cgroup.subtree_control").mkdir()  # cannot be written: "no internal processes"
    (tmp_path / "membership").write_text("0::/system.slice/node.service\n")
    return root


def test_version_2_goes_where_controllers_are_handed_down(version_2: Path, tmp_path: Path) -> None:
    _fill(version_2 / "system.slice" / "job", V2_FILES)
    group = cgroups.make("job", LIMITS, version_2, tmp_path / "membership")
    assert isinstance(group, Version2)
    assert group.kind == "cgroup v2"
    assert group.folder == version_2 / "system.slice" / "job"
    written = {name: (group.folder / name).read_text() for name in V2_FILES}
    assert written["memory.max"].startswith(str(2**28))
    assert written["memory.swap.max"].startswith("0")
    assert written["memory.oom.group"] == "1"
    assert written["pids.max"].startswith("99")
    assert written["cpu.max"].startswith("150000 100000")


def test_version_2_is_read(tmp_path: Path) -> None:
    _fill(tmp_path, V2_FILES)
    group = Version2(tmp_path)
    assert group.memory() == (4096, 8192)
    assert group.cpu_seconds() == 2.5
    assert group.breach()
    group.join()
    assert (tmp_path / "cgroup.procs").read_text() == "0"
    assert group.processes() == [0]
    (tmp_path / "memory.peak").unlink()  # before Linux 5.19
    assert group.memory() == (4096, 4096)


def test_version_2_without_delegation_gives_nothing(version_2: Path, tmp_path: Path) -> None:
    (version_2 / "system.slice" / "cgroup.subtree_control").unlink()
    (version_2 / "system.slice" / "cgroup.subtree_control").mkdir()
    assert cgroups.make("job", LIMITS, version_2, tmp_path / "membership") is None
    assert not (version_2 / "job").exists()


def test_version_2_is_killed_by_its_switch(tmp_path: Path) -> None:
    _fill(tmp_path / "job", V2_FILES)
    cgroups.remove_folders([str(tmp_path / "job")], patience_seconds=0.05)
    assert (tmp_path / "job" / "cgroup.kill").read_text() == "1"


def test_version_1_is_made_below_the_nodes_own_group(tmp_path: Path) -> None:
    root = tmp_path / "cgroup"
    for controller, files in V1_FILES.items():
        place = root / controller / ("node" if controller == "memory" else "")
        _fill(place / "job", {**files, "cgroup.procs": ""})
    membership = tmp_path / "membership"
    membership.write_text("4:memory:/node\n3:cpu,cpuacct:/gone\n8:pids:/\n0::/\n")
    group = cgroups.make("job", LIMITS, root, membership)
    assert isinstance(group, Version1)
    assert group.memory_folder == root / "memory" / "node" / "job"
    assert group.cpu_folder == root / "cpu" / "job"
    assert (group.memory_folder / "memory.limit_in_bytes").read_text() == str(2**28)
    assert (group.memory_folder / "memory.memsw.limit_in_bytes").read_text() == str(2**28)
    assert (group.pids_folder / "pids.max").read_text() == "99"
    assert (group.cpu_folder / "cpu.cfs_quota_us").read_text() == "150000"
    assert group.memory() == (4096, 8192)
    assert group.cpu_seconds() == 2.5
    assert group.breach()
    assert len(group.folders()) == 4


def test_a_group_that_cannot_be_limited_is_not_used(tmp_path: Path) -> None:
    for controller in V1_FILES:
        (tmp_path / controller).mkdir()  # a new folder without the kernel's files in it
    assert cgroups.make("job", LIMITS, tmp_path, tmp_path / "none") is None
    assert not (tmp_path / "memory" / "job").exists()


def test_a_machine_without_control_groups_gives_nothing(tmp_path: Path) -> None:
    assert cgroups.make("job", LIMITS, tmp_path, tmp_path / "none") is None


def test_what_cannot_be_read_counts_as_nothing(tmp_path: Path) -> None:
    group = Version2(tmp_path / "gone")
    assert group.memory() == (0, 0)
    assert group.cpu_seconds() == 0
    assert not group.breach()
    assert group.processes() == []
    group.remove()

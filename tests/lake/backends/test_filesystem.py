"""What is particular to the Store on a file system: modes, disk full, devices, symlinks, cost."""

import os
import shutil
import stat
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from albufera.lake.backends.filesystem import FileSystemStore
from albufera.lake.ports import (
    Admission,
    InstanceKey,
    NoSuchInstance,
    PosixStore,
    StoreError,
    StoreFull,
)

KEY = InstanceKey("LUNG", "2.25.111", "2.25.111.1")


def put(store: PosixStore, key: InstanceKey, data: bytes, piece: int = 1_000_000) -> Admission:
    with store.stage(key.project) as staging:
        with staging.write("0001") as out:
            for start in range(0, len(data), piece):
                out.write(data[start : start + piece])
        return store.admit(out.seal(), key)


@pytest.fixture
def store(tmp_path: Path) -> PosixStore:
    return FileSystemStore(tmp_path / "lake")


def test_layout_is_the_documented_one(store: PosixStore, tmp_path: Path) -> None:
    put(store, KEY, b"pixels")
    path = store.path(KEY)
    assert path.relative_to(tmp_path / "lake").as_posix() == (
        "series/LUNG/aca/2.25.111/2.25.111.1.dcm"
    )
    assert path.read_bytes() == b"pixels"


def test_admitted_file_is_read_only(store: PosixStore) -> None:
    put(store, KEY, b"pixels")
    found = store.path(KEY).stat()
    assert stat.S_IMODE(found.st_mode) == 0o444
    assert found.st_nlink == 1


def test_lake_is_closed_to_other_accounts(tmp_path: Path) -> None:
    FileSystemStore(tmp_path / "lake")
    for name in ("series", "staging"):
        assert stat.S_IMODE((tmp_path / "lake" / name).stat().st_mode) & 0o007 == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user is stopped by the mode already")
def test_ordinary_user_cannot_write_into_it(store: PosixStore, tmp_path: Path) -> None:
    put(store, KEY, b"pixels")
    script = f"import os; os.setuid(65534); open({str(store.path(KEY))!r}, 'r+b')"
    refused = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert "PermissionError" in refused.stderr


ORDINARY = """
import os, sys, tempfile
from pathlib import Path
from albufera.lake.backends.filesystem import FileSystemStore
from albufera.lake.ports import InstanceKey
if os.geteuid() == 0:
    os.setuid(65534)
with tempfile.TemporaryDirectory() as folder:
    store, key = FileSystemStore(Path(folder) / "lake"), InstanceKey("LUNG", "2.25.1", "2.25.1.1")
    with store.stage("LUNG") as staging:
        with staging.write("0001") as out:
            out.write(b"pixels")
        store.admit(out.seal(), key)
    view = store.link_view(Path(folder) / "view", [(key, "s/t/a.dcm")])
    try:
        (view / "s" / "planted").touch()
    except PermissionError:
        print("closed", store.drop_view(view), store.remove(key), os.listdir(folder))
"""


def test_ordinary_user_can_run_the_store() -> None:
    """Root ignores modes, so the read-only directories are tried without it."""
    done = subprocess.run([sys.executable, "-c", ORDINARY], capture_output=True, text=True)
    assert done.stdout.strip() == "closed True True ['lake']", done.stderr


def test_withdrawal_leaves_no_directory_behind(store: PosixStore, tmp_path: Path) -> None:
    put(store, KEY, b"pixels")
    assert store.remove(KEY)
    assert [p.name for p in (tmp_path / "lake" / "series").rglob("*")] == ["LUNG"]


def test_planted_symlink_is_not_followed(store: PosixStore, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    path = store.path(KEY)
    path.parent.mkdir(parents=True)
    path.symlink_to(secret)
    with pytest.raises(OSError, match="symbolic link"):
        store.open(KEY)
    with pytest.raises(OSError, match="symbolic link"):
        put(store, KEY, b"secret")
    with pytest.raises(StoreError, match="not a regular file"):
        store.link_view(tmp_path / "view", [(KEY, "a.dcm")])
    assert secret.read_bytes() == b"secret"


# --- disk full ---------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "small"
    place.mkdir()
    mounted = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)], capture_output=True
    )
    if not mounted or mounted.returncode != 0:
        pytest.skip("mounting a tmpfs needs root; the RLIMIT_FSIZE test covers the same path")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


@pytest.mark.parametrize("piece", [1_000, 700_000])
def test_full_disk_is_said_and_leaves_nothing(small_disk: Path, piece: int) -> None:
    store = FileSystemStore(small_disk / "lake")
    put(store, KEY, b"fits")
    other = InstanceKey("LUNG", "2.25.111", "2.25.111.2")
    with pytest.raises(StoreFull, match="no room"):
        put(store, other, b"x" * 2_000_000, piece)
    assert store.stat(other) is None
    assert len([p for p in small_disk.rglob("*") if p.is_file()]) == 1
    assert put(store, other, b"x" * 500_000) is Admission.ADMITTED


def test_file_size_limit_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    script = """
import resource, signal, sys
from pathlib import Path
from albufera.lake.backends.filesystem import FileSystemStore
from albufera.lake.ports import StoreFull
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
store = FileSystemStore(Path(sys.argv[1]))
try:
    with store.stage("LUNG") as staging, staging.write("0001") as out:
        out.write(b"x" * 150_000)
except StoreFull as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "lake")], capture_output=True, text=True
    )
    assert "There is no room" in done.stdout, done.stderr
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []


# --- views -------------------------------------------------------------------------------------


def test_view_is_made_of_hard_links(store: PosixStore, tmp_path: Path) -> None:
    put(store, KEY, b"pixels")
    view = store.link_view(tmp_path / "view", [(KEY, "a.dcm")])
    assert (view / "a.dcm").samefile(store.path(KEY))


def test_view_on_another_device_is_copied(store: PosixStore, small_disk: Path) -> None:
    put(store, KEY, b"pixels")
    view = store.link_view(small_disk / "view", [(KEY, "s/a.dcm")])
    assert (view / "s/a.dcm").read_bytes() == b"pixels"
    assert stat.S_IMODE((view / "s/a.dcm").stat().st_mode) == 0o444
    assert store.drop_view(view)


def test_view_on_a_full_device_is_said(store: PosixStore, small_disk: Path) -> None:
    put(store, KEY, b"x" * 2_000_000)
    with pytest.raises(StoreFull):
        store.link_view(small_disk / "view", [(KEY, "a.dcm")])
    assert list(small_disk.iterdir()) == []


def test_view_document_is_not_followed_through_a_symlink(store: PosixStore, tmp_path: Path) -> None:
    (tmp_path / "index.json").symlink_to("/etc/passwd")
    with pytest.raises(OSError, match="symbolic link"):
        store.link_view(tmp_path / "view", [], {"index.json": tmp_path / "index.json"})
    with pytest.raises(StoreError, match="document"):
        store.link_view(tmp_path / "view", [], {"index.json": tmp_path / "absent"})


def test_view_of_many_files_in_bounded_memory(store: PosixStore, tmp_path: Path) -> None:
    put(store, KEY, b"pixels")
    tracemalloc.start()
    store.link_view(tmp_path / "view", ((KEY, f"subject{n // 100}/{n}.dcm") for n in range(5_000)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000
    assert sum(1 for _ in (tmp_path / "view").glob("*/*.dcm")) == 5_000


def test_staging_a_large_file_in_bounded_memory(store: PosixStore) -> None:
    chunk = bytes(1_000_000)
    tracemalloc.start()
    with store.stage("LUNG") as staging:
        with staging.write("0001") as out:
            for _ in range(64):
                out.write(chunk)
        store.admit(out.seal(), KEY)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2_000_000


def test_absent_instance_of_a_view_is_named(store: PosixStore, tmp_path: Path) -> None:
    with pytest.raises(NoSuchInstance, match=r"2\.25\.111\.1"):
        store.link_view(tmp_path / "view", [(KEY, "a.dcm")])

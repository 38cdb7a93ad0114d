"""The contract of the Store port, over every backend."""

import hashlib
import importlib
import io
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file

from albufera.lake.ports import (
    Admission,
    ContentConflict,
    InstanceKey,
    InvalidName,
    NoSuchInstance,
    Staged,
    Staging,
    Store,
    StoreError,
)

BACKENDS = {"filesystem": "albufera.lake.backends.filesystem:FileSystemStore"}
KEY = InstanceKey("LUNG", "2.25.111", "2.25.111.1")
OTHER = InstanceKey("LUNG", "2.25.111", "2.25.111.2")


@dataclass(frozen=True)
class Bench:
    """A store of one backend, and the way to open the same one in another process."""

    store: Store
    factory: str
    root: Path

    def run(self, script: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", PRELUDE + script, self.factory, str(self.root)],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=60,
        )


PRELUDE = """
import importlib, sys, time
from pathlib import Path
from albufera.lake.ports import InstanceKey
module, name = sys.argv[1].split(":")
store = getattr(importlib.import_module(module), name)(Path(sys.argv[2]))
key = InstanceKey("LUNG", "2.25.111", "2.25.111.1")
def put(key, data):
    with store.stage(key.project) as staging:
        with staging.write("0001") as out:
            out.write(data)
        return store.admit(out.seal(), key)
"""


def open_store(factory: str, root: Path) -> Store:
    module, name = factory.split(":")
    return cast(Store, getattr(importlib.import_module(module), name)(root))


@pytest.fixture(params=sorted(BACKENDS))
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Bench:
    factory = BACKENDS[request.param]
    return Bench(open_store(factory, tmp_path / "lake"), factory, tmp_path / "lake")


def staged(staging: Staging, data: bytes, name: str = "0001") -> Staged:
    with staging.write(name) as out:
        out.write(data)
    return out.seal()


def put(store: Store, key: InstanceKey, data: bytes) -> Admission:
    with store.stage(key.project) as staging:
        return store.admit(staged(staging, data), key)


def content(store: Store, key: InstanceKey) -> bytes:
    with store.open(key) as file:
        return file.read()


def files_below(path: Path) -> list[str]:
    return sorted(str(p.relative_to(path)) for p in path.rglob("*") if p.is_file())


# --- staging -----------------------------------------------------------------------------------


def test_writer_hashes_what_passes(bench: Bench) -> None:
    pieces: list[bytes | bytearray | memoryview] = [
        b"",
        b"a",
        os.urandom(300_000),
        bytearray(b"xy"),
        memoryview(os.urandom(70_000)),
    ]
    with bench.store.stage("LUNG") as staging, staging.write("0001") as out:
        for piece in pieces:
            assert out.write(piece) == len(piece)
        whole = b"".join(bytes(p) for p in pieces)
        assert (out.sha256, out.size) == (hashlib.sha256(whole).hexdigest(), len(whole))
        sealed = out.seal()
        assert out.seal() == sealed
        assert (sealed.sha256, sealed.size) == (out.sha256, out.size)
        assert bench.store.admit(sealed, KEY) is Admission.ADMITTED
    assert content(bench.store, KEY) == whole


def test_writer_counts_bytes_of_a_wide_memoryview(bench: Bench) -> None:
    pixels = np.arange(200_000, dtype=np.int16)
    with bench.store.stage("LUNG") as staging, staging.write("0001") as out:
        assert out.write(pixels.data) == 400_000
        bench.store.admit(out.seal(), KEY)
    assert content(bench.store, KEY) == pixels.tobytes()


def test_pydicom_can_write_into_it(bench: Bench) -> None:
    dataset = pydicom.dcmread(str(get_testdata_file("CT_small.dcm")))
    with bench.store.stage("LUNG") as staging, staging.write("0001") as out:
        pydicom.dcmwrite(out, dataset, enforce_file_format=True)
        bench.store.admit(out.seal(), KEY)
    assert pydicom.dcmread(io.BytesIO(content(bench.store, KEY))) == dataset


def test_sealed_writer_takes_no_more(bench: Bench) -> None:
    with bench.store.stage("LUNG") as staging:
        out = staging.write("0001")
        out.write(b"abc")
        out.seal()
        with pytest.raises(ValueError, match="sealed"):
            out.write(b"d")


def test_exception_discards_what_was_staged(bench: Bench) -> None:
    def interrupted() -> None:
        with bench.store.stage("LUNG") as staging:
            staged(staging, b"one")
            with staging.write("0002") as out:
                out.write(b"two")
                raise RuntimeError

    with pytest.raises(RuntimeError):
        interrupted()
    assert files_below(bench.root) == []


def test_leaving_without_admission_discards(bench: Bench) -> None:
    with bench.store.stage("LUNG") as staging:
        staged(staging, b"one")
        staging.write("0002").write(b"never sealed")
    assert files_below(bench.root) == []


def test_staging_name_is_taken_once(bench: Bench) -> None:
    with bench.store.stage("LUNG") as staging:
        staged(staging, b"one")
        with pytest.raises(StoreError, match="own name"):
            staging.write("0001")


def test_staging_areas_are_apart(bench: Bench) -> None:
    with bench.store.stage("LUNG") as one, bench.store.stage("LUNG") as two:
        a, b = staged(one, b"one"), staged(two, b"two")
        bench.store.admit(a, KEY)
        bench.store.admit(b, OTHER)
    assert (content(bench.store, KEY), content(bench.store, OTHER)) == (b"one", b"two")


# --- names -------------------------------------------------------------------------------------

HOSTILE = [
    *["", ".", "..", "../x", "/etc/passwd", "a/b", "a\\b", "a\0b", "a\nb", "1.2.", ".1.2", "1..2"],
    *["é", "-x", "x" * 65, "1." + "2" * 63, "1.2\n", "LUNG ", "~root", "%2e%2e"],
]


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("part", ["project", "series", "instance"])
def test_key_refuses_names_that_are_no_names(part: str, name: str) -> None:
    parts = {"project": "LUNG", "series": "2.25.1", "instance": "2.25.2", part: name}
    with pytest.raises(InvalidName):
        InstanceKey(**parts)


@pytest.mark.parametrize("name", HOSTILE)
def test_staging_refuses_names_that_are_no_names(bench: Bench, name: str) -> None:
    with pytest.raises(InvalidName):
        bench.store.stage(name)
    with bench.store.stage("LUNG") as staging, pytest.raises(InvalidName):
        staging.write(name)


# --- admission ---------------------------------------------------------------------------------


def test_admit_then_read_back(bench: Bench) -> None:
    assert bench.store.stat(KEY) is None
    assert put(bench.store, KEY, b"pixels") is Admission.ADMITTED
    found = bench.store.stat(KEY)
    assert found is not None
    assert found.size == 6
    with bench.store.open(KEY) as file:
        file.seek(2)
        assert file.read() == b"xels"


def test_same_bytes_again_change_nothing(bench: Bench) -> None:
    put(bench.store, KEY, b"pixels")
    before = bench.store.stat(KEY)
    assert put(bench.store, KEY, b"pixels") is Admission.ALREADY_THERE
    assert bench.store.stat(KEY) == before
    assert len(files_below(bench.root)) == 1


@pytest.mark.parametrize("other", [b"pixelz", b"pixels and more", b""])
def test_other_bytes_conflict_and_change_nothing(bench: Bench, other: bytes) -> None:
    put(bench.store, KEY, b"pixels")
    with pytest.raises(ContentConflict, match="never replaced") as refused:
        put(bench.store, KEY, other)
    assert refused.value.key == KEY
    assert refused.value.offered_sha256 == hashlib.sha256(other).hexdigest()
    assert content(bench.store, KEY) == b"pixels"


def test_admit_all_answers_each_in_order(bench: Bench) -> None:
    third = InstanceKey("LUNG", "2.25.222", "2.25.222.1")
    put(bench.store, KEY, b"one")
    put(bench.store, OTHER, b"two")
    with bench.store.stage("LUNG") as staging:
        outcomes = bench.store.admit_all(
            [
                (staged(staging, b"one", "a"), KEY),
                (staged(staging, b"changed", "b"), OTHER),
                (staged(staging, b"three", "c"), third),
            ]
        )
    assert outcomes == [Admission.ALREADY_THERE, Admission.CONFLICT, Admission.ADMITTED]
    assert [content(bench.store, k) for k in (KEY, OTHER, third)] == [b"one", b"two", b"three"]
    assert bench.store.admit_all([]) == []


def test_projects_do_not_share_keys(bench: Bench) -> None:
    elsewhere = InstanceKey("BREAST", KEY.series, KEY.instance)
    put(bench.store, KEY, b"lung")
    put(bench.store, elsewhere, b"breast")
    assert (content(bench.store, KEY), content(bench.store, elsewhere)) == (b"lung", b"breast")


def test_absent_instance(bench: Bench) -> None:
    with pytest.raises(NoSuchInstance, match=r"2\.25\.111\.1"):
        bench.store.open(KEY)
    assert bench.store.remove(KEY) is False


def test_remove_takes_one_and_leaves_its_neighbour(bench: Bench) -> None:
    put(bench.store, KEY, b"one")
    put(bench.store, OTHER, b"two")
    assert bench.store.remove(KEY) is True
    assert bench.store.stat(KEY) is None
    assert content(bench.store, OTHER) == b"two"
    assert bench.store.remove(OTHER) is True
    assert put(bench.store, KEY, b"other bytes, for it was withdrawn") is Admission.ADMITTED


RACE = """
data = bytes([0]) * 100_000 if SAME else bytes([int(WHO)]) * 100_000
while not (Path(sys.argv[2]).parent / "go").exists():
    time.sleep(0.001)
outcomes = []
for n in range(40):
    instance = InstanceKey("LUNG", f"2.25.{n}", f"2.25.{n}.1")
    with store.stage("LUNG") as staging:
        with staging.write("0001") as out:
            out.write(data)
        outcomes.append(store.admit_all([(out.seal(), instance)])[0].value)
print(",".join(outcomes))
"""


@pytest.mark.parametrize("same", [True, False])
def test_of_concurrent_admissions_one_wins(bench: Bench, same: bool) -> None:
    children = [
        subprocess.Popen(
            [sys.executable, "-c", f"SAME, WHO = {same}, {who}\n{PRELUDE}{RACE}",
             bench.factory, str(bench.root)],
            stdout=subprocess.PIPE, text=True,
        )
        for who in range(4)
    ]  # fmt: skip
    (bench.root.parent / "go").touch()
    answers = [child.communicate(timeout=60)[0].strip().split(",") for child in children]
    assert all(child.returncode == 0 for child in children)
    loser = "already-there" if same else "conflict"
    for n, outcomes in enumerate(zip(*answers, strict=True)):
        assert sorted(outcomes) == sorted(["admitted", loser, loser, loser])
        winner = 0 if same else outcomes.index("admitted")
        held = content(bench.store, InstanceKey("LUNG", f"2.25.{n}", f"2.25.{n}.1"))
        assert held == bytes([winner]) * 100_000
    assert bench.store.sweep(0) == 0


# --- crashes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("point", "there"),
    [
        ("lake.written", False),
        ("lake.staged", False),
        ("lake.renamed", True),
        ("lake.admitted", True),
    ],
)
def test_kill_during_admission(bench: Bench, point: str, there: bool) -> None:
    dead = bench.run("put(key, b'pixels' * 50_000)", ALBUFERA_CRASH_AT=point)
    assert dead.returncode == -signal.SIGKILL, dead.stderr
    assert (bench.store.stat(KEY) is not None) is there
    if there:
        assert content(bench.store, KEY) == b"pixels" * 50_000
    assert bench.store.sweep(3600) == 0
    assert bench.store.sweep(0) == 1
    again = put(bench.store, KEY, b"pixels" * 50_000)
    assert again is (Admission.ALREADY_THERE if there else Admission.ADMITTED)
    assert content(bench.store, KEY) == b"pixels" * 50_000
    assert len(files_below(bench.root)) == 1


def test_sweep_leaves_the_living_alone(bench: Bench) -> None:
    with bench.store.stage("LUNG") as staging:
        waiting = staged(staging, b"pixels")
        assert bench.store.sweep(0) == 0
        swept = bench.run("print(store.sweep(0))")
        assert swept.stdout.strip() == "0", swept.stderr
        assert bench.store.admit(waiting, KEY) is Admission.ADMITTED


# --- views -------------------------------------------------------------------------------------


@pytest.fixture
def filled(bench: Bench) -> Bench:
    put(bench.store, KEY, b"one")
    put(bench.store, OTHER, b"two")
    return bench


def test_view_holds_exactly_its_entries(filled: Bench, tmp_path: Path) -> None:
    index = tmp_path / "made.json"
    index.write_text("[]")
    view = filled.store.link_view(
        tmp_path / "view", [(KEY, "s1/st1/se1/a.dcm")], {"index.json": index}
    )
    assert view == tmp_path / "view"
    assert files_below(view) == ["index.json", "s1/st1/se1/a.dcm"]
    assert (view / "s1/st1/se1/a.dcm").read_bytes() == b"one"
    for path in [view, *view.rglob("*")]:
        wanted = 0o555 if path.is_dir() else 0o444
        assert stat.S_IMODE(path.stat().st_mode) == wanted, path
    assert sorted(p.name for p in tmp_path.iterdir()) == ["lake", "made.json", "view"]


def test_existing_view_is_returned_unread(filled: Bench, tmp_path: Path) -> None:
    filled.store.link_view(tmp_path / "view", [(KEY, "a.dcm")])

    def never() -> Iterator[tuple[InstanceKey, str]]:
        yield from (pytest.fail(f"the entries were read: {n}") for n in range(1))

    filled.store.link_view(tmp_path / "view", never())
    assert files_below(tmp_path / "view") == ["a.dcm"]


@pytest.mark.parametrize(
    "relative",
    ["", "/etc/x", "../x", "a/../../x", "a//b", "./a", "a/", "a\0b", "a\\b", "a\nb", "b" * 256,
     "/".join(["abc"] * 1200), "a/.."],
)  # fmt: skip
def test_view_refuses_paths_that_leave_it(filled: Bench, tmp_path: Path, relative: str) -> None:
    with pytest.raises(InvalidName):
        filled.store.link_view(tmp_path / "view", [(KEY, "ok.dcm"), (OTHER, relative)])
    with pytest.raises(InvalidName):
        filled.store.link_view(tmp_path / "view", [], {relative: tmp_path})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["lake"]


@pytest.mark.parametrize(("first", "second"), [("a", "a"), ("a", "a/b"), ("a/b", "a")])
def test_view_refuses_a_path_given_twice(
    filled: Bench, tmp_path: Path, first: str, second: str
) -> None:
    with pytest.raises(InvalidName, match="twice"):
        filled.store.link_view(tmp_path / "view", [(KEY, first), (OTHER, second)])
    assert not (tmp_path / "view").exists()


def test_view_of_an_absent_instance_is_not_made(filled: Bench, tmp_path: Path) -> None:
    absent = InstanceKey("LUNG", "2.25.111", "2.25.111.9")
    with pytest.raises(NoSuchInstance) as refused:
        filled.store.link_view(tmp_path / "view", [(KEY, "a.dcm"), (absent, "b.dcm")])
    assert refused.value.key == absent
    assert sorted(p.name for p in tmp_path.iterdir()) == ["lake"]


def test_exception_from_the_entries_cancels(filled: Bench, tmp_path: Path) -> None:
    def cancelled() -> Iterator[tuple[InstanceKey, str]]:
        yield KEY, "a.dcm"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        filled.store.link_view(tmp_path / "view", cancelled())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["lake"]


def test_view_is_never_made_through_a_symlink(filled: Bench, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "view").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="not a directory"):
        filled.store.link_view(tmp_path / "view", [(KEY, "a.dcm")])
    with pytest.raises(StoreError, match="not a directory"):
        filled.store.drop_view(tmp_path / "view")
    assert files_below(tmp_path / "elsewhere") == []


def test_drop_view_leaves_the_lake_whole(filled: Bench, tmp_path: Path) -> None:
    filled.store.link_view(tmp_path / "view", [(KEY, "x/y/a.dcm"), (OTHER, "x/b.dcm")])
    assert filled.store.drop_view(tmp_path / "view") is True
    assert filled.store.drop_view(tmp_path / "view") is False
    assert sorted(p.name for p in tmp_path.iterdir()) == ["lake"]
    assert (content(filled.store, KEY), content(filled.store, OTHER)) == (b"one", b"two")


VIEW = """
other = InstanceKey("LUNG", "2.25.111", "2.25.111.2")
store.link_view(Path(sys.argv[2]).parent / "view", [(key, "s/a.dcm"), (other, "s/b.dcm")])
"""


@pytest.mark.parametrize(
    ("point", "there"),
    [
        ("lake.view.linked", False),
        ("lake.view.linked:2", False),
        ("lake.view.built", False),
        ("lake.view.renamed", True),
    ],
)
def test_kill_during_a_view(filled: Bench, tmp_path: Path, point: str, there: bool) -> None:
    dead = filled.run(VIEW, ALBUFERA_CRASH_AT=point)
    assert dead.returncode == -signal.SIGKILL, dead.stderr
    assert (tmp_path / "view").exists() is there
    entries = [(KEY, "s/a.dcm"), (OTHER, "s/b.dcm")]
    filled.store.link_view(tmp_path / "view", entries)
    assert files_below(tmp_path / "view") == ["s/a.dcm", "s/b.dcm"]
    filled.store.drop_view(tmp_path / "view")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["lake"]


def test_concurrent_builders_make_one_view(filled: Bench, tmp_path: Path) -> None:
    children = [
        subprocess.Popen([sys.executable, "-c", PRELUDE + VIEW, filled.factory, str(filled.root)])
        for _ in range(4)
    ]
    assert [child.wait(60) for child in children] == [0, 0, 0, 0]
    assert files_below(tmp_path / "view") == ["s/a.dcm", "s/b.dcm"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["lake", "view"]

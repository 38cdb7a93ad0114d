"""Looking into folders that a hostile job filled."""

import os
import resource
import socket
import stat
from pathlib import Path

import pytest

from albufera.compute.folders import (
    Listing,
    list_files,
    open_file,
    open_inside,
    remove_tree,
    write_file,
)
from albufera.kernel.errors import Refusal


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    """Outputs beside a secret."""
    (tmp_path / "secret").write_text("the patient's name")
    (tmp_path / "lake").mkdir()
    (tmp_path / "lake" / "image.dcm").write_text("pixels")
    folder = tmp_path / "outputs"
    folder.mkdir()
    return folder


def paths(folder: Path, start: str = "") -> list[str]:
    return [output.path for output in list_files(folder, start)]


def test_regular_files_are_listed_by_path(outputs: Path) -> None:
    (outputs / "b").mkdir()
    (outputs / "b" / "2.txt").write_text("22")
    (outputs / "a.txt").write_text("1")
    found = list(list_files(outputs))
    assert [(item.path, item.size) for item in found] == [("a.txt", 1), ("b/2.txt", 2)]
    assert paths(outputs, "b") == ["b/2.txt"]


@pytest.mark.parametrize(
    "target", ["/etc/passwd", "../secret", "../lake/image.dcm", "../lake", "/", "loop", "."]
)
def test_a_link_is_neither_listed_nor_opened_nor_walked(outputs: Path, target: str) -> None:
    (outputs / "loop").symlink_to(target)
    assert paths(outputs) == []
    assert paths(outputs, "loop") == []
    for path in ("loop", "loop/image.dcm", "loop/etc/passwd"):
        with pytest.raises(Refusal) as refused:
            open_file(outputs, path)
        assert refused.value.code == "not-found"


def test_outputs_that_are_a_link_themselves_are_not_followed(outputs: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "swapped"
    elsewhere.symlink_to(tmp_path / "lake")
    assert paths(elsewhere) == []
    with pytest.raises(OSError, match=r".*"):
        open_inside(elsewhere, "image.dcm")


def test_a_folder_swapped_for_a_link_while_it_is_walked(
    outputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (outputs / "d").mkdir()
    (outputs / "d" / "mine.txt").write_text("mine")
    real = os.open

    def swapping(path: str, flags: int, **rest: int) -> int:
        if path == "d":
            (outputs / "d").rename(tmp_path / "moved")
            (outputs / "d").symlink_to(tmp_path / "lake")
        return real(path, flags, **rest)

    monkeypatch.setattr(os, "open", swapping)
    listing = Listing()
    assert [item.path for item in list_files(outputs, listing=listing)] == []
    assert listing.cut


@pytest.mark.parametrize(
    "path", ["../secret", "/etc/passwd", "a/../../secret", "..", "", "/", "a\0b", "a\nb", "\udcff"]
)
def test_paths_that_climb_or_cannot_be_read_are_refused(outputs: Path, path: str) -> None:
    with pytest.raises(Refusal) as refused:
        open_file(outputs, path)
    assert refused.value.code in {"invalid-input", "not-found"}


def test_what_is_not_an_ordinary_file_is_not_opened(outputs: Path) -> None:
    os.mkfifo(outputs / "fifo")
    (outputs / "folder").mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(outputs / "socket"))
    names = ["fifo", "folder", "socket"]
    if os.geteuid() == 0:
        os.mknod(outputs / "device", stat.S_IFCHR | 0o666, os.makedev(1, 5))
        names.append("device")
    assert paths(outputs) == []
    for name in names:
        with pytest.raises(Refusal) as refused:
            open_file(outputs, name)
        assert refused.value.code == "not-found"


@pytest.mark.parametrize("name", [b"new\nline", b"\xff\xfe", b"\x1b[2J", "a\u202egnp.exe".encode()])
def test_a_name_that_cannot_be_read_is_shown_with_escapes(outputs: Path, name: bytes) -> None:
    Path(os.fsdecode(os.fsencode(outputs) + b"/" + name)).write_bytes(b"x")
    (found,) = list_files(outputs)
    assert not found.readable
    assert found.path.isprintable()
    found.path.encode()


def test_the_longest_name_is_taken(outputs: Path) -> None:
    (outputs / ("x" * 255)).write_text("")
    assert paths(outputs) == ["x" * 255]


def test_folders_too_deep_are_left_out_and_that_is_told(outputs: Path) -> None:
    deep = outputs.joinpath(*["d"] * 40)
    deep.mkdir(parents=True)
    (deep / "a.txt").write_text("")
    listing = Listing()
    assert list(list_files(outputs, listing=listing)) == []
    assert listing.cut


def test_no_more_entries_are_looked_at_than_allowed(outputs: Path) -> None:
    for n in range(30):
        (outputs / f"{n:02}").write_text("")
    listing = Listing(left=10)
    assert len(list(list_files(outputs, listing=listing))) == 10
    assert listing.cut
    exact = Listing(left=30)
    assert len(list(list_files(outputs, listing=exact))) == 30
    assert not exact.cut


def test_removing_a_tree_that_resists(tmp_path: Path) -> None:
    root, kept = tmp_path / "work", tmp_path / "kept"
    kept.mkdir()
    (kept / "file").write_text("stays")
    (root / "closed" / "inner").mkdir(parents=True)
    (root / "closed" / "inner" / "file").write_text("")
    (root / "link").symlink_to(kept)
    (root / "closed" / "link").symlink_to(kept)
    os.mkfifo(root / "closed" / "fifo")
    Path(os.fsdecode(os.fsencode(root) + b"/\xff\n")).mkdir()
    (root / "closed" / "inner").chmod(0)
    (root / "closed").chmod(0)
    remove_tree(root)
    assert not root.exists()
    assert (kept / "file").read_text() == "stays"


def test_removing_a_tree_deeper_than_any_path_and_any_stack(tmp_path: Path) -> None:
    root = tmp_path / "work"
    root.mkdir()
    depth = 3000
    folder = os.open(root, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("ddd", dir_fd=folder)
        inner = os.open("ddd", os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = inner
    os.close(folder)
    remove_tree(root)
    assert not root.exists()


def test_removing_needs_few_descriptors(tmp_path: Path) -> None:
    root = tmp_path / "work"
    root.joinpath(*["d"] * 500).mkdir(parents=True)
    for n in range(2500):
        (root / str(n)).write_text("")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    in_use = len(list(Path("/proc/self/fd").iterdir()))
    resource.setrlimit(resource.RLIMIT_NOFILE, (in_use + 8, hard))
    try:
        remove_tree(root)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert not root.exists()


def test_removing_what_is_gone_changes_nothing(tmp_path: Path) -> None:
    remove_tree(tmp_path / "nothing")
    (tmp_path / "elsewhere").mkdir(mode=0o755)
    (tmp_path / "elsewhere" / "file").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    remove_tree(tmp_path / "link")
    assert (tmp_path / "elsewhere" / "file").exists()
    assert stat.S_IMODE((tmp_path / "elsewhere").stat().st_mode) == 0o755


def test_a_written_file_is_the_owners_alone_and_never_replaces_one(tmp_path: Path) -> None:
    write_file(tmp_path / "a.sh", b"#!/bin/sh\n")
    assert stat.S_IMODE((tmp_path / "a.sh").stat().st_mode) == 0o700
    with pytest.raises(FileExistsError):
        write_file(tmp_path / "a.sh", b"")

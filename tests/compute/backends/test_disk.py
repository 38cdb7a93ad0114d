"""Measuring what a run adds to the disk."""

import os
from pathlib import Path

import pytest

from albufera.compute.backends.disk import (
    ENTRY_BYTES,
    DiskWatch,
    Unmeasurable,
    measure,
    measure_unlinked,
)
from albufera.compute.folders import remove_tree

MIB = 2**20


def test_bytes_are_added_up_and_links_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "big").write_bytes(os.urandom(MIB))
    (tmp_path / "run").mkdir()
    before = measure([tmp_path / "run"])
    (tmp_path / "run" / "link").symlink_to(tmp_path / "a")
    assert measure([tmp_path / "run"]) - before <= 4096
    assert measure([tmp_path / "a"]) >= MIB
    assert measure([tmp_path]) >= MIB + measure([tmp_path / "run"])


def test_a_file_with_holes_weighs_what_it_holds(tmp_path: Path) -> None:
    with (tmp_path / "holes").open("wb") as file:
        file.truncate(1000 * MIB)
    assert measure([tmp_path]) < MIB


def test_empty_entries_weigh_something(tmp_path: Path) -> None:
    for number in range(10):
        (tmp_path / str(number)).touch()
    assert measure([tmp_path]) == 10 * ENTRY_BYTES


def test_a_folder_that_is_gone_weighs_nothing(tmp_path: Path) -> None:
    assert measure([tmp_path / "gone"]) == 0


def test_a_folder_too_deep_to_be_named_is_said_to_be_unmeasurable(tmp_path: Path) -> None:
    here = os.open(".", os.O_RDONLY)
    try:
        os.chdir(tmp_path)
        for _ in range(30):
            Path("d" * 200).mkdir()
            os.chdir("d" * 200)
    finally:
        os.fchdir(here)
        os.close(here)
    with pytest.raises(Unmeasurable):
        measure([tmp_path])
    remove_tree(tmp_path)  # deeper than pytest can remove


def test_unlinked_files_are_counted_once(tmp_path: Path) -> None:
    path = tmp_path / "ghost"
    with path.open("wb") as file, path.open("rb"):
        file.write(os.urandom(MIB))
        file.flush()
        path.unlink()
        device = {tmp_path.stat().st_dev}
        assert MIB <= measure_unlinked([os.getpid()], device) < 2 * MIB
        assert measure_unlinked([os.getpid()], set()) == 0


def test_only_growth_counts_against_the_limit(tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(os.urandom(MIB))
    watch = DiskWatch((tmp_path,), MIB, lambda: [])
    watch.note_beginning()
    watch.look()
    assert (watch.added, watch.problem) == (0, "")
    (tmp_path / "new").write_bytes(os.urandom(MIB + 4096))
    watch.look()
    assert watch.added > MIB
    assert "choose a flavour with more disk" in watch.problem

"""The folders of jobs and people."""

import os
import stat
from pathlib import Path

import pytest

from albufera.compute.model import MAX_LISTED_OUTPUTS
from albufera.compute.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    (tmp_path / "jobs").mkdir()
    (tmp_path / "homes").mkdir()
    return Workspace(tmp_path / "jobs", tmp_path / "homes")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_folders_are_private_and_hold_the_attached_files(workspace: Workspace) -> None:
    previous = os.umask(0)
    try:
        folders = workspace.prepare("jo-1", {"a.py": b"1", "b/c.py": b"2"})
    finally:
        os.umask(previous)
    assert [mode(path) for path in (folders.root, folders.work, folders.outputs)] == [0o700] * 3
    assert (folders.work / "a.py").read_bytes() == b"1"
    assert (folders.work / "b" / "c.py").read_bytes() == b"2"
    assert not folders.run.exists()


def test_a_job_is_never_prepared_over_another(workspace: Workspace) -> None:
    workspace.prepare("jo-1", {})
    with pytest.raises(FileExistsError):
        workspace.prepare("jo-1", {})


def test_a_home_persists_and_is_private(workspace: Workspace) -> None:
    home = workspace.home_of("pr-1", "us-1")
    (home / "notes").write_text("mine")
    assert (workspace.home_of("pr-1", "us-1") / "notes").read_text() == "mine"
    assert workspace.home_of("pr-2", "us-1") != home
    assert mode(home) == mode(home.parent) == 0o700


def test_clearing_removes_scratch_alone(workspace: Workspace) -> None:
    folders = workspace.prepare("jo-1", {"a": b""})
    (folders.outputs / "result.csv").write_text("1")
    workspace.clear_scratch("jo-1")
    workspace.clear_scratch("jo-1")
    assert not folders.work.exists()
    assert [item.path for item in workspace.outputs("jo-1")[0]] == ["result.csv"]


def test_the_list_of_outputs_is_bounded(workspace: Workspace) -> None:
    folders = workspace.prepare("jo-1", {})
    for n in range(MAX_LISTED_OUTPUTS):
        (folders.outputs / f"{n:05}").write_text("")
    found, more = workspace.outputs("jo-1")
    assert (len(found), more) == (MAX_LISTED_OUTPUTS, False)
    (folders.outputs / "one more").write_text("")
    found, more = workspace.outputs("jo-1")
    assert (len(found), more) == (MAX_LISTED_OUTPUTS, True)


def test_a_job_without_folders_has_no_outputs(workspace: Workspace) -> None:
    assert workspace.outputs("jo-none") == ([], False)

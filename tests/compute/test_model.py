"""Nouns and rules of jobs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from albufera.compute.model import (
    ENDED,
    JOB_LIFE,
    MAX_ARGUMENTS,
    MAX_ATTACHED_BYTES,
    MAX_ATTACHED_FILES,
    MAX_COMMAND_BYTES,
    JobState,
    check_attachments,
    check_command,
    is_readable_path,
    shown_path,
)
from albufera.kernel.errors import Refusal

EVENTS = ("start", "finish", "fail", "cancel")
LIFE = {
    (JobState.QUEUED, "start"): JobState.RUNNING,
    (JobState.QUEUED, "fail"): JobState.FAILED,
    (JobState.QUEUED, "cancel"): JobState.CANCELLED,
    (JobState.RUNNING, "finish"): JobState.FINISHED,
    (JobState.RUNNING, "fail"): JobState.FAILED,
    (JobState.RUNNING, "cancel"): JobState.CANCELLED,
}


@pytest.mark.parametrize("state", JobState)
@pytest.mark.parametrize("event", EVENTS)
def test_the_life_of_a_job(state: JobState, event: str) -> None:
    wanted = LIFE.get((state, event))
    if wanted is not None:
        assert JOB_LIFE.after(state, event) is wanted
        return
    with pytest.raises(Refusal) as refused:
        JOB_LIFE.after(state, event)
    assert refused.value.code == "wrong-state"


def test_what_has_ended_takes_no_event() -> None:
    assert all(JOB_LIFE.allowed(state) == () for state in ENDED)


@pytest.mark.parametrize(
    "command",
    [
        (),
        ("",),
        ("  ",),
        ("python", "a\0b"),
        ("python", "a\ud800"),
        ("python",) * (MAX_ARGUMENTS + 1),
        ("python", "x" * MAX_COMMAND_BYTES),
        ("python", "é" * (MAX_COMMAND_BYTES // 2)),
    ],
)
def test_commands_that_cannot_be_run(command: tuple[str, ...]) -> None:
    with pytest.raises(Refusal) as refused:
        check_command(command)
    assert refused.value.code == "invalid-input"
    assert refused.value.facts["field"] == "command"


def test_a_command_may_hold_anything_else() -> None:
    check_command(("python", "-c", "print('\x1b[31m é \n ')", ""))


@pytest.mark.parametrize(
    "name",
    [
        "/etc/passwd",
        "../a",
        "a/../b",
        "",
        ".",
        "a/",
        "a\nb",
        "a\n",
        "a\0b",
        "a\x1b[2Jb",
        "\udcffa",
        "x" * 201,
        "é" * 128,
        "a\u202eb",
    ],
)
def test_attached_names_that_cannot_be_placed(name: str) -> None:
    with pytest.raises(Refusal) as refused:
        check_attachments({name: b""})
    assert refused.value.code == "invalid-input"


@pytest.mark.parametrize("names", [("a", "a/b"), ("a", "./a"), ("a/b/c", "a/b"), ("a/b", "a//b")])
def test_attached_names_that_collide(names: tuple[str, str]) -> None:
    with pytest.raises(Refusal):
        check_attachments(dict.fromkeys(names, b""))


def test_attached_files_are_bounded() -> None:
    with pytest.raises(Refusal):
        check_attachments({str(n): b"" for n in range(MAX_ATTACHED_FILES + 1)})
    half = bytes(MAX_ATTACHED_BYTES // 2 + 1)
    with pytest.raises(Refusal):
        check_attachments({"a": half, "b": half})


def test_attached_files_are_placed_by_plain_paths() -> None:
    placed = check_attachments({"./a.py": b"1", "b//c.py": b"2", "d e.txt": b"3"})
    assert placed == {"a.py": b"1", "b/c.py": b"2", "d e.txt": b"3"}


@given(st.text())
def test_a_shown_path_can_be_read_and_stored(path: str) -> None:
    shown = shown_path(path)
    assert is_readable_path(shown)
    shown.encode()
    assert (shown == path) is is_readable_path(path)

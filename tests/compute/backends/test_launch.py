"""What a launch refuses, and that it comes back from disk as it was."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from albufera.compute.backends.rundir import RunDirectory
from albufera.compute.ports import Launch, Limits, Mount

LIMITS = Limits(0.5, 2**28, 60, 32, 2**20)


def _launch(base: Path, **changes: Any) -> Launch:
    made = Launch("job", base / "run", ("true",), base / "h", base / "w", base / "o", LIMITS)
    return dataclasses.replace(made, **changes)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/a", ".hidden", "a\0b", "a" * 129, "-o"])
def test_a_dataset_cannot_be_mounted_elsewhere(name: str) -> None:
    with pytest.raises(ValueError, match="dataset name"):
        Mount(Path("/data"), name)


@pytest.mark.parametrize(
    "changes",
    [
        {"job_id": ""},
        {"command": ()},
        {"command": ("",)},
        {"command": ("a", "b\0c")},
        {"home": Path("relative")},
        {"environment": {"A=B": "x"}},
        {"environment": {"--bind": "x"}},
        {"environment": {"A": "x\0--bind"}},
        {"datasets": (Mount(Path("/a\0--bind"), "a"),)},
        {"datasets": (Mount(Path("/a"), "same"), Mount(Path("/b"), "same"))},
    ],
)
def test_what_no_sandbox_could_run_is_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        _launch(tmp_path, **changes)


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(Limits)])
def test_a_limit_is_more_than_nothing(field: str) -> None:
    with pytest.raises(ValueError, match="greater than zero"):
        dataclasses.replace(LIMITS, **{field: 0})


TEXT = st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]))


@given(arguments=st.lists(TEXT), values=st.dictionaries(st.sampled_from("ABC"), TEXT))
def test_a_launch_comes_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, arguments: list[str], values: dict[str, str]
) -> None:
    base = tmp_path_factory.mktemp("launch")
    mounts = (Mount(base / "data", "set-1"),)
    command = ("run", *arguments)
    launch = _launch(base, command=command, environment=values, datasets=mounts)
    directory = RunDirectory(launch.run_dir)
    directory.record(launch)
    directory.record(launch)
    assert directory.launch() == launch
    assert directory.claim()
    assert not directory.claim()

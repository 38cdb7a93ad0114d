"""Names that become paths: nothing that is accepted can leave the root."""

import os
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from albufera.lake.layout import InstanceKey, InvalidName, inside, instance_path, shard

ANY_NAME = st.one_of(
    st.text(max_size=80),
    st.text(alphabet="./\\a1\0\n-_", max_size=20),
    st.from_regex(r"[0-9.]{1,70}", fullmatch=True),
)


@given(st.text(max_size=300) | st.text(alphabet="./\\ab\0\n", max_size=30))
def test_view_path_is_refused_or_stays_inside(relative: str) -> None:
    try:
        path = inside(relative)
    except InvalidName:
        return
    assert os.path.normpath(f"/view/{path}") == f"/view/{relative}"


@given(ANY_NAME, ANY_NAME, ANY_NAME)
def test_key_is_refused_or_stays_inside(project: str, series: str, instance: str) -> None:
    try:
        path = instance_path(InstanceKey(project, series, instance))
    except InvalidName:
        return
    assert path == PurePosixPath(project, shard(series), series, f"{instance}.dcm")
    assert os.path.normpath(f"/lake/{path}") == f"/lake/{path}"
    assert len(path.parts) == 4


@given(st.integers(min_value=0, max_value=2**128 - 1))
def test_every_uuid_uid_is_a_key(number: int) -> None:
    key = InstanceKey("LUNG", f"2.25.{number}", f"2.25.{number}")
    assert instance_path(key).name == f"2.25.{number}.dcm"


def test_shards_fill_evenly() -> None:
    counts: dict[str, int] = {}
    for number in range(100_000):
        name = shard(f"2.25.{number}")
        counts[name] = counts.get(name, 0) + 1
    assert len(counts) == 4096
    assert max(counts.values()) < 60


def test_refusal_says_what_to_do() -> None:
    with pytest.raises(InvalidName, match="write 1 to 64"):
        InstanceKey("../LUNG", "1", "2")

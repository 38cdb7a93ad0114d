"""Readable folder names: safe, deterministic, apart."""

import re

from hypothesis import given
from hypothesis import strategies as st

from albufera.catalogue.folders import Placed, folder_of, subject_folder

ANY = st.text(max_size=220)
SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


@given(ANY, ANY, ANY, ANY, st.none() | st.integers(-5, 10**9))
def test_any_names_make_safe_folders(
    subject: str, date: str, study: str, series: str, number: int | None
) -> None:
    placed = Placed(subject, "2.25.1", date[:10], study, "2.25.2", number, "CT", series)
    folder = folder_of(placed)
    parts = folder.split("/")
    assert len(parts) == 4
    assert parts[3] == ""
    assert all(SAFE.fullmatch(part) for part in parts[:3])
    assert len(folder) <= 250
    assert folder_of(placed) == folder


def test_series_that_read_alike_stay_apart() -> None:
    one, two = (
        Placed("S", "2.25.1", "2020-01-01", "CT Thorax", uid, 1, "CT", "axial")
        for uid in ("2.25.2", "2.25.3")
    )
    assert folder_of(one) != folder_of(two)
    assert folder_of(one).split("/")[:2] == folder_of(two).split("/")[:2]


def test_a_subject_is_its_pseudonym_unless_that_is_no_name() -> None:
    assert subject_folder("SUBJ-ABC") == "SUBJ-ABC"
    assert subject_folder("a b") != subject_folder("a-b")
    assert "/" not in subject_folder("../etc")

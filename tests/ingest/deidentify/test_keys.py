"""Keyed identities: stable, apart, and valid as what they are."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import UID

from albufera.ingest.deidentify import ProjectKey
from tests.ingest.deidentify.build import KEY

OTHER = ProjectKey(b"another project's secret, also32")


@given(st.text())
def test_pseudonyms_have_one_form(patient_id: str) -> None:
    assert re.fullmatch(r"SUBJ-[A-Z2-7]{12}", KEY.pseudonym(patient_id))


def test_pseudonyms_are_known_values() -> None:
    """Frozen: a change of the scheme would split every subject in two."""
    assert KEY.pseudonym("MRN-1") == "SUBJ-UJVYDHUYL3ZB"
    assert KEY.uid("1.2.3") == "2.25.131329197217966017548620781494243504956"
    assert KEY.day_shift("MRN-1") == -2576


def test_pseudonyms_depend_on_key_patient_and_issuer() -> None:
    names = {
        KEY.pseudonym("MRN-1"),
        KEY.pseudonym("MRN-2"),
        KEY.pseudonym("MRN-1", "HOSPITAL"),
        KEY.pseudonym("MRN-1HOSPITAL"),
        OTHER.pseudonym("MRN-1"),
    }
    assert len(names) == 5


@pytest.mark.parametrize("same", [" MRN-é", "MRN-é ", "MRN-e\u0301", "MRN-é\0"])
def test_patient_ids_are_normalised_alike(same: str) -> None:
    assert KEY.pseudonym(same) == KEY.pseudonym("MRN-é")
    assert KEY.day_shift(same) == KEY.day_shift("MRN-é")


@given(st.text(alphabet="0123456789.", min_size=1, max_size=64))
def test_uids_are_valid_and_under_2_25(original: str) -> None:
    uid = UID(KEY.uid(original))
    assert uid.is_valid
    assert uid.startswith("2.25.")
    assert int(uid[5:]) >> 76 & 0xF == 8
    assert int(uid[5:]).bit_length() <= 128


def test_uids_do_not_collide() -> None:
    assert len({KEY.uid(f"1.2.{number}") for number in range(20_000)}) == 20_000


@given(st.text())
def test_shifts_are_whole_weeks_back(patient_id: str) -> None:
    assert KEY.day_shift(patient_id) in range(-3650, -29)
    assert KEY.day_shift(patient_id) % 7 == 0


def test_shifts_are_spread() -> None:
    shifts = [KEY.day_shift(f"MRN-{number}") for number in range(5_000)]
    assert len(set(shifts)) > 500
    assert min(shifts) < -3500
    assert max(shifts) > -150


def test_the_secret_is_not_shown() -> None:
    assert "secret" not in repr(KEY)


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 16 bytes"):
        ProjectKey(b"short")

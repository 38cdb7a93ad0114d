"""New values for old ones."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from albufera.ingest.deidentify.dates import keep_offset, keep_time, shift_date, shift_datetime
from albufera.ingest.deidentify.values import cap_age, character_set, class_uid, decimal, each

DAYS = st.integers(-3650, -30)


@given(st.dates(date(1850, 1, 1), date(2100, 1, 1)), st.dates(date(1850, 1, 1)), DAYS)
def test_intervals_and_calendar_hold(first: date, second: date, days: int) -> None:
    moved = [shift_date(day.strftime("%Y%m%d").encode(), days) for day in (first, second)]
    back = [date(int(m[:4]), int(m[4:6]), int(m[6:])) for m in moved if m]
    assert back[1] - back[0] == second - first
    assert back[0] - first == timedelta(days=days)


@given(st.binary(max_size=20), DAYS)
def test_what_is_not_a_date_is_not_shifted(value: bytes, days: int) -> None:
    for change in (shift_date, shift_datetime):
        moved = change(value, days)
        assert moved is None or moved[:8].isdigit()


@pytest.mark.parametrize(
    "value", [b"2019", b"201913", b"20190230", b"00000000", b"4 July 2019", b"00010101"]
)
def test_partial_and_impossible_dates(value: bytes) -> None:
    assert shift_date(value, -35) is None
    assert shift_datetime(value, -35) is None


def test_forms_of_dates_and_times() -> None:
    assert shift_date(b"2019.07.04", -35) == b"20190530"
    assert shift_datetime(b"20190704112233.5+0200 ", -35) == b"20190530112233.5+0200"
    assert (
        each(lambda value: shift_date(value, -35))(b"20190704\\20190711") == b"20190530\\20190606"
    )
    assert each(lambda value: shift_date(value, -35))(b"20190704\\Alonso") is None
    assert keep_time(b"112233.123456 ") == b"112233.123456"
    assert keep_time(b"11:22:33") == b"11:22:33"
    assert keep_time(b"Quixano") is None
    assert keep_offset(b"+0200") == b"+0200"
    assert keep_offset(b"La Mancha") is None


@pytest.mark.parametrize(
    ("age", "becomes"),
    [
        (b"034Y", b"034Y"),
        (b"090Y", b"090Y"),
        (b"091Y", b"090Y"),
        (b"104Y", b"090Y"),
        (b"018M", b"018M"),
        (b"34", None),
        (b"34Y Quixano", None),
    ],
)
def test_ages_are_capped(age: bytes, becomes: bytes | None) -> None:
    assert cap_age(age) == becomes


def test_form_of_numbers_uids_and_character_sets() -> None:
    assert decimal(b" 71.5 ") == b"71.5"
    assert decimal(b"1.2e-3") == b"1.2e-3"
    assert decimal(b"71 kg") is None
    assert class_uid(b"1.2.840.10008.5.1.4.1.1.2\0") == b"1.2.840.10008.5.1.4.1.1.2"
    assert class_uid(b"Quixano") is None
    assert character_set(b"ISO_IR 192") == b"ISO_IR 192"
    assert character_set(b"ISO IR 100") == b"ISO_IR 100"
    assert character_set(b"ISO 8859-1") == b"ISO_IR 100"
    assert character_set(b"\\ISO 2022 IR 87") == b"\\ISO 2022 IR 87"
    assert character_set(b"Quixano") is None

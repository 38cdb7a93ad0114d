"""Shifting dates by whole days (PS3.15 §E.3.6, Retain Longitudinal Temporal Information).

Values are bytes, as in the file. A value that is not certainly a date cannot be shifted: the
answer is None, and the caller falls back to the Basic Profile.
"""

import re
from datetime import date, timedelta

_DATE = re.compile(rb"(\d{4})\.?(\d{2})\.?(\d{2})")
_DATETIME = re.compile(rb"(\d{8})((?:\d{2}){0,3}(?:\.\d{1,6})?(?:[+-]\d{4})?)")
_TIME = re.compile(rb"(?:\d{2}(?::?\d{2}(?::?\d{2}(?:\.\d{1,6})?)?)?)?")
_OFFSET = re.compile(rb"[+-]\d{4}")


def shift_date(value: bytes, days: int) -> bytes | None:
    """A DA value (also in the retired form YYYY.MM.DD) moved by `days`, as YYYYMMDD."""
    match = _DATE.fullmatch(value.strip(b" \0"))
    if match is None:
        return None
    try:
        moved = date(*(int(part) for part in match.groups())) + timedelta(days=days)
    except (ValueError, OverflowError):
        return None
    return b"%04d%02d%02d" % (moved.year, moved.month, moved.day)


def shift_datetime(value: bytes, days: int) -> bytes | None:
    """A DT value with at least a day, its date moved by `days` and its time and offset kept."""
    match = _DATETIME.fullmatch(value.strip(b" \0"))
    if match is None:
        return None
    moved = shift_date(match[1], days)
    return None if moved is None else moved + match[2]


def keep_time(value: bytes) -> bytes | None:
    """A TM value as it is: a shift by whole days leaves the time of day."""
    stripped = value.strip(b" \0")
    return stripped if _TIME.fullmatch(stripped) else None


def keep_offset(value: bytes) -> bytes | None:
    """A Timezone Offset From UTC (±hhmm) as it is."""
    stripped = value.strip(b" \0")
    return stripped if _OFFSET.fullmatch(stripped) else None

"""New values for old ones: each function answers bytes, or None where the value admits none."""

import re
from collections.abc import Callable

from pydicom.charset import python_encoding
from pydicom.uid import UID_dictionary  # type: ignore[attr-defined]

from albufera.ingest.deidentify.dates import keep_offset, keep_time, shift_date, shift_datetime
from albufera.ingest.deidentify.keys import ProjectKey
from albufera.ingest.deidentify.rules import Treatment

OLDEST_AGE_YEARS = 90
"""Ages above this are given as this: so few people are older that an age would point at one."""

MAX_UID_LENGTH = 64
MAX_TEXT = 1024
_AGE = re.compile(rb"(\d{3})([DWMY])")
_DECIMAL = re.compile(rb"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?")
_UID = re.compile(r"[0-9.]{1,64}")
_MISSPELT = re.compile(r"ISO[ _-]?(2022|8859)?[ _-]?(?:IR)?[ _-]?(\d{1,3})")
_LATIN = {"1": "100", "2": "101", "3": "109", "4": "110", "5": "144", "6": "127", "7": "126"}

Change = Callable[[bytes], bytes | None]


def decode(value: bytes, character_set: str = "") -> str:
    """Text of a value; bytes that the character set cannot explain are read as Latin-1."""
    first = character_set.split("\\", maxsplit=1)[0].strip()
    try:
        return value.decode(python_encoding.get(first, "ascii"))
    except (UnicodeDecodeError, LookupError):
        return value.decode("latin-1")


def uid_text(value: bytes) -> str:
    """A UID, or something put in its place, without padding."""
    return value.decode("latin-1").strip(" \0")


def cap_age(value: bytes) -> bytes | None:
    """An AS value, at most `OLDEST_AGE_YEARS` years."""
    match = _AGE.fullmatch(value.strip(b" \0"))
    if match is None:
        return None
    if match[2] == b"Y" and int(match[1]) > OLDEST_AGE_YEARS:
        return b"%03dY" % OLDEST_AGE_YEARS
    return match[0]


def one_of(*terms: bytes) -> Change:
    """A CS value that is one of the defined terms."""
    return lambda value: value.strip(b" \0") if value.strip(b" \0") in terms else None


def decimal(value: bytes) -> bytes | None:
    """A DS value that is a number."""
    stripped = value.strip(b" \0")
    return stripped if _DECIMAL.fullmatch(stripped) else None


def class_uid(value: bytes) -> bytes | None:
    """A UID of a kind of thing, if it is a UID at all."""
    text = uid_text(value)
    return text.encode("ascii") if _UID.fullmatch(text) else None


def character_set(value: bytes) -> bytes | None:
    """Specific Character Set with defined terms only; common misspellings are put right."""
    terms = [_defined_term(term.strip()) for term in decode(value).split("\\")]
    if any(term is None for term in terms):
        return None
    return "\\".join(term or "" for term in terms).encode("ascii")


def _defined_term(term: str) -> str | None:
    if term in python_encoding:
        return term
    match = _MISSPELT.fullmatch(term.upper())
    if match is None:
        return None
    number = _LATIN.get(match[2], "") if match[1] == "8859" else match[2]
    spelt = f"ISO 2022 IR {number}" if match[1] == "2022" else f"ISO_IR {number}"
    return spelt if spelt in python_encoding else None


def each(change: Change) -> Change:
    """The change applied to every value of a multi-valued element; one None makes it None."""

    def changed(value: bytes) -> bytes | None:
        results = [part if not part.strip(b" \0") else change(part) for part in value.split(b"\\")]
        return None if None in results else b"\\".join(result or b"" for result in results)

    return changed


def keep(value: bytes) -> bytes | None:
    """The value as it is."""
    return value


def changes(key: ProjectKey, days: int) -> dict[Treatment, Change]:
    """The change for each treatment that needs the value; `days` is the subject's date shift."""

    def uid(value: bytes) -> bytes:
        text = uid_text(value)
        return (text if text in UID_dictionary else key.uid(text)).encode("ascii")

    return {
        Treatment.KEEP: keep,
        Treatment.UID: each(uid),
        Treatment.CLASS_UID: each(class_uid),
        Treatment.CHARACTER_SET: character_set,
        Treatment.DATE: each(lambda value: shift_date(value, days)),
        Treatment.DATETIME: each(lambda value: shift_datetime(value, days)),
        Treatment.TIME: each(keep_time),
        Treatment.OFFSET: keep_offset,
        Treatment.AGE: each(cap_age),
        Treatment.SEX: one_of(b"M", b"F", b"O", b""),
        Treatment.DECIMAL: decimal,
        Treatment.YES_NO: one_of(b"YES", b"NO", b"UNKNOWN", b""),
        Treatment.ALTERATION: one_of(b"ALTERED", b"UNALTERED", b""),
    }

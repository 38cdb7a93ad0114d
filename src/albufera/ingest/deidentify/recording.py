"""Saying in the object that, and how, it was de-identified (PS3.15 §E.1.1, PS3.3 §C.7.1.1)."""

from albufera.ingest.deidentify.codec import Encoding
from albufera.ingest.deidentify.profile import Code, Profile
from albufera.ingest.deidentify.rewrite import Parts

ENGINE = "Albufera 1"
METHOD_CODES = 0x00120064


def record(parts: Parts, profile: Profile, pseudonym: str, encoding: Encoding) -> None:
    """Put the subject's pseudonym and the record of what was done into the cleaned data set.

    Whatever an earlier de-identification recorded is replaced: it cannot be vouched for.
    """
    method = f"{ENGINE}: PS3.15 {profile.edition} Annex E, {profile.name}"
    codes = b"".join(_item(code, encoding) for code in profile.codes)
    for tag, vr, value in (
        (0x00100010, "PN", pseudonym.encode("ascii")),
        (0x00100020, "LO", pseudonym.encode("ascii")),
        (0x00120062, "CS", b"YES"),
        (0x00120063, "LO", method[:64].encode("ascii", "replace")),
        (METHOD_CODES, "SQ", codes),
        (0x00280303, "CS", profile.temporal.encode("ascii")),
    ):
        parts[tag] = encoding.write(tag, vr, value)


def _item(code: Code, encoding: Encoding) -> bytes:
    return encoding.write_item(
        encoding.write(0x00080100, "SH", code.value.encode("ascii"))
        + encoding.write(0x00080102, "SH", b"DCM")
        + encoding.write(0x00080104, "LO", code.meaning.encode("ascii"))
    )

"""What is done to an element, given its tag and VR: the table and the profile, applied.

Compound codes are resolved by one rule that keeps attributes of type 1 and 2 present and valid
whatever the object: of an ordinary attribute the strongest action is taken (D before Z before X);
of a sequence the one that leaves nothing behind but keeps the attribute where Z is allowed (Z,
else X, else D); X/Z/U* keeps the sequence and replaces the UIDs inside it.

Beyond the table, and stricter than it: private and unknown attributes, group lengths, curves and
overlays, retired pixel groups and pixels inside sequences are removed; every person name is
emptied; dates and UIDs without a row are treated as if they had one.
"""

from enum import Enum, auto
from typing import NamedTuple

from pydicom.datadict import DicomDictionary, dictionary_VR  # type: ignore[attr-defined]

from albufera.ingest.deidentify.codec import BINARY_VRS, TEXT_VRS
from albufera.ingest.deidentify.profile import Option, Profile
from albufera.ingest.deidentify.table import Row, Table, shipped
from albufera.ingest.deidentify.walker import PIXEL_TAGS


class Treatment(Enum):
    """How an element's value is dealt with; the values are described in `values.py`."""

    REMOVE = auto()
    EMPTY = auto()
    DUMMY = auto()
    UID = auto()
    CLASS_UID = auto()
    PATIENT_ID = auto()
    KEEP = auto()
    ITEMS = auto()
    CHARACTER_SET = auto()
    DATE = auto()
    DATETIME = auto()
    TIME = auto()
    OFFSET = auto()
    AGE = auto()
    SEX = auto()
    DECIMAL = auto()
    YES_NO = auto()
    ALTERATION = auto()


class Ruling(NamedTuple):
    """The treatment of an element and what it is counted as.

    `fallback` is the Basic Profile's treatment, taken when the value does not admit the first
    one. `vr` is the VR that a replaced value is written in.
    """

    treatment: Treatment
    counted: str
    vr: str
    fallback: Treatment = Treatment.REMOVE


PATIENT_ID = 0x00100020
LENGTH_TO_END = 0x00080001
CHARACTER_SET = 0x00080005
REMOVED_GROUPS = frozenset({0x0000, 0x0002})
"""Command and file meta elements: they have no place in a stored data set (PS3.10 §7.1)."""

REPEATING_GROUPS = frozenset({0x0020, 0x0028, 0x1000, 0x1010})
CLASS_UID_TAGS = frozenset(
    {
        0x00080016,  # SOP Class UID
        0x0008001A,  # Related General SOP Class UID
        0x0008001B,  # Original Specialized SOP Class UID
        0x00080062,  # SOP Classes in Study
        0x0008010C,  # Coding Scheme UID
        0x00080117,  # Context UID
        0x00080118,  # Mapping Resource UID
        0x00081150,  # Referenced SOP Class UID
        0x0008115A,  # SOP Classes Supported
        0x00083002,  # Available Transfer Syntax UID
    }
)
"""UIDs of kinds of things, not of things: they identify nobody."""

_SHIFTED = {"DA": Treatment.DATE, "DT": Treatment.DATETIME, "TM": Treatment.TIME}
_CHARACTERISTICS = {
    0x00100040: Treatment.SEX,
    0x00101010: Treatment.AGE,
    0x0072005F: Treatment.AGE,
    0x00101020: Treatment.DECIMAL,
    0x00101030: Treatment.DECIMAL,
    0x001021A0: Treatment.YES_NO,
    0x00102203: Treatment.ALTERATION,
}
_TIMEZONE_OFFSET = 0x00080201
_CACHED = 50_000


def dictionary_vr(tag: int) -> str:
    """The VR that PS3.6 gives, "" for a tag it does not list, several joined by " or "."""
    entry = DicomDictionary.get(tag)
    if entry is not None:
        return str(entry[0])
    if tag >> 16 not in REPEATING_GROUPS:
        return ""
    try:
        return dictionary_VR(tag)
    except KeyError:
        return ""


def resolve(code: str, vr: str) -> Treatment:
    """The treatment for a Basic Profile code, compound ones by the rule stated above.

    The dummy of a UID is a keyed one, so that those of one object stay distinct.
    """
    if code == "U" or (code == "D" and vr == "UI"):
        return Treatment.UID
    if code.endswith("U*"):
        return Treatment.ITEMS
    order = "ZXD" if vr == "SQ" else "DZX"
    action = next(action for action in order if action in code.split("/"))
    return {"X": Treatment.REMOVE, "Z": Treatment.EMPTY, "D": Treatment.DUMMY}[action]


class Rules:
    """The rulings of one profile, remembered as they are made."""

    def __init__(self, profile: Profile, table: Table | None = None) -> None:
        self._profile = profile
        self._table = table or shipped()
        self._made: dict[tuple[int, str], Ruling] = {}

    def ruling(self, tag: int, vr: str) -> Ruling:
        """What to do with `tag` written in `vr` ("" in Implicit VR)."""
        if tag >> 16 & 1:
            return _PRIVATE
        made = self._made.get((tag, vr))
        if made is None:
            if len(self._made) > _CACHED:
                self._made.clear()
            made = self._made[tag, vr] = self._rule(tag, vr)
        return made

    def _rule(self, tag: int, written: str) -> Ruling:
        group, listed = tag >> 16, dictionary_vr(tag)
        row = self._table.row(tag)
        if not tag & 0xFFFF or group in REMOVED_GROUPS or tag == LENGTH_TO_END:
            return Ruling(Treatment.REMOVE, "X", "")
        if group >> 8 in (0x50, 0x60, 0x7F) and (group != 0x7FE0 or tag in PIXEL_TAGS):  # noqa: PLR2004
            return Ruling(Treatment.REMOVE, "X", "")
        vr = _settled(listed, written)
        if row is not None:
            ruling = self._by_row(tag, vr, row)
        elif not listed:
            ruling = Ruling(Treatment.REMOVE, "unknown", "")
        else:
            ruling = self._without_row(tag, vr)
        if ruling.treatment in (Treatment.KEEP, Treatment.ITEMS) and _contradicts(vr, written):
            return Ruling(Treatment.REMOVE, "unknown", vr)
        return ruling

    def _by_row(self, tag: int, vr: str, row: Row) -> Ruling:
        if tag == PATIENT_ID:
            return Ruling(Treatment.PATIENT_ID, "D", vr)
        basic = resolve(row.basic, vr)
        counted = _COUNTED[basic]
        retained = self._profile.retained(row)
        if retained is None:
            return Ruling(basic, counted, vr, basic)
        option, code = retained
        if option is Option.MODIFIED_DATES:
            treatment = Treatment.OFFSET if tag == _TIMEZONE_OFFSET else _SHIFTED.get(vr)
            return Ruling(treatment, "C", vr, basic) if treatment else Ruling(basic, counted, vr)
        if code == "K":
            return Ruling(_CHARACTERISTICS.get(tag, Treatment.KEEP), "K", vr, basic)
        return Ruling(basic, counted, vr, basic)

    def _without_row(self, tag: int, vr: str) -> Ruling:
        if tag == CHARACTER_SET:
            return Ruling(Treatment.CHARACTER_SET, "kept", vr)
        if vr == "PN":
            return Ruling(Treatment.EMPTY, "Z", vr)
        if vr == "UI":
            keep = tag in CLASS_UID_TAGS
            return Ruling(
                Treatment.CLASS_UID if keep else Treatment.UID, "kept" if keep else "U", vr
            )
        if vr in _SHIFTED:
            if Option.MODIFIED_DATES in self._profile.options:
                return Ruling(_SHIFTED[vr], "C", vr, Treatment.EMPTY)
            return Ruling(Treatment.EMPTY, "Z", vr)
        return Ruling(Treatment.ITEMS if vr == "SQ" else Treatment.KEEP, "kept", vr)


_PRIVATE = Ruling(Treatment.REMOVE, "private", "")
_COUNTED = {
    Treatment.REMOVE: "X",
    Treatment.EMPTY: "Z",
    Treatment.DUMMY: "D",
    Treatment.UID: "U",
    Treatment.ITEMS: "U",
}


def _settled(listed: str, written: str) -> str:
    """One VR: the dictionary's, else (ambiguous or unlisted) the one written, else a guess."""
    if listed and " or " not in listed:
        return listed
    if written and written != "UN":
        return written
    return listed.rsplit(" or ", maxsplit=1)[-1] if listed else "UN"


def _contradicts(vr: str, written: str) -> bool:
    """Whether the VR written makes the value something else than the dictionary's VR."""
    if written in ("", "UN", vr):
        return False
    return not any({vr, written} <= kind for kind in (TEXT_VRS, BINARY_VRS))

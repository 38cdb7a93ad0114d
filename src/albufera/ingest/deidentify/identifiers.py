"""The self-check: the direct identifiers an object came with must not be in what goes out.

Originals are gathered while the object is cleaned, and looked for in the bytes written: first all
at once, and only where something is found, element by element, to tell a survivor from a
coincidence (a number among numbers) and to name the attribute.
"""

import re
from collections.abc import Iterator

from pydicom.datadict import keyword_for_tag

from albufera.ingest.deidentify.codec import ITEM_END, SEQUENCE_END, TEXT_VRS, UNDEFINED, Encoding
from albufera.ingest.deidentify.errors import unclean
from albufera.ingest.deidentify.rules import dictionary_vr
from albufera.ingest.deidentify.source import Source
from albufera.ingest.deidentify.walker import Walker, inner_encoding

SHORTEST = 4
DISTINCTIVE = 6
"""Length from which an identifier is looked for inside words and numbers too."""

MOST_NEEDLES = 200
LONGEST = 256
NAME_TAGS = frozenset(
    {
        0x00100010,  # Patient's Name
        0x00101001,  # Other Patient Names
        0x00101005,  # Patient's Birth Name
        0x00101060,  # Patient's Mother's Birth Name
        0x00102297,  # Responsible Person
        0x00080090,  # Referring Physician's Name
        0x0008009C,  # Consulting Physician's Name
        0x00081048,  # Physician(s) of Record
        0x00081050,  # Performing Physician's Name
        0x00081060,  # Name of Physician(s) Reading Study
        0x00081070,  # Operators' Name
        0x00321032,  # Requesting Physician
    }
)
WHOLE_TAGS = frozenset(
    {
        0x00100020,  # Patient ID
        0x00101000,  # Other Patient IDs
        0x00100030,  # Patient's Birth Date
        0x00101040,  # Patient's Address
        0x00102154,  # Patient's Telephone Numbers
        0x00080050,  # Accession Number
        0x00080080,  # Institution Name
        0x00080081,  # Institution Address
        0x00380010,  # Admission ID
    }
)
PLACE_TAGS = frozenset({0x00080080, 0x00080081})
MAKER_TAGS = frozenset({0x00080070, 0x00081090})
"""Manufacturer and its model: a maker's test scan names the maker as the institution."""

COUNTING = b"012345678901234567890"
"""Numbers that are part of this are placeholders; as series numbers they say nothing."""

IDENTIFYING_TAGS = NAME_TAGS | WHOLE_TAGS
OTHER_PATIENT_IDS = 0x00101002
"""A removed sequence that is read first, because it holds identifiers to look for."""

COMMON_WORDS = frozenset(
    rb"""
    ABDOMEN ANON ANONYMIZED ANONYMOUS AXIAL BRAIN BREAST BRIEF CASE CHEST CLINIC CODE COIL COMPLEX
    CONTRAST CORONAL CTRL DATA DEFAULT DEMO DERIVED DOCTOR DOSE DYNAMIC EMPTY FEMALE FIELD FIRST
    FRAME GENERAL HAND HEAD HEART HOSPITAL IMAGE KNEE LABEL LEFT LINEAR LIVER LONG LUNG MALE MANUAL
    MEDICAL MODEL MONO NAME NECK NONE NORMAL NULL NUMBER ORIGINAL OTHER PATIENT PELVIS PHANTOM PHASE
    PHYSICIAN PLAN PLANE PRIMARY PRONE PROSTATE PROTOCOL RADIOLOGY READ RELATIVE REMOVED RESEARCH
    RIGHT SAGITTAL SAMPLE SCAN SCANNER SECOND SERIES SHORT SINGLE SLICE SPINE STANDARD STUDY SUBJECT
    SUPINE SYSTEM TEST TESTING THORAX TRIAL TRUE UNIT UNKNOWN UNSPECIFIED VALUE VOLUME YOUNG
    """.split()
)
WRITTEN_BY_US = frozenset({0x00100010, 0x00100020, 0x00120063, 0x00120064})
_NEVER = frozenset({"DA", "DT", "TM", "UI", "SQ"})
"""VRs whose values are replaced or checked for form: what they hold is ours or a time of day."""

_NUMERIC = frozenset({"DS", "IS"})
_COUNTS = frozenset({"AT", "FD", "FL", "SL", "SS", "SV", "UL", "US", "UV", "OD", "OF", "OL", "OV"})
_SEPARATORS = re.compile(rb"[\^=\s,;.()]+")


class Identifiers:
    """The originals of one object."""

    def __init__(self) -> None:
        self._needles: set[bytes] = set()
        self._places: set[bytes] = set()

    def note(self, tag: int, value: bytes) -> None:
        """Remember what an identifying attribute held."""
        for part in value[: 64 * 1024].split(b"\\"):
            words = _SEPARATORS.split(part) if tag in NAME_TAGS else [part]
            for word in words:
                if self._is_telling(word := word.strip(b" \0").upper()):
                    (self._places if tag in PLACE_TAGS else self._needles).add(word)

    def _is_telling(self, word: bytes) -> bool:
        room = len(self._needles) + len(self._places) < MOST_NEEDLES
        usable = SHORTEST <= len(word) <= LONGEST and len(set(word)) > 1
        return room and usable and word not in COMMON_WORDS

    def check(self, written: bytes, start: int, encoding: Encoding) -> None:
        """Look for the originals in the cleaned data set that begins at `start` of `written`.

        Raises:
            Unclean: `identifier-survived`, naming the attribute.
        """
        wanted = self._needles | self._places
        if not wanted:
            return
        anywhere = b"|".join(re.escape(needle) for needle in sorted(wanted))
        if re.compile(anywhere, re.IGNORECASE).search(written, start) is None:
            return
        walker = Walker(Source.of(written))
        for tag, vr, value in leaves(walker, start, len(written), encoding):
            if tag in WRITTEN_BY_US or vr in _NEVER or vr in _COUNTS:
                continue
            needles = self._needles if tag in MAKER_TAGS else wanted
            if any(_is_survivor(needle, vr, value.upper()) for needle in needles):
                raise unclean("identifier-survived", keyword_for_tag(tag) or f"{tag:08X}")


def _is_survivor(needle: bytes, vr: str, shown: bytes) -> bool:
    if needle not in shown:
        return False
    whole = rb"(?<![0-9A-Z])" + re.escape(needle) + rb"(?![0-9A-Z])"
    if vr in _NUMERIC:
        telling = len(needle) >= DISTINCTIVE and needle not in COUNTING
        return telling and re.search(whole, shown) is not None
    if vr in TEXT_VRS:
        return len(needle) >= DISTINCTIVE or re.search(whole, shown) is not None
    return len(needle) >= DISTINCTIVE


def leaves(
    walker: Walker, at: int, end: int | None, encoding: Encoding
) -> Iterator[tuple[int, str, bytes]]:
    """Tag, VR and value of every element that is not a sequence, at every depth.

    For data sets the engine wrote: sequences of VR SQ have a defined length, of VR UN none.
    """
    while end is None or at < end:
        element = walker.element(at, encoding, end)
        if element.tag in (ITEM_END, SEQUENCE_END):
            return
        vr = element.vr or dictionary_vr(element.tag)
        close = walker.end_of(element, encoding, 0, end)
        if vr == "SQ" or element.length == UNDEFINED:
            yield from _items(walker, element.value, close, inner_encoding(element.vr, encoding))
        else:
            yield element.tag, vr, bytes(walker.source.buffer[element.value : close])
        at = close


def _items(
    walker: Walker, at: int, end: int, encoding: Encoding
) -> Iterator[tuple[int, str, bytes]]:
    while at < end:
        item = walker.element(at, encoding, end)
        if item.tag == SEQUENCE_END:
            return
        close = walker.end_of_item(item, end)
        yield from leaves(walker, item.value, close, encoding)
        at = close

"""Dummy values for action D: valid for their VR, the same for everyone (PS3.15 §E.3)."""

from albufera.ingest.deidentify.codec import Encoding

REMOVED = b"REMOVED"

BY_VR = {
    "AE": REMOVED,
    "AS": b"000Y",
    "CS": REMOVED,
    "DA": b"19000101",
    "DS": b"0",
    "DT": b"19000101000000",
    "IS": b"0",
    "LO": REMOVED,
    "LT": REMOVED,
    "PN": REMOVED,
    "SH": REMOVED,
    "ST": REMOVED,
    "TM": b"000000",
    "UC": REMOVED,
    "UR": b"urn:removed",
    "UT": REMOVED,
}
_SIZES = {"SL": 4, "UL": 4, "FL": 4, "OF": 4, "OL": 4, "AT": 4, "FD": 8, "OD": 8, "OV": 8}
_SIZES |= {"SV": 8, "UV": 8}

_CODE = (
    (0x00080100, "SH", REMOVED),
    (0x00080102, "SH", b"99ALBUFERA"),
    (0x00080104, "LO", b"Removed"),
)
_OBSERVER = (
    (0x0040A027, "LO", REMOVED),
    (0x0040A030, "DT", b"19000101000000"),
    (0x0040A075, "PN", REMOVED),
    (0x0040A088, "SQ", b""),
)
_TEXT_CONTENT = (
    (0x0040A010, "CS", b"CONTAINS"),
    (0x0040A040, "CS", b"TEXT"),
    (0x0040A160, "UT", REMOVED),
)
_GRAPHIC = ((0x00700002, "CS", REMOVED),)
_FLOW = ((0x00340001, "SQ", b""), (0x00340002, "OB", b"\0\0"))

ITEMS = {
    0x0040A730: _TEXT_CONTENT,  # Content Sequence
    0x0040A073: _OBSERVER,  # Verifying Observer Sequence
    0x00700001: _GRAPHIC,  # Graphic Annotation Sequence
    0x00340001: _FLOW,  # Flow Identifier Sequence
}
"""The one item of a dummy sequence; other sequences hold a code."""


def value(tag: int, vr: str, encoding: Encoding) -> bytes:
    """A dummy for the attribute: for VR SQ the bytes of one item in `encoding`."""
    if vr == "SQ":
        return item(ITEMS.get(tag, _CODE), encoding)
    return BY_VR.get(vr) or bytes(_SIZES.get(vr, 2))


def item(elements: tuple[tuple[int, str, bytes], ...], encoding: Encoding) -> bytes:
    """The bytes of an item that holds the given elements (tag, VR, value) in ascending order."""
    return encoding.write_item(b"".join(encoding.write(*element) for element in elements))

"""How elements are laid out in bytes (PS3.5 §7.1): reading a header, writing an element.

Values are never converted: what is kept is copied byte for byte, in the encoding it came in.
"""

import struct
from dataclasses import dataclass
from typing import NamedTuple

from albufera.ingest.deidentify.errors import unreadable

UNDEFINED = 0xFFFFFFFF
ITEM = 0xFFFEE000
ITEM_END = 0xFFFEE00D
SEQUENCE_END = 0xFFFEE0DD
DELIMITER_GROUP = 0xFFFE
LONG_VALUE = 0xFFFE
"""The longest value that an explicit VR with a 16-bit length can hold."""


def _vrs(names: str) -> frozenset[str]:
    return frozenset(names.split())


LONG_VRS = _vrs("OB OD OF OL OV OW SQ SV UC UN UR UT UV")
TEXT_VRS = _vrs("AE AS CS DA DS DT IS LO LT PN SH ST TM UC UI UR UT")
BINARY_VRS = _vrs("AT FD FL OB OD OF OL OV OW SL SS SV UL UN US UV")
FRAGMENT_VRS = _vrs("OB OD OF OL OV OW")
VRS = TEXT_VRS | BINARY_VRS | {"SQ"}
_VR_NAMES = {vr.encode("ascii"): vr for vr in VRS}


Value = bytes | bytearray | memoryview


class Element(NamedTuple):
    """Where one element lies: its VR is "" in Implicit VR; `length` may be `UNDEFINED`."""

    tag: int
    vr: str
    length: int
    start: int
    value: int


@dataclass(frozen=True, slots=True)
class Encoding:
    """Implicit or explicit VR, and the byte order: `<` or `>`."""

    implicit: bool
    order: str

    def read(self, buffer: bytes | bytearray, at: int) -> Element:
        """The element whose header starts at `at`; 8 bytes must be there, 12 for a long VR.

        Raises:
            Unreadable: `bad-vr`.
        """
        group, number = struct.unpack_from(self.order + "HH", buffer, at)
        tag = group << 16 | number
        if self.implicit or group == DELIMITER_GROUP:
            (length,) = struct.unpack_from(self.order + "L", buffer, at + 4)
            return Element(tag, "", length, at, at + 8)
        vr = _VR_NAMES.get(bytes(buffer[at + 4 : at + 6]))
        if vr is None:
            raise unreadable("bad-vr")
        if vr in LONG_VRS:
            (length,) = struct.unpack_from(self.order + "L", buffer, at + 8)
            return Element(tag, vr, length, at, at + 12)
        (length,) = struct.unpack_from(self.order + "H", buffer, at + 6)
        return Element(tag, vr, length, at, at + 8)

    def header_size(self, buffer: bytes | bytearray, at: int) -> int:
        """Bytes that the header starting at `at` takes; 8 bytes must be there."""
        if self.implicit or _VR_NAMES.get(bytes(buffer[at + 4 : at + 6])) not in LONG_VRS:
            return 8
        return 12

    def write_header(self, tag: int, vr: str, length: int) -> bytes:
        """Tag, VR and length; reserved bytes are zero."""
        pair = (tag >> 16, tag & 0xFFFF)
        if self.implicit or pair[0] == DELIMITER_GROUP:
            return struct.pack(self.order + "HHL", *pair, length)
        name = vr.encode("ascii")
        if vr in LONG_VRS:
            return struct.pack(self.order + "HH2sHL", *pair, name, 0, length)
        return struct.pack(self.order + "HH2sH", *pair, name, length)

    def write(self, tag: int, vr: str, value: Value) -> bytes:
        """A whole element; an odd value is padded as its VR asks (PS3.5 §6.2)."""
        pad = b""
        if len(value) % 2:
            pad = b" " if vr in TEXT_VRS and vr != "UI" else b"\0"
        return b"".join((self.write_header(tag, vr, len(value) + len(pad)), value, pad))

    def write_item(self, body: bytes) -> bytes:
        """An item of defined length."""
        return self.write_header(ITEM, "", len(body)) + body

    def number(self, value: bytes) -> int | None:
        """A US value as an integer, or None when it is not one."""
        return int(struct.unpack(self.order + "H", value)[0]) if len(value) == 2 else None  # noqa: PLR2004


IMPLICIT_LITTLE = Encoding(implicit=True, order="<")
EXPLICIT_LITTLE = Encoding(implicit=False, order="<")
EXPLICIT_BIG = Encoding(implicit=False, order=">")

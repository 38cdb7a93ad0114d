"""The file around the data set (PS3.10 §7): finding DICOM, reading and rebuilding its meta."""

import os
import struct
from dataclasses import dataclass
from typing import BinaryIO

from pydicom.uid import UID_dictionary  # type: ignore[attr-defined]

from albufera.ingest.deidentify.codec import (
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    UNDEFINED,
    VRS,
    Encoding,
)
from albufera.ingest.deidentify.errors import Unreadable, unreadable
from albufera.ingest.deidentify.rules import dictionary_vr
from albufera.ingest.deidentify.source import Inflater, Source
from albufera.ingest.deidentify.values import uid_text

PREAMBLE = bytes(128)
"""Zeros: a preamble may carry anything, for one the header of a TIFF file."""

PREFIX = b"DICM"
IMPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2"
EXPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2.1.99"
EXPLICIT_VR_BIG_ENDIAN = "1.2.840.10008.1.2.2"
NATIVE = frozenset({IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN})
DICOMDIR = "1.2.840.10008.1.3.10"
UNSUPPORTED = (
    "1.2.840.10008.1.2.4.94",  # JPIP Referenced: the pixels are elsewhere
    "1.2.840.10008.1.2.4.95",
    "1.2.840.10008.1.2.4.204",
    "1.2.840.10008.1.2.4.205",
    "1.2.840.10008.1.2.6.",  # MIME, XML
    "1.2.840.10008.1.2.7.",  # SMPTE ST 2110 streams
    "1.2.840.10008.1.20",  # Papyrus
)
NEWER = frozenset({"1.2.840.10008.1.2.4.110", "1.2.840.10008.1.2.4.111", "1.2.840.10008.1.2.4.112"})
"""JPEG XL, which the dictionary in use may not list yet."""

IMPLEMENTATION_CLASS_UID = "2.25.120309894273448767754001578145266193455"
IMPLEMENTATION_VERSION = b"ALBUFERA_DEID_1"
MAX_META_VALUE = 64 * 1024
_MEDIA_STORAGE_SOP_CLASS = 0x00020002
_TRANSFER_SYNTAX = 0x00020010
_META_GROUP = 0x0002
_MOST_IMPLICIT = 1 << 16
_FIRST_GROUPS = (0x0002, 0x0008, 0x0010)


@dataclass(frozen=True, slots=True)
class Opened:
    """A data set ready to be walked: it begins at `start` of `source`."""

    source: Source
    start: int
    encoding: Encoding
    transfer_syntax: str
    """That of the output: a deflated data set is written inflated."""


def looks_like_dicom(head: bytes) -> bool:
    """Whether a file that begins with `head` is DICOM, judged by content (1 KiB is plenty).

    True for the DICM prefix, and for bare data sets: two plausible elements in a row, the first
    of group 0002, 0008 or 0010.
    """
    if head[128:132] == PREFIX or head[:4] == PREFIX:
        return True
    for encoding in (EXPLICIT_LITTLE, IMPLICIT_LITTLE, EXPLICIT_BIG):
        first = _plausible(head, 0, encoding)
        if first is None or first[0] >> 16 not in _FIRST_GROUPS:
            continue
        if first[1] + 8 > len(head):
            return first[1] <= _MOST_IMPLICIT and len(head) >= PREFIX_END
        second = _plausible(head, first[1], encoding)
        if second is not None and second[0] > first[0]:
            return True
    return False


PREFIX_END = 132


def _plausible(head: bytes, at: int, encoding: Encoding) -> tuple[int, int] | None:
    """Tag and end of the element at `at`, if the dictionary agrees with what is written there."""
    if len(head) < at + 12:
        return None
    try:
        element = encoding.read(bytearray(head[at : at + 12]), 0)
    except Unreadable:
        return None
    listed = dictionary_vr(element.tag)
    known = bool(listed) or element.tag & 0xFFFF == 0 or bool(element.tag >> 16 & 1)
    if not known or (listed and element.vr and element.vr not in (*listed.split(" or "), "UN")):
        return None
    if element.length == UNDEFINED:
        return None if element.vr not in ("SQ", "UN", "") else (element.tag, at + element.value)
    if encoding.implicit and element.length > _MOST_IMPLICIT:
        return None
    return element.tag, at + element.value + element.length


def open_object(stream: BinaryIO) -> Opened:
    """Find the data set in a file.

    Raises:
        Unreadable: `empty`, `not-dicom`, `dicomdir`, `transfer-syntax-unsupported`,
            `transfer-syntax-mismatch` and those of reading elements.
    """
    size = stream.seek(0, os.SEEK_END)
    stream.seek(0)
    if size == 0:
        raise unreadable("empty")
    source = Source(stream.read, size)
    source.need(min(size, 1024))
    start = _after_prefix(bytes(source.buffer[:1024]))
    meta, start = _read_meta(source, start)
    if meta.get(_MEDIA_STORAGE_SOP_CLASS) == DICOMDIR:
        raise unreadable("dicomdir")
    stated = meta.get(_TRANSFER_SYNTAX, "")
    if stated == DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN:
        inflated = Source(Inflater(source.rest_from(start)).read, None)
        return Opened(inflated, 0, EXPLICIT_LITTLE, EXPLICIT_VR_LITTLE_ENDIAN)
    return _settle(source, start, stated)


def _after_prefix(head: bytes) -> int:
    if head[128:132] == PREFIX:
        return PREFIX_END
    if head[:4] == PREFIX:
        return len(PREFIX)
    if looks_like_dicom(head):
        return 0
    raise unreadable("not-dicom")


def _read_meta(source: Source, at: int) -> tuple[dict[int, str], int]:
    """The UIDs of the file meta information (always Explicit VR Little Endian), and its end."""
    found: dict[int, str] = {}
    while not source.at_end(at):
        source.need(at + 8)
        if struct.unpack_from("<H", source.buffer, at)[0] != _META_GROUP:
            break
        source.need(at + EXPLICIT_LITTLE.header_size(source.buffer, at))
        element = EXPLICIT_LITTLE.read(source.buffer, at)
        if element.length > MAX_META_VALUE:
            raise unreadable("bad-length")
        at = element.value + element.length
        source.need(at)
        if element.vr == "UI":
            found[element.tag] = uid_text(bytes(source.buffer[element.value : at]))
    return found, at


def _settle(source: Source, start: int, stated: str) -> Opened:
    """Compare the transfer syntax stated with what the first element shows."""
    if stated and (stated.startswith(UNSUPPORTED) or not _is_transfer_syntax(stated)):
        raise unreadable("transfer-syntax-unsupported")
    seen = _seen(source, start)
    if seen is None:
        raise unreadable("truncated")
    encoding, native = seen
    expected = {
        IMPLICIT_VR_LITTLE_ENDIAN: IMPLICIT_LITTLE,
        EXPLICIT_VR_BIG_ENDIAN: EXPLICIT_BIG,
    }.get(stated, EXPLICIT_LITTLE)
    if not stated:
        return Opened(source, start, encoding, native)
    if encoding == expected:
        return Opened(source, start, encoding, stated)
    if stated not in NATIVE:
        raise unreadable("transfer-syntax-mismatch")
    return Opened(source, start, encoding, native)


def _is_transfer_syntax(uid: str) -> bool:
    return uid in NEWER or UID_dictionary.get(uid, ("", ""))[1] == "Transfer Syntax"


def _seen(source: Source, start: int) -> tuple[Encoding, str] | None:
    """The native encoding that the data set's first element is written in."""
    if source.at_end(start):
        return None
    source.need(start + 8)
    head = bytes(source.buffer[start : start + 6])
    if head[4:6].decode("latin-1") not in VRS:
        return IMPLICIT_LITTLE, IMPLICIT_VR_LITTLE_ENDIAN
    little, big = (struct.unpack(order + "H", head[:2])[0] for order in "<>")
    if big < little:
        return EXPLICIT_BIG, EXPLICIT_VR_BIG_ENDIAN
    return EXPLICIT_LITTLE, EXPLICIT_VR_LITTLE_ENDIAN


def write_head(sop_class: str, instance: str, transfer_syntax: str) -> bytes:
    """Preamble, prefix and file meta information, built anew (PS3.10 §7.1)."""
    elements = (
        (0x00020001, "OB", b"\0\1"),
        (0x00020002, "UI", sop_class.encode("ascii")),
        (0x00020003, "UI", instance.encode("ascii")),
        (0x00020010, "UI", transfer_syntax.encode("ascii")),
        (0x00020012, "UI", IMPLEMENTATION_CLASS_UID.encode("ascii")),
        (0x00020013, "SH", IMPLEMENTATION_VERSION),
    )
    body = b"".join(EXPLICIT_LITTLE.write(*element) for element in elements)
    length = EXPLICIT_LITTLE.write(0x00020000, "UL", struct.pack("<L", len(body)))
    return PREAMBLE + PREFIX + length + body

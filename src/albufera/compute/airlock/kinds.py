"""What kind a file is, told by its first bytes and never by its name."""

import codecs
import json

HEAD = 4096

_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"GIF8", "gif"),
    (b"%PDF-", "pdf"),
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (b"\x1f\x8b", "gzip"),
    (b"\x93NUMPY", "numpy"),
    (b"\x89HDF\r\n\x1a\n", "hdf5"),
    (b"II*\x00", "tiff"),
    (b"MM\x00*", "tiff"),
    (b"\x7fELF", "program"),
    (b"SQLite format 3\x00", "sqlite"),
    (b"PAR1", "parquet"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstandard"),
    (b"7z\xbc\xaf\x27\x1c", "7z"),
    (b"Rar!\x1a\x07", "rar"),
)
_NIFTI = (b"n+1\x00", b"ni1\x00")
_PICKLE_PROTOCOLS = frozenset((b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"))
_EXPLICIT = frozenset((b"UL", b"UI", b"OB", b"CS", b"DA", b"TM", b"LO", b"SH"))
_EARLY_ELEMENTS = frozenset((0x00, 0x01, 0x05, 0x08, 0x12, 0x14, 0x16, 0x18))
_FILE_META, _IDENTIFYING = 2, 8
_LONGEST_EARLY_VALUE = 128


def kind_of(head: bytes) -> str:
    """Tell the kind of a file by its first 4096 bytes: `dicom`, `png`, … `text`, or `binary`."""
    if head[128:132] == b"DICM" or _is_bare_dicom(head):
        return "dicom"
    for signature, kind in _SIGNATURES:
        if head.startswith(signature):
            return kind
    if head[257:262] == b"ustar":
        return "tar"
    if head[344:348] in _NIFTI:
        return "nifti"
    if head[:2] in _PICKLE_PROTOCOLS:
        return "pickle"
    return _kind_of_text(head) if head else "empty"


def _kind_of_text(head: bytes) -> str:
    whole = len(head) < HEAD
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(head, final=whole)
    except UnicodeDecodeError:
        return "binary"
    if "\0" in text:
        return "binary"
    if text.lstrip()[:1] in {"{", "["}:
        return "json" if not whole or _is_json(text) else "text"
    lines = text.splitlines()
    if len(lines) > 1 and lines[0].count(",") == lines[1].count(",") > 0:
        return "csv"
    return "text"


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _is_bare_dicom(head: bytes) -> bool:
    """DICOM without preamble: begins with an element of group 0002 or 0008, little endian."""
    if len(head) < 12 or head[1] or head[3] or head[0] not in {_FILE_META, _IDENTIFYING}:  # noqa: PLR2004
        return False
    if head[4:6] in _EXPLICIT:
        return True
    length = int.from_bytes(head[4:8], "little")
    return head[0] == _IDENTIFYING and head[2] in _EARLY_ELEMENTS and length < _LONGEST_EARLY_VALUE

"""Files that a job may try to take out."""

import gzip
import io
import struct
import tarfile
import zipfile

PREAMBLE = bytes(128)
META = b"DICM\x02\x00\x00\x00UL\x04\x00\xc0\x00\x00\x00"
DICOM = PREAMBLE + META + bytes(300)
BARE_EXPLICIT = b"\x08\x00\x05\x00CS\x0a\x00ISO_IR 100" + bytes(100)
BARE_IMPLICIT = b"\x08\x00\x05\x00\x0a\x00\x00\x00ISO_IR 100" + bytes(100)
PNG = (
    b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00"
    b"\x1f\x15\xc4\x89\x00\x00\x00\rIDATx\x9cc\xf8\xcf\xc0\xf0\x1f\x00\x05\x00\x01\xff\x89\x99"
    b"=\x1d\x00\x00\x00\x00IEND\xaeB`\x82"
)


def zipped(*contents: bytes, method: int = zipfile.ZIP_DEFLATED, prefix: bytes = b"") -> bytes:
    sink = io.BytesIO()
    sink.write(prefix)
    with zipfile.ZipFile(sink, "a", method) as archive:
        for number, content in enumerate(contents):
            archive.writestr(f"{number}.bin", content)
    return sink.getvalue()


def tarred(*contents: bytes, format: int = tarfile.PAX_FORMAT) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w", format=format) as archive:
        for number, content in enumerate(contents):
            info = tarfile.TarInfo(f"{number}-{'é' * 60}.bin")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return sink.getvalue()


def encrypted(content: bytes) -> bytes:
    """A ZIP whose member says that it is encrypted (APPNOTE §4.4.4, bit 0)."""
    data = bytearray(zipped(content))
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    return bytes(data)


def with_64_bit_end(content: bytes) -> bytes:
    """A ZIP with a 64-bit end of directory that claims a directory of an exabyte."""
    data = zipped(content)
    at = data.rindex(b"PK\x05\x06")
    end64 = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 1, 1, 2**60, 0)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, at, 1)
    return data[:at] + end64 + locator + data[at:]


def bomb(levels: int, size: int = 50 * 1024 * 1024) -> bytes:
    """Zeros, packed again and again."""
    data = gzip.compress(bytes(size))
    for _ in range(levels):
        data = zipped(*[data] * 10)
    return data

"""Hostile input, cleaned in a process of its own: prints what became of each, and the memory used.

python -m tests.ingest.deidentify.hostile
"""

import io
import json
import random
import struct
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from pydicom import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian

from albufera.ingest.deidentify import RESEARCH, Deidentifier, Rejection
from tests.ingest.deidentify.build import KEY, encode, image

SEQUENCE = struct.pack("<HH2sHL", 0x0040, 0x0260, b"SQ", 0, 0xFFFFFFFF)
ITEM = struct.pack("<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF)
EMPTY_ITEM = struct.pack("<HHL", 0xFFFE, 0xE000, 0)
END = struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)
ITEM_END = struct.pack("<HHL", 0xFFFE, 0xE00D, 0)
MEGABYTE = 1024 * 1024


def split() -> tuple[bytes, bytes]:
    """An image's bytes before its pixels, and from them on."""
    data = encode(image())
    at = data.index(b"\xe0\x7f\x10\x00OW")
    return data[:at], data[at:]


HEAD, PIXELS = split()


def with_header(raw: bytes) -> BinaryIO:
    return io.BytesIO(HEAD + raw + PIXELS)


def sequence(body: bytes, length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    return struct.pack("<HH2sHL", 0x0040, 0x0260, b"SQ", 0, size) + body


def nested_with_lengths(depth: int) -> bytes:
    body = b""
    for _ in range(depth):
        body = sequence(EMPTY_ITEM[:4] + struct.pack("<L", len(body)) + body)
    return body


def large(tag: int, vr: bytes, size: int) -> bytes:
    return struct.pack("<HH2sHL", tag >> 16, tag & 0xFFFF, vr, 0, size) + bytes(size)


def many_elements(count: int) -> bytes:
    groups = range(0x2100, 0x2100 + 2 * (count // 0x8000 + 1), 2)
    tags = (struct.pack("<HH", group, number) for group in groups for number in range(1, 0x8001))
    return b"".join(tag + b"LO\0\0" for tag, _ in zip(tags, range(count), strict=False))


def deflated(opening: bytes, megabytes: int) -> BinaryIO:
    """A deflated object whose data set goes on with an element's `opening` and many zeros."""
    prefix = encode(image(), DeflatedExplicitVRLittleEndian)
    start = 132 + 12 + struct.unpack_from("<L", prefix, 140)[0]
    plain = zlib.decompress(prefix[start:], -15)
    at = plain.index(b"\xe0\x7f\x10\x00OW")
    engine = zlib.compressobj(1, zlib.DEFLATED, -15)
    packed = [engine.compress(plain[:at] + opening)]
    packed += [engine.compress(bytes(MEGABYTE)) for _ in range(megabytes)]
    return io.BytesIO(prefix[:start] + b"".join(packed) + engine.flush())


def sparse(size: int) -> BinaryIO:
    """A file of `size` bytes on disk that states a private element of all of them."""
    file = tempfile.TemporaryFile()  # noqa: SIM115  whoever asked for it reads it
    file.write(HEAD + struct.pack("<HH2sHL", 0x0009, 0x1001, b"OB", 0, size))
    file.truncate(size + file.tell())
    return file


def mutated(seed: int) -> BinaryIO:
    chance = random.Random(seed)
    inner = Dataset()
    inner.PatientName = "Quixano"
    data = bytearray(encode(image(ProcedureCodeSequence=[inner, inner], StudyDate="20190704")))
    for _ in range(chance.randint(1, 8)):
        at = chance.randrange(132, len(data))
        size = chance.randint(0, 3)
        data[at : at + chance.choice((size, size, size, 1))] = chance.randbytes(size)
    return io.BytesIO(bytes(data))


PIXEL_BOMB = struct.pack("<HH2sHL", 0x7FE0, 0x0010, b"OW", 0, 4000 * MEGABYTE)
HEADER_BOMB = struct.pack("<HH2sHL", 0x0009, 0x1001, b"UN", 0, 200 * MEGABYTE)
INPUTS: dict[str, Callable[[], BinaryIO]] = {
    "empty": lambda: io.BytesIO(b""),
    "one-byte": lambda: io.BytesIO(b"\0"),
    "text": lambda: io.BytesIO(b"In a village of La Mancha\n" * 100),
    "random": lambda: io.BytesIO(random.Random(1).randbytes(100_000)),
    "random-with-prefix": lambda: io.BytesIO(
        bytes(128) + b"DICM" + random.Random(2).randbytes(9999)
    ),
    "prefix-only": lambda: io.BytesIO(bytes(128) + b"DICM"),
    "zeros": lambda: io.BytesIO(bytes(5000)),
    "huge-length": lambda: with_header(large(0x00091001, b"OB", 0)[:8] + b"\xfe\xff\xff\xff"),
    "huge-undefined-text": lambda: with_header(
        struct.pack("<HH2sHL", 8, 0x105, b"UT", 0, 0xFFFFFFFF)
    ),
    "huge-pixels": lambda: io.BytesIO(HEAD + PIXELS[:8] + b"\xfe\xff\xff\xff" + PIXELS[12:]),
    "sparse-file": lambda: sparse(3 * 1024 * MEGABYTE),
    "wrong-vr": lambda: with_header(struct.pack("<HH2sH", 0x0040, 0x0244, b"?!", 2) + b"xx"),
    "deep-without-lengths": lambda: with_header(
        (SEQUENCE + ITEM) * 10_000 + (ITEM_END + END) * 10_000
    ),
    "deep-unended": lambda: with_header((SEQUENCE + ITEM) * 10_000),
    "deep-with-lengths": lambda: with_header(nested_with_lengths(2_000)),
    "deep-in-unknown-vr": lambda: with_header(
        struct.pack("<HH2sHL", 0x0040, 0x0260, b"UN", 0, 0xFFFFFFFF)
        + (ITEM + struct.pack("<HHL", 0x0040, 0x0260, 0xFFFFFFFF)) * 10_000
    ),
    "item-beyond-sequence": lambda: with_header(sequence(EMPTY_ITEM[:4] + b"\xff\0\0\0")),
    "sequence-inside-itself": lambda: with_header(
        sequence(EMPTY_ITEM[:4] + b"\x0c\0\0\0" + sequence(b"", 0x40000000))
    ),
    "sequence-of-no-items": lambda: with_header(sequence(b"QUIXANO!")),
    "stray-delimiter": lambda: with_header(END),
    "duplicate": lambda: with_header(struct.pack("<HH2sH", 0x0010, 0x0020, b"LO", 2) + b"no"),
    "many-items": lambda: with_header(sequence(EMPTY_ITEM * 3_000_000)),
    "many-elements": lambda: with_header(many_elements(1_000_000)),
    "large-kept-value": lambda: with_header(large(0x00660023, b"OW", 60 * MEGABYTE)),
    "too-large-header": lambda: with_header(large(0x00660023, b"OW", 70 * MEGABYTE)),
    "fragments-unended": lambda: io.BytesIO(HEAD + PIXELS[:8] + b"\xff\xff\xff\xff" + EMPTY_ITEM),
    "deflate-header-bomb": lambda: deflated(HEADER_BOMB, 200),
    "deflate-pixel-bomb": lambda: deflated(PIXEL_BOMB, 100),
    "deflate-damaged": lambda: io.BytesIO(
        encode(image(), DeflatedExplicitVRLittleEndian)[:400] + b"\xff" * 50
    ),
    "deflate-truncated": lambda: io.BytesIO(encode(image(), DeflatedExplicitVRLittleEndian)[:-20]),
}


class Nowhere:
    def write(self, data: bytes) -> int:
        return len(data)


def truncations() -> Iterator[BinaryIO]:
    """A file cut off at every fiftieth of its length."""
    data = encode(image(PatientAge="034Y", StudyDate="20190704"))
    for part in range(50):
        yield io.BytesIO(data[: len(data) * part // 50])


def outcome(engine: Deidentifier, source: BinaryIO) -> str:
    try:
        engine.clean(source, Nowhere())
    except Rejection as rejection:
        return rejection.code
    except Exception as error:  # noqa: BLE001, RUF100
        return f"!{type(error).__name__}: {error}"
    return "admitted"


def resident(field: str) -> int:
    """A size of this process in bytes: `VmRSS`, or `VmHWM` for its peak since `forget_peak`."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    raise LookupError(field)


def forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def main() -> None:
    engine = Deidentifier(RESEARCH, KEY)
    report: dict[str, dict[str, object]] = {}
    for name, build in INPUTS.items():
        source = build()
        forget_peak()
        before, start = resident("VmRSS"), time.perf_counter()
        code = outcome(engine, source)
        seconds, grew = time.perf_counter() - start, resident("VmHWM") - before
        report[name] = {"code": code, "grew": grew, "seconds": seconds}
        del source
    truncated = [outcome(engine, source) for source in truncations()]
    mutants = [outcome(engine, mutated(seed)) for seed in range(2000)]
    json.dump({"inputs": report, "truncated": truncated, "mutants": mutants}, sys.stdout)


if __name__ == "__main__":
    main()

"""The pixel element: copied from the input byte for byte, in bounded chunks, never decoded."""

from dataclasses import dataclass
from typing import Protocol

from pydicom.uid import UID_dictionary  # type: ignore[attr-defined]

from albufera.ingest.deidentify.codec import (
    FRAGMENT_VRS,
    IMPLICIT_LITTLE,
    ITEM,
    SEQUENCE_END,
    UNDEFINED,
    Element,
    Encoding,
)
from albufera.ingest.deidentify.errors import unreadable
from albufera.ingest.deidentify.facts import NUMBER_OF_FRAMES, Facts
from albufera.ingest.deidentify.part10 import NATIVE
from albufera.ingest.deidentify.source import COPY_CHUNK, Source

KEYWORDS = {
    0x7FE00008: "FloatPixelData",
    0x7FE00009: "DoubleFloatPixelData",
    0x7FE00010: "PixelData",
}
PIXEL_DATA = 0x7FE00010
ROWS, COLUMNS, SAMPLES, BITS = 0x00280010, 0x00280011, 0x00280002, 0x00280100
PHOTOMETRIC = 0x00280004
_SHARED_CHROMA = {"YBR_FULL_422": (2, 3), "YBR_PARTIAL_422": (2, 3), "YBR_PARTIAL_420": (1, 2)}


class Target(Protocol):
    """Where the cleaned object goes; it may hash as it writes."""

    def write(self, data: bytes, /) -> object:
        """Take all of `data`."""


@dataclass(frozen=True, slots=True)
class Pixels:
    """The pixel element in the output, in bytes from its start.

    `offset` and `length` are those of the whole element, `value_offset` is where its value begins
    (when `encapsulated`, the Basic Offset Table item).
    """

    keyword: str
    offset: int
    value_offset: int
    length: int
    encapsulated: bool


def expected_length(facts: Facts) -> int | None:
    """Bytes that native Pixel Data must at least have (PS3.5 §8.1.1); None if it is not said."""
    rows, columns, bits = (facts.count(tag) for tag in (ROWS, COLUMNS, BITS))
    samples, frames = facts.count(SAMPLES, 1), facts.count(NUMBER_OF_FRAMES, 1)
    if rows is None or columns is None or bits is None or samples is None or frames is None:
        return None
    whole = rows * columns * samples * bits * frames
    part, of = _SHARED_CHROMA.get("".join(facts.terms(PHOTOMETRIC)), (1, 1))
    return -(-whole * part // (8 * of))


def check(element: Element | None, facts: Facts, sop_class: str, transfer_syntax: str) -> None:
    """Compare the pixel element, or its absence, with what the header promises.

    Raises:
        Unreadable: `no-pixel-data`, `pixel-data-short`, `transfer-syntax-mismatch`, `bad-vr`.
    """
    if element is None:
        if "Image Storage" in UID_dictionary.get(sop_class, ("",))[0]:
            raise unreadable("no-pixel-data")
        return
    if element.vr not in ("", "UN") and element.vr not in FRAGMENT_VRS:
        raise unreadable("bad-vr")
    if element.length == UNDEFINED:
        if transfer_syntax in NATIVE:
            raise unreadable("transfer-syntax-mismatch")
    elif element.tag == PIXEL_DATA and transfer_syntax in NATIVE:
        expected = expected_length(facts)
        if expected is not None and element.length < expected:
            raise unreadable("pixel-data-short")


class Splice:
    """Copies one pixel element; afterwards `rest` is what follows it in the input."""

    def __init__(self, source: Source, element: Element, encoding: Encoding) -> None:
        self.rest = source.rest_from(element.value)
        self._element = element
        self._encoding = encoding
        self._written = 0

    def copy(self, target: Target, offset: int) -> Pixels:
        """Write the element, at `offset` of the output.

        Raises:
            Unreadable: `truncated` (before anything is written, where the size is known) or
                `bad-length`.
        """
        element = self._element
        encapsulated = element.length == UNDEFINED
        size = self.rest.size
        if not encapsulated and size is not None and element.length > size:
            raise unreadable("truncated")
        head = self._encoding.write_header(element.tag, element.vr, element.length)
        self._emit(target, head)
        if encapsulated:
            self._copy_fragments(target)
        else:
            self._copy(target, element.length)
        return Pixels(
            KEYWORDS[element.tag], offset, offset + len(head), self._written, encapsulated
        )

    def _copy_fragments(self, target: Target) -> None:
        while True:
            header = self._take_exactly(8)
            item = IMPLICIT_LITTLE.read(bytearray(header), 0)
            if item.tag not in (ITEM, SEQUENCE_END) or item.length == UNDEFINED:
                raise unreadable("bad-length")
            if item.tag == SEQUENCE_END:
                self._emit(target, IMPLICIT_LITTLE.write_header(SEQUENCE_END, "", 0))
                return
            if self.rest.size is not None and item.length > self.rest.size:
                raise unreadable("truncated")
            self._emit(target, header)
            self._copy(target, item.length)

    def _take_exactly(self, count: int) -> bytes:
        taken = b""
        while len(taken) < count:
            chunk = self.rest.take(count - len(taken))
            if not chunk:
                raise unreadable("truncated")
            taken += chunk
        return taken

    def _copy(self, target: Target, count: int) -> None:
        while count:
            chunk = self.rest.take(min(COPY_CHUNK, count))
            if not chunk:
                raise unreadable("truncated")
            self._emit(target, chunk)
            count -= len(chunk)

    def _emit(self, target: Target, data: bytes) -> None:
        target.write(data)
        self._written += len(data)

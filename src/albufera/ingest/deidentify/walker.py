"""Walking the structure of a data set (PS3.5 §7.5), bounded in depth, number and length."""

from albufera.ingest.deidentify.codec import (
    DELIMITER_GROUP,
    FRAGMENT_VRS,
    IMPLICIT_LITTLE,
    ITEM,
    ITEM_END,
    SEQUENCE_END,
    UNDEFINED,
    Element,
    Encoding,
)
from albufera.ingest.deidentify.errors import unreadable
from albufera.ingest.deidentify.source import COPY_CHUNK, Source

MAX_DEPTH = 32
MAX_ELEMENTS = 1_000_000
"""Elements and items in one object, at all levels together."""

MAX_IN_DATASET = 65_536
"""Elements in one data set, not counting those in its sequences."""

PIXEL_TAGS = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
"""Float Pixel Data, Double Float Pixel Data, Pixel Data."""


def inner_encoding(vr: str, encoding: Encoding) -> Encoding:
    """How the items of a sequence are encoded: in VR UN always Implicit VR Little Endian
    (PS3.5 §6.2.2)."""
    return IMPLICIT_LITTLE if vr == "UN" else encoding


class Walker:
    """Reads element headers from a source, within the bounds above."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self._count = 0

    def element(self, at: int, encoding: Encoding, limit: int | None = None) -> Element:
        """The element or delimiter at `at`, whose header must end by `limit`.

        Raises:
            Unreadable: `truncated`, `bad-length`, `bad-vr`, `too-many-elements`.
        """
        self._count += 1
        if self._count > MAX_ELEMENTS:
            raise unreadable("too-many-elements")
        source = self.source
        source.need(at + 8)
        if not encoding.implicit:
            source.need(at + encoding.header_size(source.buffer, at))
        element = encoding.read(source.buffer, at)
        if limit is not None and element.value > limit:
            raise unreadable("bad-length")
        return element

    def end_of(self, element: Element, encoding: Encoding, depth: int, limit: int | None) -> int:
        """Where the element ends, its value being in the buffer.

        Raises:
            Unreadable: `truncated`, `bad-length`, `too-deep` and those of `element`.
        """
        if element.tag >> 16 == DELIMITER_GROUP:
            raise unreadable("bad-length")
        if element.length == UNDEFINED:
            return self._skip(element, encoding, depth, limit)
        end = element.value + element.length
        if limit is not None and end > limit:
            raise unreadable("bad-length")
        self.source.need(end)
        return end

    def _skip(self, element: Element, encoding: Encoding, depth: int, limit: int | None) -> int:
        if element.vr in FRAGMENT_VRS:
            return self._skip_fragments(element.value, encoding, limit)
        if element.vr not in ("", "SQ", "UN"):
            raise unreadable("bad-length")
        return self._skip_items(
            element.value, inner_encoding(element.vr, encoding), depth + 1, limit
        )

    def _skip_fragments(self, at: int, encoding: Encoding, limit: int | None) -> int:
        while True:
            item = self.element(at, encoding, limit)
            if item.tag == SEQUENCE_END:
                return item.value
            at = self.end_of_item(item, limit)

    def end_of_item(self, item: Element, limit: int | None) -> int:
        """Where a fragment, or an item of defined length, ends."""
        if item.tag != ITEM or item.length == UNDEFINED:
            raise unreadable("bad-length")
        end = item.value + item.length
        if limit is not None and end > limit:
            raise unreadable("bad-length")
        self.source.need(end)
        return end

    def _skip_items(self, at: int, encoding: Encoding, depth: int, limit: int | None) -> int:
        if depth > MAX_DEPTH:
            raise unreadable("too-deep")
        while True:
            item = self.element(at, encoding, limit)
            if item.tag == SEQUENCE_END:
                return item.value
            if item.tag == ITEM and item.length == UNDEFINED:
                at = self._skip_elements(item.value, encoding, depth, limit)
            else:
                at = self.end_of_item(item, limit)

    def _skip_elements(self, at: int, encoding: Encoding, depth: int, limit: int | None) -> int:
        while True:
            element = self.element(at, encoding, limit)
            if element.tag == ITEM_END:
                return element.value
            at = self.end_of(element, encoding, depth, limit)

    def top_level(
        self, at: int, encoding: Encoding
    ) -> tuple[list[tuple[Element, int]], Element | None]:
        """The elements from `at` up to the pixels or the end, each with its end; and the pixel
        element, whose value is left unread, or None.

        Raises:
            Unreadable: those of `end_of`, and `duplicate-element`.
        """
        found: dict[int, tuple[Element, int]] = {}
        while not self.source.at_end(at):
            if self._is_padding(at):
                break
            element = self.element(at, encoding)
            if element.tag in PIXEL_TAGS:
                return list(found.values()), element
            end = self.end_of(element, encoding, 0, None)
            if element.tag in found:
                raise unreadable("duplicate-element")
            if len(found) >= MAX_IN_DATASET:
                raise unreadable("too-many-elements")
            found[element.tag] = (element, end)
            at = end
        return list(found.values()), None

    def _is_padding(self, at: int) -> bool:
        """Zeros up to the end of the file: padding of the medium, not part of the data set.

        Raises:
            Unreadable: `bad-length`: it began with zeros but something follows them.
        """
        source = self.source
        source.reaches(at + 8)
        if any(source.buffer[at : at + 8]):
            return False
        rest = source.rest_from(at)
        while chunk := rest.take(COPY_CHUNK):
            if chunk.count(0) != len(chunk):
                raise unreadable("bad-length")
        return True

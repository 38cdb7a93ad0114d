"""Rewriting a data set, element by element and at every depth, by the rules."""

from collections import Counter

from albufera.ingest.deidentify import dummies
from albufera.ingest.deidentify.codec import (
    IMPLICIT_LITTLE,
    ITEM,
    ITEM_END,
    LONG_VALUE,
    LONG_VRS,
    SEQUENCE_END,
    UNDEFINED,
    Element,
    Encoding,
)
from albufera.ingest.deidentify.errors import unreadable
from albufera.ingest.deidentify.identifiers import (
    IDENTIFYING_TAGS,
    OTHER_PATIENT_IDS,
    Identifiers,
)
from albufera.ingest.deidentify.keys import ProjectKey
from albufera.ingest.deidentify.rules import Rules, Ruling, Treatment
from albufera.ingest.deidentify.source import HEADER_LIMIT
from albufera.ingest.deidentify.values import changes, decode
from albufera.ingest.deidentify.walker import MAX_DEPTH, MAX_IN_DATASET, Walker, inner_encoding

Parts = dict[int, bytes]
"""Encoded elements of one data set by tag."""


def assemble(parts: Parts, before: bytes = b"") -> bytes:
    """A data set, its elements in ascending order of tag (PS3.5 §7.1), with what comes before."""
    return b"".join([before, *(parts[tag] for tag in sorted(parts))])


class Rewriter:
    """Cleans the data sets of one object; `counts` says how many elements met which action."""

    def __init__(self, rules: Rules, key: ProjectKey, days: int, character_set: str = "") -> None:
        self.counts: Counter[str] = Counter()
        self.identifiers = Identifiers()
        self._rules = rules
        self._key = key
        self._changes = changes(key, days)
        self._character_set = character_set
        self._written = 0

    def top_level(
        self, elements: list[tuple[Element, int]], encoding: Encoding, walker: Walker
    ) -> Parts:
        """The cleaned elements of a whole object or of what follows its pixels.

        Raises:
            Unreadable: the structure inside a sequence is damaged, or goes beyond the bounds.
        """
        parts: Parts = {}
        for element, end in elements:
            cleaned, reached = self._element(element, encoding, walker, 0, end)
            if reached != end:
                raise unreadable("bad-length")
            if cleaned is not None:
                parts[element.tag] = cleaned
        return parts

    def _element(
        self, element: Element, encoding: Encoding, walker: Walker, depth: int, limit: int
    ) -> tuple[bytes | None, int]:
        ruling = self._rules.ruling(element.tag, element.vr)
        self.counts[ruling.counted] += 1
        if ruling.treatment is Treatment.ITEMS or element.tag == OTHER_PATIENT_IDS:
            return self._sequence(element, ruling, encoding, walker, depth, limit)
        end = walker.end_of(element, encoding, depth, limit)
        if element.tag in IDENTIFYING_TAGS:
            self.identifiers.note(element.tag, bytes(walker.source.buffer[element.value : end]))
        if ruling.treatment is Treatment.REMOVE:
            return None, end
        return self._bounded(self._replace(element, end, ruling, encoding, walker)), end

    def _bounded(self, written: bytes | None) -> bytes | None:
        self._written += len(written or b"")
        if self._written > HEADER_LIMIT:
            raise unreadable("header-too-large")
        return written

    def _replace(
        self, element: Element, end: int, ruling: Ruling, encoding: Encoding, walker: Walker
    ) -> bytes | None:
        if element.length == UNDEFINED:
            return (
                None
                if ruling.treatment is Treatment.KEEP
                else self._basic(element, ruling, encoding)
            )
        if ruling.treatment in (Treatment.EMPTY, Treatment.DUMMY):
            return self._basic(element, ruling, encoding)
        with memoryview(walker.source.buffer) as buffer, buffer[element.value : end] as old:
            if ruling.treatment is Treatment.KEEP:
                return self._kept(element, ruling, encoding, old)
            value = bytes(old)
        if ruling.treatment is Treatment.PATIENT_ID:
            new: bytes | None = self._pseudonym(value)
        else:
            new = self._changes[ruling.treatment](value)
        if new is None:
            return self._basic(element, ruling, encoding)
        return encoding.write(element.tag, ruling.vr, new)

    def _kept(
        self, element: Element, ruling: Ruling, encoding: Encoding, value: memoryview
    ) -> bytes:
        vr = element.vr
        known = vr == "UN" and encoding.order == "<" and " or " not in ruling.vr
        if known and (ruling.vr in LONG_VRS or len(value) <= LONG_VALUE):
            vr = ruling.vr
        return encoding.write(element.tag, vr, value)

    def _basic(self, element: Element, ruling: Ruling, encoding: Encoding) -> bytes | None:
        """The Basic Profile's action: the ruling's own, or the one behind an option's."""
        simple = ruling.treatment in (Treatment.EMPTY, Treatment.DUMMY)
        action = ruling.treatment if simple else ruling.fallback
        if action is Treatment.EMPTY:
            return encoding.write(element.tag, ruling.vr, b"")
        if action is Treatment.DUMMY:
            dummy = dummies.value(element.tag, ruling.vr, encoding)
            return encoding.write(element.tag, ruling.vr, dummy)
        return None

    def _pseudonym(self, original: bytes) -> bytes:
        text = decode(original, self._character_set).strip(" \0")
        return self._key.pseudonym(text).encode("ascii") if text else b""

    def _sequence(
        self,
        element: Element,
        ruling: Ruling,
        encoding: Encoding,
        walker: Walker,
        depth: int,
        limit: int,
    ) -> tuple[bytes | None, int]:
        inner = inner_encoding(element.vr, encoding)
        end = None if element.length == UNDEFINED else element.value + element.length
        if end is not None and end > limit:
            raise unreadable("bad-length")
        body, reached = self._items(element.value, end, inner, walker, depth + 1, limit)
        if ruling.treatment is Treatment.REMOVE:
            return None, reached
        if element.vr == "UN":
            # CP-246: a sequence in VR UN has an undefined length and stays in implicit VR.
            closing = IMPLICIT_LITTLE.write_header(SEQUENCE_END, "", 0)
            return encoding.write_header(element.tag, "UN", UNDEFINED) + body + closing, reached
        return encoding.write(element.tag, "SQ", body), reached

    def _items(
        self, at: int, end: int | None, encoding: Encoding, walker: Walker, depth: int, limit: int
    ) -> tuple[bytearray, int]:
        if depth > MAX_DEPTH:
            raise unreadable("too-deep")
        body = bytearray()
        while end is None or at < end:
            item = walker.element(at, encoding, limit if end is None else end)
            if end is None and item.tag == SEQUENCE_END:
                return body, item.value
            if item.tag != ITEM:
                raise unreadable("bad-length")
            close = None
            if item.length != UNDEFINED:
                close = walker.end_of_item(item, limit if end is None else end)
            inside = limit if end is None else end
            cleaned, at = self._dataset(item.value, close, encoding, walker, depth, inside)
            body += encoding.write_item(cleaned)
        return body, at

    def _dataset(
        self, at: int, end: int | None, encoding: Encoding, walker: Walker, depth: int, limit: int
    ) -> tuple[bytes, int]:
        parts: Parts = {}
        seen: set[int] = set()
        inside = limit if end is None else end
        while end is None or at < end:
            element = walker.element(at, encoding, inside)
            if end is None and element.tag == ITEM_END:
                return assemble(parts), element.value
            if element.tag in seen:
                raise unreadable("duplicate-element")
            if len(seen) >= MAX_IN_DATASET:
                raise unreadable("too-many-elements")
            seen.add(element.tag)
            cleaned, at = self._element(element, encoding, walker, depth, inside)
            if cleaned is not None:
                parts[element.tag] = cleaned
        return assemble(parts), at

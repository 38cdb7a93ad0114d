"""The de-identification engine: a DICOM file in, a clean DICOM file out, or a stated reason."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import BinaryIO

from pydicom import Dataset

from albufera.ingest.deidentify import header, pixels
from albufera.ingest.deidentify.errors import unreadable
from albufera.ingest.deidentify.facts import Facts, Original, original, sop_class
from albufera.ingest.deidentify.keys import ProjectKey
from albufera.ingest.deidentify.part10 import Opened, open_object, write_head
from albufera.ingest.deidentify.pixels import PIXEL_DATA, Pixels, Splice, Target
from albufera.ingest.deidentify.profile import Code, Profile
from albufera.ingest.deidentify.recording import record
from albufera.ingest.deidentify.rewrite import Parts, Rewriter, assemble
from albufera.ingest.deidentify.rules import Rules
from albufera.ingest.deidentify.screening import screen
from albufera.ingest.deidentify.source import Source
from albufera.ingest.deidentify.walker import Walker


@dataclass(frozen=True)
class Cleaned:
    """A de-identified object as it was written.

    `counts` gives the number of elements by what was done: the letters of Table E.1-1 (X removed,
    Z emptied, D dummy, U new UID, C cleaned or shifted, K kept by an option), `kept` (no row),
    `private` and `unknown` (both removed).
    """

    original: Original = field(repr=False)
    subject: str
    study_uid: str
    series_uid: str
    instance_uid: str
    sop_class: str
    transfer_syntax: str
    codes: tuple[Code, ...]
    counts: Mapping[str, int]
    length: int
    """Bytes written in all."""
    pixels: Pixels | None
    header_bytes: bytes = field(repr=False)
    """The output up to the pixels: preamble, file meta information and data set."""

    @cached_property
    def header(self) -> Dataset:
        """The cleaned header, without pixels; values that pydicom cannot read are left out."""
        return header.view(self.header_bytes)


class Deidentifier:
    """Cleans objects of one project; it holds no state of any object and may be shared."""

    def __init__(self, profile: Profile, key: ProjectKey) -> None:
        self._profile = profile
        self._key = key
        self._rules = Rules(profile)

    def clean(self, source: BinaryIO, target: Target) -> Cleaned:
        """Write the de-identified object to `target`, in the transfer syntax of `source`
        (a deflated one is written in Explicit VR Little Endian).

        `source` is seekable and read once, from its start. What was written before an exception
        is worthless and must be thrown away.

        Raises:
            Unreadable: it is not DICOM, is damaged or beyond the bounds (→ refused).
            Unclean: it cannot be shown to be clean (→ quarantined).
        """
        try:
            return _Cleaning(self._profile, self._key, self._rules, open_object(source)).run(target)
        except (struct.error, UnicodeError, ValueError, RecursionError, OverflowError):
            raise unreadable("bad-length") from None


class _Cleaning:
    """The cleaning of one object, step by step."""

    def __init__(self, profile: Profile, key: ProjectKey, rules: Rules, opened: Opened) -> None:
        self._profile = profile
        self._key = key
        self._opened = opened
        self._encoding = opened.encoding
        self._walker = Walker(opened.source)
        self._elements, self._pixels = self._walker.top_level(opened.start, opened.encoding)
        self._facts = Facts(self._elements, opened.encoding, self._walker)
        self._sop_class = sop_class(self._facts)
        self._original = original(self._facts)
        self._subject = key.pseudonym(self._original.subject)
        days = key.day_shift(self._original.subject)
        self._rewriter = Rewriter(rules, key, days, self._facts.character_set)

    def run(self, target: Target) -> Cleaned:
        element = self._pixels
        syntax = self._opened.transfer_syntax
        screen(self._facts, self._sop_class, self._profile)
        pixels.check(element, self._facts, self._sop_class, syntax)
        instance = self._key.uid(self._original.sop_uid)
        parts = self._rewriter.top_level(self._elements, self._encoding, self._walker)
        record(parts, self._profile, self._subject, self._encoding)
        splice = None if element is None else Splice(self._opened.source, element, self._encoding)
        self._opened.source.buffer.clear()
        head = self._checked(parts, write_head(self._sop_class, instance, syntax))
        target.write(head)
        length, copied = len(head), None
        if splice is not None:
            copied = splice.copy(target, len(head))
            length += copied.length + self._clean_tail(splice.rest, target)
        return Cleaned(
            original=self._original,
            subject=self._subject,
            study_uid=self._key.uid(self._original.study_uid),
            series_uid=self._key.uid(self._original.series_uid),
            instance_uid=instance,
            sop_class=self._sop_class,
            transfer_syntax=syntax,
            codes=self._profile.codes,
            counts=dict(self._rewriter.counts),
            length=length,
            pixels=copied,
            header_bytes=head,
        )

    def _checked(self, parts: Parts, before: bytes = b"") -> bytes:
        """The encoded data set after `before`, once no identifier is found in it."""
        written = assemble(parts, before)
        parts.clear()
        self._rewriter.identifiers.check(written, len(before), self._encoding)
        return written

    def _clean_tail(self, rest: Source, target: Target) -> int:
        """Clean what follows the pixels; nothing of it is copied unseen."""
        walker = Walker(rest)
        elements, more_pixels = walker.top_level(0, self._encoding)
        if more_pixels is not None or any(element.tag < PIXEL_DATA for element, _ in elements):
            raise unreadable("out-of-order")
        tail = self._checked(self._rewriter.top_level(elements, self._encoding, walker))
        if tail:
            target.write(tail)
        return len(tail)

"""What an object says of itself at its top level, read before anything is changed."""

from dataclasses import dataclass, field

from albufera.ingest.deidentify.codec import UNDEFINED, Element, Encoding
from albufera.ingest.deidentify.errors import unreadable
from albufera.ingest.deidentify.values import MAX_TEXT, MAX_UID_LENGTH, decode
from albufera.ingest.deidentify.values import character_set as clean_character_set
from albufera.ingest.deidentify.walker import Walker


class Facts:
    """Short values of top-level elements, by tag."""

    def __init__(
        self, elements: list[tuple[Element, int]], encoding: Encoding, walker: Walker
    ) -> None:
        self._spans = {element.tag: (element, end) for element, end in elements}
        self._encoding = encoding
        self._buffer = walker.source.buffer

    @property
    def tags(self) -> frozenset[int]:
        """The tags that are there."""
        return frozenset(self._spans)

    def raw(self, tag: int) -> bytes:
        """The first bytes of a value; empty when it is absent."""
        span = self._spans.get(tag)
        if span is None or span[0].length == UNDEFINED:
            return b""
        return bytes(self._buffer[span[0].value : min(span[1], span[0].value + MAX_TEXT)])

    @property
    def character_set(self) -> str:
        """Specific Character Set, in defined terms."""
        return (clean_character_set(self.raw(0x00080005)) or b"").decode("ascii")

    def text(self, tag: int) -> str:
        """A value as text without padding, in the object's character set."""
        return decode(self.raw(tag), self.character_set).strip(" \0")

    def terms(self, tag: int) -> tuple[str, ...]:
        """The values of a CS attribute, in capitals."""
        return tuple(term.strip().upper() for term in self.text(tag).split("\\") if term.strip())

    def count(self, tag: int, default: int | None = None) -> int | None:
        """A US value, else an IS value, else `default`."""
        value = self.raw(tag)
        number = self._encoding.number(value)
        if tag != NUMBER_OF_FRAMES:
            return default if number is None else number
        text = self.text(tag)
        return int(text) if text.isascii() and text.isdigit() else default


NUMBER_OF_FRAMES = 0x00280008


@dataclass(frozen=True, slots=True)
class Original:
    """Who and what the object was: for use in memory only, never shown, stored or logged."""

    patient_id: str = field(repr=False)
    study_uid: str = field(repr=False)
    series_uid: str = field(repr=False)
    sop_uid: str = field(repr=False)

    @property
    def subject(self) -> str:
        """What the pseudonym and the date shift are keyed on: the Patient ID, or, in an object
        that has none, its Study Instance UID in its place."""
        return self.patient_id or f"no-patient-id/study/{self.study_uid}"


def original(facts: Facts) -> Original:
    """The identities of the object.

    Raises:
        Unreadable: a UID that every object must have is missing or impossible (PS3.3 §C.12.1).
    """
    return Original(
        patient_id=facts.text(0x00100020),
        study_uid=_uid(facts, 0x0020000D, "no-study-instance-uid"),
        series_uid=_uid(facts, 0x0020000E, "no-series-instance-uid"),
        sop_uid=_uid(facts, 0x00080018, "no-sop-instance-uid"),
    )


def sop_class(facts: Facts) -> str:
    """The SOP Class UID.

    Raises:
        Unreadable: `no-sop-class-uid`.
    """
    return _uid(facts, 0x00080016, "no-sop-class-uid")


def _uid(facts: Facts, tag: int, code: str) -> str:
    uid = facts.text(tag)
    if not uid or len(uid) > MAX_UID_LENGTH or set(uid) - set("0123456789."):
        raise unreadable(code)
    return uid

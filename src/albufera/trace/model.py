"""What the log holds: entries, and checkpoints that commit to all of them."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from albufera.kernel import merkle
from albufera.kernel.canonical import (
    MAX_INTEGER,
    CanonicalError,
    canonical_bytes,
    from_base64,
    to_base64,
)
from albufera.kernel.signing import (
    SignatureError,
    SigningKey,
    VerifyKey,
    open_note,
    sign_note,
)

SCHEMA = "albufera-trace/1"
"""Version of the form in which an entry is hashed."""

MAX_SUBJECTS = 64

_ENTRY_FIELDS = {"schema", "index", "event", "verb", "at", "actor", "project", "subjects"}
_TOKEN = re.compile(r"[!-~]{0,256}")
_AT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", re.ASCII)
_DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}")


class InvalidEntry(ValueError):
    """Something cannot be an entry of the log."""


class InvalidCheckpoint(ValueError):
    """A text is not a checkpoint, or not one that may be believed."""


@dataclass(frozen=True)
class Entry:
    """One fact in the log: identifiers, digests, codes and counts, never a clinical value or name.

    Attributes:
        index: place in the log, from 0.
        event_id: identifier of the event; the log holds each once.
        verb: what was done, e.g. ``dataset.released``.
        at: when, ISO 8601 in UTC with milliseconds and a ``Z`` (`clock.isoformat`).
        actor_id: who did it; empty for somebody not signed in.
        project_id: the tenant, or None for what concerns the whole node.
        subjects: what it was done to (`Event.subjects`): texts of visible ASCII without spaces, of
            at most 256 characters, and integers.

    Raises:
        InvalidEntry: a field has another form.
    """

    index: int
    event_id: str
    verb: str
    at: str
    actor_id: str
    project_id: str | None
    subjects: Mapping[str, str | int]

    def __post_init__(self) -> None:
        _require_index(self.index)
        _require_token("event", self.event_id)
        _require_token("verb", self.verb)
        if not self.event_id or not self.verb:
            raise InvalidEntry("An entry has an event and a verb.")
        _require_instant(self.at)
        _require_token("actor", self.actor_id)
        if self.project_id is not None:
            _require_token("project", self.project_id)
        _require_subjects(self.subjects)
        object.__setattr__(self, "subjects", dict(self.subjects))

    def document(self) -> dict[str, object]:
        """The entry as JSON, in the form that is hashed."""
        return {
            "schema": SCHEMA,
            "index": self.index,
            "event": self.event_id,
            "verb": self.verb,
            "at": self.at,
            "actor": self.actor_id,
            "project": self.project_id,
            "subjects": dict(self.subjects),
        }

    @classmethod
    def parse(cls, document: object) -> "Entry":
        """The entry that `document` wrote; a missing, unknown or malformed field is refused.

        Raises:
            InvalidEntry: the document is not an entry of this schema.
        """
        if not isinstance(document, dict) or set(document) != _ENTRY_FIELDS:
            raise InvalidEntry(f"An entry has exactly the fields {sorted(_ENTRY_FIELDS)}.")
        if document["schema"] != SCHEMA:
            raise InvalidEntry(f"This reads entries of the schema {SCHEMA} only.")
        return cls(
            index=document["index"],
            event_id=document["event"],
            verb=document["verb"],
            at=document["at"],
            actor_id=document["actor"],
            project_id=document["project"],
            subjects=document["subjects"],
        )

    def leaf_bytes(self) -> bytes:
        """What the log hashes: the canonical JSON (RFC 8785) of `document`."""
        return canonical_bytes(self.document())

    def leaf_hash(self) -> bytes:
        """The entry's leaf in the Merkle tree (RFC 6962 §2.1), 32 bytes."""
        return merkle.leaf_hash(self.leaf_bytes())


@dataclass(frozen=True)
class Checkpoint:
    """The head of a log: its first ``size`` entries have this root (C2SP tlog-checkpoint).

    Attributes:
        origin: name of the log, also that of its key, e.g. ``node.example/log``.
        size: number of entries.
        root: root of the Merkle tree over them, 32 bytes.
    """

    origin: str
    size: int
    root: bytes

    def __post_init__(self) -> None:
        if not self.origin or not self.origin.isprintable():
            raise InvalidCheckpoint("A checkpoint names the log that it is of.")
        if not 0 <= self.size <= merkle.MAX_SIZE:
            raise InvalidCheckpoint(f"A log has 0 to {merkle.MAX_SIZE} entries.")
        if len(self.root) != merkle.HASH_SIZE:
            raise InvalidCheckpoint("The root of a checkpoint has 32 bytes.")

    def render(self) -> str:
        """The text that is signed: origin, size, base64 of the root, each on a line."""
        return f"{self.origin}\n{self.size}\n{to_base64(self.root)}\n"

    @classmethod
    def parse(cls, text: str) -> "Checkpoint":
        """The checkpoint that `render` wrote. Extension lines are refused: nobody audits them.

        Raises:
            InvalidCheckpoint: the text is another.
        """
        lines = text.split("\n")
        if [bool(line) for line in lines] != [True, True, True, False]:
            raise InvalidCheckpoint("A checkpoint has three lines: origin, size and root.")
        origin, size, root, _ = lines
        if not _DECIMAL.fullmatch(size):
            raise InvalidCheckpoint("The size in a checkpoint is a decimal number.")
        try:
            return cls(origin, int(size), from_base64(root))
        except CanonicalError:
            raise InvalidCheckpoint("The root in a checkpoint is not base64.") from None

    def sign(self, key: SigningKey) -> str:
        """The signed note (C2SP signed-note) of the checkpoint.

        A log MUST NOT sign two checkpoints of which neither extends the other.

        Raises:
            InvalidCheckpoint: the key is named otherwise than the log.
        """
        if key.verify_key.name != self.origin:
            raise InvalidCheckpoint(f"The log {self.origin} signs with a key of its own name.")
        return sign_note(self.render(), key)

    @classmethod
    def open(cls, note: str, keys: Iterable[VerifyKey]) -> "Checkpoint":
        """The checkpoint in a note that the log itself has signed with one of the keys.

        Signatures of others (witnesses) do not stand in for the log's own.

        Raises:
            InvalidCheckpoint: it is not signed so, or not a checkpoint.
        """
        origin = note.partition("\n")[0]
        try:
            text = open_note(note, [key for key in keys if key.name == origin])
        except SignatureError as problem:
            raise InvalidCheckpoint(str(problem)) from None
        return cls.parse(text)


def _require_index(index: object) -> None:
    if type(index) is not int or not 0 <= index <= MAX_INTEGER:
        raise InvalidEntry("The index of an entry is a whole number from 0 on.")


def _require_token(field: str, value: object) -> None:
    if not isinstance(value, str) or not _TOKEN.fullmatch(value):
        raise InvalidEntry(
            f"{field!r} must be an identifier, digest or code: visible ASCII, no spaces, "
            "at most 256 characters. Free text does not belong in the log."
        )


def _require_instant(at: object) -> None:
    if not isinstance(at, str) or not _AT.fullmatch(at):
        raise InvalidEntry("The time of an entry is written as 2026-01-31T12:00:00.000Z.")
    try:
        datetime.fromisoformat(at)
    except ValueError:
        raise InvalidEntry(f"There is no such time as {at}.") from None


def _require_subjects(subjects: object) -> None:
    if not isinstance(subjects, Mapping) or len(subjects) > MAX_SUBJECTS:
        raise InvalidEntry(f"The subjects of an entry are an object of at most {MAX_SUBJECTS}.")
    for name, value in subjects.items():
        _require_token("name of a subject", name)
        if type(value) is int:
            if abs(value) > MAX_INTEGER:
                raise InvalidEntry("A count in an entry is at most 2^53 - 1.")
        else:
            _require_token(name, value)

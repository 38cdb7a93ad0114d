"""Signed notes (https://c2sp.org/signed-note): a text, an empty line, signature lines."""

import re
from collections.abc import Iterable

from albufera.kernel.canonical import CanonicalError, from_base64, to_base64
from albufera.kernel.signing.keys import (
    KEY_ID_BYTES,
    KeyFileError,
    SignatureError,
    SigningKey,
    VerifyKey,
    require_name,
    verify_any,
)

MAX_NOTE_BYTES = 256 * 1024
"""Longest note read; sixteen post-quantum cosignatures of witnesses fit in."""

MAX_NOTE_SIGNATURES = 100

_SIGNATURE_LINE = re.compile("— ([^ ]+) ([^ ]+)")
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")


def sign_note(text: str, key: SigningKey) -> str:
    """A signed note over a text that ends in a newline (C2SP signed-note).

    Raises:
        ValueError: the text does not end in a newline, holds a control character or half of a
            surrogate pair, or is too long to be read again.
    """
    if not text.endswith("\n"):
        raise ValueError("The text of a note ends in a newline.")
    if _CONTROL.search(text):
        raise ValueError("The text of a note holds no control character but newlines.")
    content = text.encode()  # UnicodeEncodeError is a ValueError
    blob = bytes.fromhex(key.verify_key.key_id) + key.sign(content)
    note = f"{text}\n— {key.verify_key.name} {to_base64(blob)}\n"
    if len(note.encode()) > MAX_NOTE_BYTES:
        raise ValueError(f"A note has at most {MAX_NOTE_BYTES} bytes.")
    return note


def open_note(note: str, vkeys: Iterable[VerifyKey]) -> str:
    """The text of a note that at least one of the keys has signed (C2SP signed-note).

    Signatures of other keys are ignored, as the specification demands; a failing signature of a
    known key refuses the whole note.

    Raises:
        SignatureError: the note is malformed or too long, no known key signed it, or a known key's
            signature fails.
    """
    known: dict[tuple[str, bytes], list[VerifyKey]] = {}
    for key in vkeys:
        known.setdefault((key.name, bytes.fromhex(key.key_id)), []).append(key)
    text, signatures = _split_note(note)
    content = text.encode()
    signed = False
    for name, blob in signatures:
        candidates = known.get((name, blob[:KEY_ID_BYTES]), [])
        if candidates:
            verify_any(candidates, blob[KEY_ID_BYTES:], content)
            signed = True
    if not signed:
        signers = ", ".join(sorted({name for name, _ in signatures}))[:200]
        raise SignatureError(f"No known key signed the note; it bears signatures of: {signers}.")
    return text


def _split_note(note: str) -> tuple[str, list[tuple[str, bytes]]]:
    """Text, and per signature the key name and the decoded bytes (key id first)."""
    try:
        size = len(note.encode())
    except UnicodeEncodeError:
        raise SignatureError("The note is not Unicode text.") from None
    if size > MAX_NOTE_BYTES:
        raise SignatureError(f"The note has {size} bytes; at most {MAX_NOTE_BYTES} are accepted.")
    text, blank, tail = note.rpartition("\n\n")
    if not blank or not tail.endswith("\n") or _CONTROL.search(note):
        raise SignatureError("This is not a signed note: a text, an empty line, signature lines.")
    lines = tail[:-1].split("\n")
    if len(lines) > MAX_NOTE_SIGNATURES:
        raise SignatureError(f"The note bears more than {MAX_NOTE_SIGNATURES} signatures.")
    return text + "\n", [_signature_line(line) for line in lines]


def _signature_line(line: str) -> tuple[str, bytes]:
    match = _SIGNATURE_LINE.fullmatch(line)
    if not match:
        raise SignatureError("A signature line of the note is malformed.")
    name, encoded = match.groups()
    try:
        require_name(name)
        blob = from_base64(encoded)
    except (KeyFileError, CanonicalError):
        raise SignatureError("A signature line of the note is malformed.") from None
    if len(blob) <= KEY_ID_BYTES:
        raise SignatureError("A signature line of the note is malformed.")
    return name, blob

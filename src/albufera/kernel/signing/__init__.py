"""Ed25519 keys, signed notes for texts that others read, signed messages between nodes and hub."""

from albufera.kernel.signing.keys import KeyFileError, SignatureError, SigningKey, VerifyKey
from albufera.kernel.signing.messages import Message, sign_message, verify_message
from albufera.kernel.signing.notes import (
    MAX_NOTE_BYTES,
    MAX_NOTE_SIGNATURES,
    open_note,
    sign_note,
)

__all__ = [
    "MAX_NOTE_BYTES",
    "MAX_NOTE_SIGNATURES",
    "KeyFileError",
    "Message",
    "SignatureError",
    "SigningKey",
    "VerifyKey",
    "open_note",
    "sign_message",
    "sign_note",
    "verify_message",
]

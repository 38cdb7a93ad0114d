"""Signed JSON messages between nodes and hub.

The bytes signed begin with a prefix that holds a NUL. No note may hold one, so that a key may sign
both notes and messages and neither signature is ever good for the other.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from albufera.kernel import clock
from albufera.kernel.canonical import canonical_bytes, from_base64, to_base64
from albufera.kernel.signing.keys import SignatureError, SigningKey, VerifyKey, verify_any

_DOMAIN = b"albufera-message/1\x00"
_FIELDS = {"payload", "key", "at", "nonce", "signature"}
_AT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", re.ASCII)
_NONCE = re.compile(r"[0-9A-Za-z_-]{16,64}")


@dataclass(frozen=True)
class Message:
    """A message whose signature was checked. Whether it is fresh is for the receiver to decide.

    Attributes:
        payload: what is said (JSON).
        key: who signed.
        at: when the signer says it signed.
        nonce: differs in every message of a signer; a receiver that saw it refuses the repetition.
    """

    payload: Mapping[str, object]
    key: VerifyKey
    at: datetime
    nonce: str


def sign_message(
    payload: Mapping[str, object], key: SigningKey, at: datetime, nonce: str
) -> dict[str, object]:
    """A signed JSON envelope: ``payload``, ``key``, ``at``, ``nonce``, ``signature``.

    The signature is over ``albufera-message/1``, NUL, and the canonical JSON (RFC 8785) of the
    other four. A payload names its addressee when the message must not serve another.

    Args:
        payload: an I-JSON object.
        key: the signer's key.
        at: the present moment, aware; written in UTC with milliseconds.
        nonce: 16 to 64 letters, digits, ``-`` or ``_``.

    Raises:
        ValueError: the nonce has another form.
        CanonicalError: the payload is not I-JSON.
    """
    if not _NONCE.fullmatch(nonce):
        raise ValueError("A nonce has 16 to 64 letters, digits, '-' or '_'.")
    signed: dict[str, object] = {
        "payload": dict(payload),
        "key": key.verify_key.identity,
        "at": clock.isoformat(at),
        "nonce": nonce,
    }
    signature = key.sign(_DOMAIN + canonical_bytes(signed))
    return {**signed, "signature": to_base64(signature)}


def verify_message(message: object, vkeys: Iterable[VerifyKey]) -> Message:
    """Check an envelope read from elsewhere (`canonical.read_json` bounds its size).

    The receiver MUST then refuse a message that is too old or whose nonce it has seen.

    Raises:
        SignatureError: another form, an unknown key, or the signature does not fit.
    """
    if not isinstance(message, dict) or set(message) != _FIELDS:
        raise SignatureError(f"A message has exactly the fields {sorted(_FIELDS)}.")
    payload, identity, at, nonce, encoded = (
        message[field] for field in ("payload", "key", "at", "nonce", "signature")
    )
    if not isinstance(payload, dict) or not all(
        isinstance(text, str) for text in (identity, at, nonce, encoded)
    ):
        raise SignatureError("A message's payload is an object, its other fields are texts.")
    if not _AT.fullmatch(at) or not _NONCE.fullmatch(nonce):
        raise SignatureError("The message's time or nonce has another form.")
    candidates = [key for key in vkeys if key.identity == identity]
    if not candidates:
        raise SignatureError("The message is signed by a key that is not known here.")
    try:
        when = datetime.fromisoformat(at)
        signature = from_base64(encoded)
        signed = canonical_bytes({k: v for k, v in message.items() if k != "signature"})
    except ValueError as problem:
        raise SignatureError(f"The message is malformed: {problem}.") from None
    key = verify_any(candidates, signature, _DOMAIN + signed)
    return Message(payload, key, when, nonce)

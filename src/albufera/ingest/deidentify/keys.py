"""Keyed identity: pseudonyms, UIDs and date shifts that only the holder of the key can link.

All are HMAC-SHA256 of the original under the project's secret, each in a domain of its own, so
they are the same on every run and on every machine that holds the secret, and say nothing to
anyone else. Nothing is kept: there is no table of originals to leak.
"""

import base64
import hashlib
import hmac
import unicodedata

MIN_SECRET_BYTES = 16
WEEK = 7
SHORTEST_SHIFT_WEEKS = 5
SHIFTS = 517
"""Number of different shifts: 5 to 521 weeks, that is 35 to 3647 days back."""

_UUID_VERSION_8 = 0x8 << 76
_UUID_VARIANT = 0x2 << 62
_UUID_FIXED = (0xF << 76) | (0x3 << 62)


def normalise(identifier: str) -> str:
    """A patient identifier as compared everywhere: NFC, without padding (spaces, NUL)."""
    return unicodedata.normalize("NFC", identifier).strip(" \t\r\n\0")


class ProjectKey:
    """The secret of one project, and the identities it gives.

    Raises:
        ValueError: the secret has fewer than 16 bytes (use 32 random ones).
    """

    __slots__ = ("_secret",)

    def __init__(self, secret: bytes) -> None:
        if len(secret) < MIN_SECRET_BYTES:
            raise ValueError(f"a project key needs at least {MIN_SECRET_BYTES} bytes")
        self._secret = bytes(secret)

    def __repr__(self) -> str:
        return "ProjectKey(…)"

    def pseudonym(self, original_patient_id: str, issuer: str = "") -> str:
        """`SUBJ-` and twelve base32 characters (60 bits), the same for the same patient."""
        digest = self._digest("subject", normalise(original_patient_id), normalise(issuer))
        return "SUBJ-" + base64.b32encode(digest)[:12].decode("ascii")

    def uid(self, original: str) -> str:
        """A UID for a UID: under 2.25 (PS3.5 §B.2), from a UUID of version 8 (122 keyed bits)."""
        number = int.from_bytes(self._digest("uid", original.strip(" \0"))[:16], "big")
        return f"2.25.{number & ~_UUID_FIXED | _UUID_VERSION_8 | _UUID_VARIANT}"

    def day_shift(self, original_patient_id: str) -> int:
        """Days to add to this patient's dates: whole weeks, from -3647 to -35.

        Whole weeks, so that intervals *and* weekdays hold.
        """
        digest = self._digest("day-shift", normalise(original_patient_id))
        return -WEEK * (SHORTEST_SHIFT_WEEKS + int.from_bytes(digest[:8], "big") % SHIFTS)

    def _digest(self, domain: str, *parts: str) -> bytes:
        message = "\0".join(("albufera-deidentify-1", domain, *parts))
        return hmac.digest(self._secret, message.encode("utf-8"), hashlib.sha256)

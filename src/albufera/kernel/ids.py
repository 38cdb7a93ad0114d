"""Identifiers: a readable prefix and 26 characters that sort by time of birth.

The 26 characters are a ULID (48 bits of milliseconds, 80 random bits) in lowercase Crockford
base 32, so that "newest first" is an index scan on the primary key and no identifier can be
guessed from another.
"""

import re

from albufera.kernel import clock

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_PATTERN = re.compile(r"^[a-z]{2,4}-[0-9a-hjkmnp-tv-z]{26}\Z")


def new_id(prefix: str) -> str:
    """Return a new identifier such as `ds-01jd2m…`; `prefix` is two to four letters."""
    milliseconds = int(clock.now().timestamp() * 1000)
    number = (milliseconds << 80) | int.from_bytes(clock.random_bytes(10), "big")
    characters = [_ALPHABET[(number >> shift) & 31] for shift in range(125, -1, -5)]
    return f"{prefix}-{''.join(characters)}"


def is_id(text: str, prefix: str) -> bool:
    """Tell whether `text` has the form of an identifier with this prefix."""
    return text.startswith(prefix + "-") and _PATTERN.match(text) is not None

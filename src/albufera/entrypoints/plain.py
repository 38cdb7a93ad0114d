"""Text that others wrote, made fit to be shown: nothing in it steers a terminal or the eye."""

import re

_COLOUR = re.compile(r"\x1b\[[0-9;:]*m")
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]"
)
"""Control characters (ECMA-48 C0 and C1), bidirectional overrides, lone surrogates."""


def plain(text: str) -> str:
    """Return a text without control characters but line breaks and tabs.

    Colours are left out, a carriage return becomes a line break (progress bars), everything else
    that cannot be seen is replaced by U+FFFD.
    """
    text = _COLOUR.sub("", text).replace("\r\n", "\n").replace("\r", "\n")
    return _UNSEEN.sub("�", text)


def plain_bytes(content: bytes) -> str:
    """Decode what a program printed, as UTF-8, and make it plain."""
    return plain(content.decode("utf-8", "replace"))


def whole_characters(content: bytes) -> bytes:
    """Return the bytes without a UTF-8 character that is cut off at their end (RFC 3629 §3)."""
    for back in range(1, min(4, len(content)) + 1):
        lead = content[-back]
        if lead & 0xC0 == 0x80:  # noqa: PLR2004 - a continuation byte
            continue
        needed = 2 if lead >> 5 == 0b110 else 3 if lead >> 4 == 0b1110 else 4  # noqa: PLR2004
        cut_off = lead >= 0xC0 and needed > back  # noqa: PLR2004
        return content[:-back] if cut_off and back < len(content) else content
    return content

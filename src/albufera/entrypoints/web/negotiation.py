"""Content negotiation (RFC 9110 §12.5.1): which of our media types a request prefers."""

from collections.abc import Sequence

MAX_ACCEPT = 2000


def preferred(accept: str, offered: Sequence[str]) -> str | None:
    """Return the offered type that an `Accept` header likes best; the first wins a tie.

    An absent or unreadable header accepts anything. None when nothing offered is acceptable.
    """
    ranges = [found for part in accept[:MAX_ACCEPT].split(",") if (found := _range(part))]
    if not ranges:
        return offered[0]
    best = max(offered, key=lambda media: _quality(media, ranges))
    return best if _quality(best, ranges) > 0 else None


def _range(part: str) -> tuple[str, float] | None:
    media, *parameters = (item.strip().lower() for item in part.split(";"))
    if "/" not in media:
        return None
    quality = 1.0
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            quality = _number(value.strip())
    return media, quality


def _number(text: str) -> float:
    plain = text.replace(".", "", 1)
    return min(float(text), 1.0) if plain.isascii() and plain.isdigit() else 0.0


def _quality(media: str, ranges: Sequence[tuple[str, float]]) -> float:
    """Return the quality of the most specific range that covers a media type."""
    kind = media.partition("/")[0]
    for wanted in (media, f"{kind}/*", "*/*"):
        for candidate, quality in ranges:
            if candidate == wanted:
                return quality
    return 0.0

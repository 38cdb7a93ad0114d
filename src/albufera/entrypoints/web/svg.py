"""Pieces of inline SVG and of the words on it: what `charts.py` draws with."""

import math
import re
from collections.abc import Iterable

from markupsafe import Markup

WIDTH = 360


def frame(
    title: str,
    description: str,
    prefix: str,
    height: float,
    parts: Iterable[Markup],
    *,
    width: int = WIDTH,
    kind: str = "chart",
) -> Markup:
    """An `<svg>` that fills its column; its ids start with `prefix` (else a slug of the title).

    A page with two charts of one title must give them different prefixes. Without `parts` it says
    "No data".
    """
    name = slug(prefix or title)
    body = Markup("").join(parts)
    if not height or not body:
        height, body = 40, text(0, 24, "No data", "soft")
    return Markup(
        '<svg class="{}" viewBox="0 0 {} {}" role="img" aria-labelledby="{}-title {}-desc"'
        ' xmlns="http://www.w3.org/2000/svg">'
        '<title id="{}-title">{}</title><desc id="{}-desc">{}</desc>{}</svg>'
    ).format(
        kind,
        width,
        coordinate(height),
        name,
        name,
        name,
        clean(title),
        name,
        clean(description),
        body,
    )


def text(
    x: float, y: float, words: str, kind: str = "", *, anchor: str = "start", title: str = ""
) -> Markup:
    """Words at a baseline; `title` (the whole of a shortened label) is shown on hovering."""
    hover = (
        Markup("<title>{}</title>").format(clean(title)) if title and title != words else Markup()
    )
    return Markup('<text x="{}" y="{}" class="{}" text-anchor="{}">{}{}</text>').format(
        coordinate(x), coordinate(y), kind, anchor, hover, clean(words)
    )


def rect(x: float, y: float, width: float, height: float, kind: str, *, title: str = "") -> Markup:
    """A bar of the colour class `kind` (c1…c6, h0…h4, ground)."""
    hover = Markup("<title>{}</title>").format(clean(title)) if title else Markup()
    return Markup(
        '<rect x="{}" y="{}" width="{}" height="{}" class="{}" rx="1.5">{}</rect>'
    ).format(
        coordinate(x),
        coordinate(y),
        coordinate(max(width, 0)),
        coordinate(max(height, 0)),
        kind,
        hover,
    )


def scaled(value: float, largest: float, room: float) -> float:
    """`value` on a scale of 0…`largest` over `room` units; what is not zero is never invisible."""
    if value <= 0 or largest <= 0 or not math.isfinite(value):
        return 0.0
    return max(min(value / largest, 1.0) * room, 1.5)


def number(value: float) -> str:
    """1234567 as 1,234,567."""
    return f"{value:,}"


def percent(part: int, whole: int) -> str:
    """A share in whole percent; never 0 % of something nor 100 % of not everything."""
    if whole <= 0:
        return "–"
    if 0 < 100 * part < whole:
        return "<1 %"
    if 99 * whole < 100 * part < 100 * whole:
        return ">99 %"
    return f"{100 * part / whole:.0f} %"


def compact(value: int) -> str:
    """1200000 as 1.2M: short enough for an axis. Up to 9,999 as it is."""
    for size, suffix in ((10**12, "T"), (10**9, "G"), (10**6, "M")):
        if value >= size:
            return (
                f"{value / size:,.3g}{suffix}"
                if value < 1000 * size
                else f"{value // size:,}{suffix}"
            )
    return f"{value / 1000:.3g}k" if value >= 10_000 else number(value)  # noqa: PLR2004


def short(words: str, room: int) -> str:
    """At most `room` characters, the last an ellipsis when something was cut."""
    words = clean(words)
    return words if len(words) <= room else words[: max(room - 1, 1)].rstrip() + "…"


def clean(words: str) -> str:
    """Without the control characters that XML does not allow; escaping is markupsafe's."""
    return re.sub(r"[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", words)


def slug(words: str) -> str:
    """Letters, digits and hyphens: fit for an id."""
    return re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-") or "chart"


def coordinate(value: float) -> str:
    """A length to a tenth of a unit, without trailing zeros."""
    return f"{value:.1f}".rstrip("0").rstrip(".")

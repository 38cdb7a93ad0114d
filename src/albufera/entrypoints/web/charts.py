"""Charts as inline SVG: pure functions from counts to a picture and its numbers.

Every picture is `role="img"` with `<title>` and `<desc>`, carries no style attribute and no
script (the content security policy allows neither), takes its colours from classes of `data.css`,
and is drawn 360 units wide so that its 12-unit text stays readable on a phone of 360 px.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from albufera.entrypoints.web.svg import (
    WIDTH,
    compact,
    coordinate,
    frame,
    number,
    percent,
    rect,
    scaled,
    short,
    text,
)

_GLYPH = 7.3  # width of a 12-unit character in the widest of the system fonts
_COLOURS = 6
_LONGEST_RUN = 60  # years drawn one by one
_TOLD = 12  # parts named in a description

_Row = tuple[str | int, ...]


@dataclass(frozen=True)
class Chart:
    """A drawn chart (`svg`) and the same numbers as a table (`columns`, `rows`).

    In a template `{{ chart }}` is the picture; `figures.figure(chart)` adds title and table.
    """

    title: str
    svg: Markup
    columns: tuple[dict[str, str], ...]
    rows: tuple[_Row, ...]

    def __html__(self) -> str:
        return str(self.svg)


@dataclass(frozen=True)
class Bin:
    """One class of a histogram: its label ("40–49") and how many fall in it."""

    label: str
    count: int


def bar_chart(
    title: str,
    items: Sequence[tuple[str, int]],
    *,
    prefix: str = "",
    limit: int = 8,
    unit: str = "series",
    label: str = "Value",
    whole: int | None = None,
) -> Chart:
    """Horizontal bars, one per (label, count), in order; beyond `limit` the rest is summed.

    `unit` names what is counted. The companion table lists every item. `whole` is given where one
    thing may have several values: shares are of it, and the rest is left out, not summed.
    """
    shown = _with_rest(items, limit) if whole is None else items[:limit]
    total = sum(count for _, count in items) if whole is None else whole
    largest = max((count for _, count in shown), default=0)
    parts = [
        _bar_row(name, count, 34 * at, largest, total) for at, (name, count) in enumerate(shown)
    ]
    description = _sentence(items, unit, total)
    svg = frame(title, description, prefix, 34 * len(shown), parts)
    return Chart(title, svg, _columns(label, unit), _with_shares(items, total))


def histogram(
    title: str, bins: Sequence[Bin | tuple[str, int]], *, prefix: str = "", unit: str = "subjects"
) -> Chart:
    """Upright bars over consecutive classes, with a scale of round numbers."""
    counts = [(b.label, b.count) if isinstance(b, Bin) else b for b in bins]
    ticks = _ticks(max((count for _, count in counts), default=0))
    left, height = _gutter(ticks), 170
    base = height - 24
    parts = [_rule(left, tick, ticks[-1], base) for tick in ticks]
    step = (WIDTH - left) / max(len(counts), 1)
    every = _label_stride([name for name, _ in counts], step)
    for at, (name, count) in enumerate(counts):
        x, tall = left + at * step, scaled(count, ticks[-1], base - 14)
        parts.append(_column(x, step, base - tall, tall, f"{name}: {number(count)}"))
        if at % every == 0:
            parts.append(text(x + step / 2, height - 8, name, "soft small", anchor="middle"))
    svg = frame(title, _sentence(counts, unit), prefix, height if counts else 0, parts)
    return Chart(title, svg, _columns("Class", unit), _with_shares(counts))


def age_by_sex(
    title: str,
    bands: Sequence[str],
    counts: Mapping[str, Sequence[int]],
    *,
    prefix: str = "",
    unit: str = "subjects",
) -> Chart:
    """A population pyramid: one row per age band, the first two sexes to the left and to the right.

    `counts` maps a sex ("Female", "Male", …) to one count per band. Any further category
    ("Other or unknown") is told in a line beneath and stands in the table.

    Raises:
        ValueError: a sex has not one count per band.
    """
    if any(len(values) != len(bands) for values in counts.values()):
        raise ValueError("every sex needs one count per age band")
    sides = list(counts)[:2]
    largest = max((n for side in sides for n in counts[side]), default=0)
    parts = [
        part
        for at, band in enumerate(bands)
        for part in _pyramid_row(band, [counts[s][at] for s in sides], 24 + 24 * at, largest)
    ]
    height = 24 + 24 * len(bands)
    if bands and sides:
        parts = [*_pyramid_heads(sides, counts), *parts]
    others = [(sex, sum(counts[sex])) for sex in list(counts)[2:] if sum(counts[sex])]
    for sex, count in others:
        height += 18
        parts.append(
            text(WIDTH / 2, height - 4, f"{sex}: {number(count)}", "soft", anchor="middle")
        )
    svg = frame(title, _pyramid_words(counts, unit), prefix, height if bands else 0, parts)
    rows: tuple[_Row, ...] = tuple(
        (band, *(values[at] for values in counts.values())) for at, band in enumerate(bands)
    )
    return Chart(title, svg, ({"label": "Age"}, *map(_number_column, counts)), rows)


def stacked_bar(
    title: str,
    items: Sequence[tuple[str, int]],
    *,
    prefix: str = "",
    limit: int = _COLOURS,
    unit: str = "series",
    label: str = "Value",
) -> Chart:
    """One bar divided in proportion, and a legend with the count and share of each part."""
    shown = _with_rest(items, min(limit, _COLOURS))
    total = sum(count for _, count in shown)
    parts = list(_segments(shown, total))
    for at, (name, count) in enumerate(shown):
        y = 52 + 22 * at
        parts.append(rect(0, y - 10, 12, 12, f"c{at + 1}"))
        parts.append(text(20, y, short(name, 28), title=name))
        parts.append(text(WIDTH, y, _count_and_share(count, total), "soft", anchor="end"))
    height = 40 + 22 * len(shown) if shown else 0
    svg = frame(title, _sentence(items, unit), prefix, height, parts)
    return Chart(title, svg, _columns(label, unit), _with_shares(items))


def timeline_by_year(
    title: str, years: Mapping[int, int], *, prefix: str = "", unit: str = "studies"
) -> Chart:
    """A histogram over calendar years; years without data in between are 0.

    More than 60 years are drawn by decades, so that a wrong date cannot make the picture endless.
    """
    if not years:
        return histogram(title, [], prefix=prefix, unit=unit)
    first, last = min(years), max(years)
    if last - first < _LONGEST_RUN:
        bins = [Bin(str(year), years.get(year, 0)) for year in range(first, last + 1)]
        return histogram(title, bins, prefix=prefix, unit=unit)
    decades: dict[int, int] = {}
    for year, count in sorted(years.items()):
        decades[year // 10 * 10] = decades.get(year // 10 * 10, 0) + count
    bins = [Bin(f"{decade}s", count) for decade, count in decades.items()]
    return histogram(title, bins, prefix=prefix, unit=unit)


def sparkline(title: str, values: Sequence[int | float], *, prefix: str = "") -> Chart:
    """A small line without axes (activity over the last days)."""
    width, height = 120, 28
    largest = max((v for v in values if math.isfinite(v)), default=0) or 1
    step = width / max(len(values) - 1, 1)
    points = [
        (at * step, height - 3 - scaled(v, largest, height - 6)) for at, v in enumerate(values)
    ]
    if len(points) == 1:
        points.append((width, points[0][1]))
    path = " ".join(f"{coordinate(x)},{coordinate(y)}" for x, y in points)
    parts = [Markup('<polyline class="line" points="{}"/>').format(path)] if points else []
    told = f"From {number(values[0])} to {number(values[-1])}" if values else "No data"
    svg = frame(title, told, prefix, height, parts, width=width, kind="chart spark")
    rows = tuple((at + 1, number(value)) for at, value in enumerate(values))
    return Chart(title, svg, (_number_column("Point"), _number_column("Value")), rows)


def heat_row(
    title: str, items: Sequence[tuple[str, int, int]], *, prefix: str = "", unit: str = "subjects"
) -> Chart:
    """Completeness: for each (variable, filled, of), a shaded strip and its percentage.

    `unit` names what is counted in `of`.
    """
    parts: list[Markup] = []
    for at, (name, filled, of) in enumerate(items):
        y, share = 24 * at, _share(filled, of)
        parts.append(text(0, y + 16, short(name, 23), title=name))
        parts.append(rect(178, y + 5, 130, 14, "ground"))
        if share:
            told = f"{name}: {number(filled)} of {number(of)}"
            parts.append(rect(178, y + 5, 130 * share, 14, f"h{_step(share)}", title=told))
        parts.append(text(WIDTH, y + 16, percent(filled, of), "soft", anchor="end"))
    words = ", ".join(f"{name} {percent(filled, of)}" for name, filled, of in items[:_TOLD])
    svg = frame(title, words or "No data", prefix, 24 * len(items), parts)
    columns = ({"label": "Variable"}, _number_column("Filled"), _number_column(f"Of {unit}"))
    rows = tuple((name, filled, of) for name, filled, of in items)
    return Chart(title, svg, (*columns, _number_column("Share")), _with_percent(rows))


# Drawing


def _bar_row(name: str, count: int, y: float, largest: int, total: int) -> Markup:
    value = _count_and_share(count, total)
    room = int((WIDTH - len(value) * _GLYPH - 12) / _GLYPH)
    label = text(0, y + 13, short(name, room), title=name)
    figure = text(WIDTH, y + 13, value, "soft", anchor="end")
    track = rect(0, y + 19, WIDTH, 6, "ground")
    bar = rect(0, y + 19, scaled(count, largest, WIDTH), 6, "c1", title=f"{name}: {value}")
    return Markup("").join((label, figure, track, bar))


def _column(x: float, step: float, y: float, tall: float, title: str) -> Markup:
    gap = min(3.0, step * 0.2)
    return rect(x + gap / 2, y, step - gap, tall, "c1", title=title)


def _rule(left: float, tick: int, top: int, base: float) -> Markup:
    y = base - scaled(tick, top, base - 14)
    line = Markup('<line x1="{}" x2="{}" y1="{}" y2="{}" class="{}"/>').format(
        coordinate(left), WIDTH, coordinate(y), coordinate(y), "axis" if tick == 0 else "rule"
    )
    return line + text(left - 6, y + 4, compact(tick), "soft small", anchor="end")


def _pyramid_heads(sides: Sequence[str], counts: Mapping[str, Sequence[int]]) -> list[Markup]:
    heads = [f"{short(side, 12)} {number(sum(counts[side]))}" for side in sides]
    places = ((WIDTH / 2 - 32, "end"), (WIDTH / 2 + 32, "start"))
    return [
        text(x, 13, head, "soft", anchor=anchor)
        for head, (x, anchor) in zip(heads, places, strict=False)
    ]


def _pyramid_row(band: str, values: Sequence[int], y: float, largest: int) -> list[Markup]:
    middle, gutter, room = WIDTH / 2, 30, 105
    parts = [text(middle, y + 14, short(band, 8), "soft", anchor="middle", title=band)]
    for at, value in enumerate(values):
        wide, side = scaled(value, largest, room), -1 if at == 0 else 1
        x = middle - gutter - wide if side < 0 else middle + gutter
        parts.append(rect(x, y + 3, wide, 15, f"c{at + 1}", title=f"{band}: {number(value)}"))
        edge = middle + side * (gutter + wide + 5)
        parts.append(
            text(edge, y + 14, compact(value), "small", anchor="end" if side < 0 else "start")
        )
    return parts


def _segments(items: Sequence[tuple[str, int]], total: int) -> Iterable[Markup]:
    x = 0.0
    for at, (name, count) in enumerate(items):
        wide = _share(count, total) * WIDTH
        if wide:
            title = f"{name}: {_count_and_share(count, total)}"
            drawn = max(wide - 2, 1)
            yield rect(min(x, WIDTH - drawn), 4, drawn, 22, f"c{at + 1}", title=title)
        x += wide


# Numbers and words


def _with_rest(items: Sequence[tuple[str, int]], limit: int) -> list[tuple[str, int]]:
    if len(items) <= limit:
        return list(items)
    rest = items[limit - 1 :]
    return [*items[: limit - 1], (f"{len(rest)} others", sum(count for _, count in rest))]


def _with_shares(items: Sequence[tuple[str, int]], whole: int | None = None) -> tuple[_Row, ...]:
    total = sum(count for _, count in items) if whole is None else whole
    return tuple((name, count, percent(count, total)) for name, count in items)


def _with_percent(rows: Iterable[tuple[str, int, int]]) -> tuple[_Row, ...]:
    return tuple((name, filled, of, percent(filled, of)) for name, filled, of in rows)


def _columns(label: str, unit: str) -> tuple[dict[str, str], ...]:
    return ({"label": label}, _number_column(unit.capitalize()), _number_column("Share"))


def _number_column(label: str) -> dict[str, str]:
    return {"label": label, "kind": "number"}


def _sentence(items: Sequence[tuple[str, int]], unit: str, whole: int | None = None) -> str:
    if not items:
        return "No data"
    told = ", ".join(f"{name} {number(count)}" for name, count in items[:_TOLD])
    more = f", and {len(items) - _TOLD} more" if len(items) > _TOLD else ""
    total = sum(count for _, count in items) if whole is None else whole
    return f"{number(total)} {unit}: {told}{more}"


def _pyramid_words(counts: Mapping[str, Sequence[int]], unit: str) -> str:
    total = sum(sum(values) for values in counts.values())
    if not total:
        return "No data"
    sexes = ", ".join(f"{sex} {number(sum(values))}" for sex, values in counts.items())
    return f"{number(total)} {unit} by age band: {sexes}"


def _ticks(largest: int) -> list[int]:
    """0 and two to five round numbers up to at least `largest` (steps of 1, 2 or 5 × 10ⁿ)."""
    if largest <= 0:
        return [0, 1]
    power = 10 ** max(len(str(largest)) - 2, 0)
    step = next(s for k in (1, 10, 100) for m in (1, 2, 5) if 4 * (s := m * power * k) >= largest)
    return list(range(0, (largest + step - 1) // step * step + 1, step))


def _gutter(ticks: Sequence[int]) -> float:
    return max(len(compact(tick)) for tick in ticks) * 6.8 + 10


def _label_stride(labels: Sequence[str], step: float) -> int:
    widest = max((len(label) for label in labels), default=1) * 6.8 + 6
    return max(1, math.ceil(widest / step))


def _share(part: int, whole: int) -> float:
    return min(max(part / whole, 0.0), 1.0) if whole > 0 else 0.0


def _step(share: float) -> int:
    """The shade of a share above 0: 1…4 by quarters."""
    return min(4, math.ceil(share * 4))


def _count_and_share(count: int, total: int) -> str:
    return f"{number(count)} · {percent(count, total)}" if total > 0 else number(count)

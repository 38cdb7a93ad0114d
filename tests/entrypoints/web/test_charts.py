"""Charts: well-formed, safe, readable, and true to the numbers they are given."""

import re
from collections.abc import Callable
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from albufera.entrypoints.web import charts
from albufera.entrypoints.web.charts import Bin, Chart
from albufera.entrypoints.web.svg import compact, percent, short

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = '<script>alert("x")</script>&\x00\x1b\ud800\'onload="y'

items = st.lists(st.tuples(st.text(max_size=60), st.integers(0, 10**15)), max_size=20)

DRAWINGS: list[tuple[str, Callable[[str, int], Chart]]] = [
    ("bar", lambda name, n: charts.bar_chart(name, [(name, n), ("b", 1)])),
    ("histogram", lambda name, n: charts.histogram(name, [Bin(name, n), Bin("50", 2)])),
    ("pyramid", lambda name, n: charts.age_by_sex(name, [name], {"F": [n], name: [1], "O": [3]})),
    ("stacked", lambda name, n: charts.stacked_bar(name, [(name, n), ("b", 1)])),
    ("years", lambda name, n: charts.timeline_by_year(name, {2020: n, 2023: 1}, unit=name)),
    ("spark", lambda name, n: charts.sparkline(name, [1, n, 3])),
    ("heat", lambda name, n: charts.heat_row(name, [(name, n, n + 5)])),
]
EMPTY = [
    charts.bar_chart("A", []),
    charts.histogram("A", []),
    charts.age_by_sex("A", [], {"Female": [], "Male": []}),
    charts.stacked_bar("A", []),
    charts.timeline_by_year("A", {}),
    charts.sparkline("A", []),
    charts.heat_row("A", []),
]
each = pytest.mark.parametrize("draw", [d for _, d in DRAWINGS], ids=[n for n, _ in DRAWINGS])


def parsed(chart: Chart) -> ET.Element:
    return ET.fromstring(str(chart.svg))


def bars(chart: Chart, kind: str) -> list[float]:
    rects = parsed(chart).iter(f"{SVG}rect")
    return [float(rect.attrib["width"]) for rect in rects if rect.attrib["class"] == kind]


@each
@pytest.mark.parametrize("count", [0, 1, 10**15])
def test_a_chart_is_well_formed_and_named(draw: Callable[[str, int], Chart], count: int) -> None:
    svg = parsed(draw("Ages & sexes", count))
    assert svg.attrib["role"] == "img"
    ids = [part.attrib["id"] for part in svg.iter() if "id" in part.attrib]
    assert svg.attrib["aria-labelledby"].split() == ids == ["ages-sexes-title", "ages-sexes-desc"]
    assert svg.findtext(f"{SVG}title") == "Ages & sexes"
    assert svg.findtext(f"{SVG}desc")


@each
def test_hostile_words_stay_words(draw: Callable[[str, int], Chart]) -> None:
    chart = draw(HOSTILE, 5)
    svg = parsed(chart)
    assert "<script" not in str(chart.svg)
    known = {f"{SVG}{tag}" for tag in ("svg", "title", "desc", "text", "rect", "line", "polyline")}
    assert {part.tag for part in svg.iter()} <= known
    str(chart.svg).encode()


@each
def test_nothing_the_content_security_policy_forbids(draw: Callable[[str, int], Chart]) -> None:
    for part in parsed(draw("Years", 7)).iter():
        assert not [name for name in part.attrib if name == "style" or name.startswith("on")]


@pytest.mark.parametrize("chart", EMPTY)
def test_no_data_is_said(chart: Chart) -> None:
    assert [text.text for text in parsed(chart).iter(f"{SVG}text")] == ["No data"]
    assert chart.rows == ()


@each
def test_every_coordinate_lies_on_the_picture(draw: Callable[[str, int], Chart]) -> None:
    svg = parsed(draw("A rather long name that has no room", 10**15))
    width = float(svg.attrib["viewBox"].split()[2])
    for rect in svg.iter(f"{SVG}rect"):
        x, wide = float(rect.attrib["x"]), float(rect.attrib["width"])
        assert x >= 0
        assert x + wide <= width + 0.2


def test_a_prefix_makes_ids_unique() -> None:
    ids = [
        set(re.findall(r'id="([^"]+)"', str(charts.bar_chart("A", [], prefix=p).svg)))
        for p in ("one", "two")
    ]
    assert ids[0].isdisjoint(ids[1])


def test_bars_are_in_proportion() -> None:
    assert bars(charts.bar_chart("A", [("a", 100), ("b", 50), ("c", 0)]), "c1") == [360, 180, 0]


def test_what_is_not_zero_is_seen() -> None:
    assert bars(charts.bar_chart("A", [("a", 10**9), ("b", 1)]), "c1")[1] > 1


@given(items)
def test_bars_beyond_the_limit_are_summed_and_the_table_has_them_all(
    given_items: list[tuple[str, int]],
) -> None:
    chart = charts.bar_chart("A", given_items, limit=5)
    assert len(bars(chart, "c1")) == min(len(given_items), 5)
    assert [(row[0], row[1]) for row in chart.rows] == given_items


def test_the_rest_is_the_sum_of_the_others() -> None:
    chart = charts.stacked_bar("A", [(str(n), 10) for n in range(9)], limit=3)
    assert "7 others" in str(chart.svg)
    assert "70 · 78 %" in str(chart.svg)


@given(items)
def test_a_stacked_bar_is_never_longer_than_the_picture(given_items: list[tuple[str, int]]) -> None:
    svg = parsed(charts.stacked_bar("A", given_items))
    bar = [r for r in svg.iter(f"{SVG}rect") if r.attrib["height"] == "22"]
    assert all(float(r.attrib["x"]) + float(r.attrib["width"]) <= 360.1 for r in bar)


@given(st.integers(0, 10**18))
def test_ticks_are_few_round_and_cover_the_largest(largest: int) -> None:
    ticks = charts._ticks(largest)
    assert 2 <= len(ticks) <= 6
    assert ticks[0] == 0
    assert ticks[-1] >= largest
    assert str(ticks[1]).rstrip("0") in {"1", "2", "5"}


def test_age_by_sex_tells_every_category() -> None:
    counts = {"Female": [3, 4], "Male": [1, 2], "Other or unknown": [0, 7]}
    chart = charts.age_by_sex("A", ["40–49", "50–59"], counts)
    assert chart.rows == (("40–49", 3, 1, 0), ("50–59", 4, 2, 7))
    assert "Other or unknown: 7" in str(chart.svg)
    assert "17 subjects" in str(chart.svg)


def test_age_by_sex_refuses_uneven_counts() -> None:
    with pytest.raises(ValueError, match="one count per age band"):
        charts.age_by_sex("A", ["40–49"], {"Female": [1, 2]})


def test_years_without_data_are_zero() -> None:
    chart = charts.timeline_by_year("A", {2020: 3, 2023: 1})
    assert [row[:2] for row in chart.rows] == [("2020", 3), ("2021", 0), ("2022", 0), ("2023", 1)]


def test_a_wrong_year_does_not_make_the_picture_endless() -> None:
    chart = charts.timeline_by_year("A", {1: 2, 2020: 3, 2024: 4})
    assert [row[:2] for row in chart.rows] == [("0s", 2), ("2020s", 7)]


def test_completeness_shows_nothing_for_nothing() -> None:
    chart = charts.heat_row(
        "A", [("none", 0, 10), ("half", 5, 10), ("all", 10, 10), ("of 0", 0, 0)]
    )
    assert bars(chart, "h2") == [65]
    assert bars(chart, "h4") == [130]
    assert [row[3] for row in chart.rows] == ["0 %", "50 %", "100 %", "–"]


@pytest.mark.parametrize(
    ("part", "whole", "said"),
    [(0, 0, "–"), (0, 5, "0 %"), (1, 10**6, "<1 %"), (999_999, 10**6, ">99 %"), (5, 5, "100 %")],
)
def test_percent_never_rounds_to_nothing_or_all(part: int, whole: int, said: str) -> None:
    assert percent(part, whole) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [(0, "0"), (9999, "9,999"), (15_000, "15k"), (1_200_000, "1.2M"), (5 * 10**15, "5,000T")],
)
def test_compact_numbers(value: int, said: str) -> None:
    assert compact(value) == said


def test_a_long_label_is_cut_and_told_whole_on_hovering() -> None:
    name = "Philips Medical Systems Nederland B.V., Best, the Netherlands"
    svg = parsed(charts.bar_chart("A", [(name, 3)]))
    label = next(svg.iter(f"{SVG}text"))
    assert label.findtext(f"{SVG}title") == name
    assert short(name, 10) == "Philips M…"

"""Every pair of text and ground that the sheets use meets WCAG 2.2 AA, in light and in dark."""

import re
from pathlib import Path

import pytest

STATIC = Path(__file__).parents[3] / "src/albufera/entrypoints/web/static"

GROUNDS = ("paper", "surface", "sunken")
TONES = ("neutral", "progress", "info", "good", "warn", "bad")
TEXT = [
    *[(ink, ground) for ink in ("ink", "ink-soft", "link", "link-strong") for ground in GROUNDS],
    *[(tone, f"{tone}-ground") for tone in TONES],
    *[("ink", f"{tone}-ground") for tone in TONES],
    *[("link", f"{tone}-ground") for tone in ("info", "good", "warn", "bad")],
    *[(tone, ground) for tone in ("warn", "bad", "danger", "dusk") for ground in GROUNDS],
    *[(ink, "selected") for ink in ("ink", "ink-soft", "link", "link-strong")],
    ("on-primary", "primary"),
    ("on-primary", "primary-hover"),
    ("on-danger", "danger"),
    ("on-danger", "danger-hover"),
    ("on-night", "night"),
    ("on-night-soft", "night"),
    ("ember", "night"),
    ("night", "ember"),
]
SHAPES = [
    *[("line-strong", ground) for ground in ("paper", "surface")],
    *[("focus", ground) for ground in GROUNDS],
    *[(f"chart-{at}", "paper") for at in range(1, 7)],
    *[("primary", ground) for ground in ("paper", "line")],
]


def _colours(css: str) -> dict[str, str]:
    return dict(re.findall(r"--([a-z0-9-]+):\s*(#[0-9a-f]{6})\s*;", css))


def _schemes() -> dict[str, dict[str, str]]:
    light, dark = (STATIC / "tokens.css").read_text().split("@media (prefers-color-scheme: dark)")
    return {"light": _colours(light), "dark": _colours(light) | _colours(dark)}


def _luminance(colour: str) -> float:
    """WCAG 2.2, relative luminance."""
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one: str, other: str) -> float:
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_of_black_on_white_is_21() -> None:
    assert _contrast("#000000", "#ffffff") == pytest.approx(21)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("ink", "ground"), TEXT)
def test_text_meets_aa(scheme: str, ink: str, ground: str) -> None:
    colours = _schemes()[scheme]
    assert _contrast(colours[ink], colours[ground]) >= 4.5


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("shape", "ground"), SHAPES)
def test_shapes_and_edges_meet_aa(scheme: str, shape: str, ground: str) -> None:
    """WCAG 2.2 §1.4.11: what one must see to operate or to read a picture has 3:1."""
    colours = _schemes()[scheme]
    assert _contrast(colours[shape], colours[ground]) >= 3


def test_colours_are_named_in_one_file_only() -> None:
    """Other sheets take colours from the tokens, save the black around pictures."""
    for sheet in STATIC.glob("*.css"):
        if sheet.name != "tokens.css":
            literal = set(re.findall(r"#[0-9a-f]{3,8}\b", sheet.read_text()))
            assert literal <= {"#000", "#cfdedd"}, sheet.name


def test_every_variable_used_is_defined() -> None:
    sheets = "".join(sheet.read_text() for sheet in STATIC.glob("*.css"))
    used = set(re.findall(r"var\(--([a-z0-9-]+)", sheets))
    assert used <= set(re.findall(r"--([a-z0-9-]+):", sheets))

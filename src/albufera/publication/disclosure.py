"""Counts that may be shown to anybody: no small group, nor a way to compute one.

A count of subjects below `SMALL` is hidden. Where the total is known, a single hidden count could
be had by subtraction: then the next smallest is hidden too, until the hidden ones are at least two
and add up to at least `SMALL`. Hidden counts of both sorts look the same.
"""

from collections.abc import Mapping, Sequence
from typing import Any

SMALL = 5
"""Fewer subjects than this are never counted in public."""

FACETS = ("sex", "modality", "bodyPart", "manufacturer", "year", "diagnosis")
"""The counted properties that the public may see."""

Count = int | None
"""A number, or None for one that is hidden."""


def hide_small(counts: Sequence[int]) -> list[Count]:
    """Return the counts of the parts of a whole, the small ones hidden."""
    hidden = {i for i, count in enumerate(counts) if 0 < count < SMALL}
    larger = sorted((c, i) for i, c in enumerate(counts) if c >= SMALL)
    while hidden and larger and (len(hidden) == 1 or sum(counts[i] for i in hidden) < SMALL):
        hidden.add(larger.pop(0)[1])
    return [None if i in hidden else count for i, count in enumerate(counts)]


def public_total(count: int) -> Count:
    """Return a total that may be shown to anybody: hidden when it is small."""
    return count if count >= SMALL or count == 0 else None


def public_aggregate(aggregate: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the public may see of a dataset's aggregated metadata.

    Counts of studies and series per value are left out, as is the breakdown of ages by sex: each
    would narrow a hidden count down. The age range is that of the bands, not of the people.
    """
    total = int(aggregate.get("subjects", 0))
    return {
        "threshold": SMALL,
        "subjects": public_total(total),
        "studies": int(aggregate.get("studies", 0)),
        "series": int(aggregate.get("series", 0)),
        "images": int(aggregate.get("images", 0)),
        "bytes": int(aggregate.get("bytes", 0)),
        "age": _ages(aggregate.get("age") or {}),
        **{name: _facet(aggregate.get(name) or ()) for name in FACETS},
    }


def shown(count: Count) -> str:
    """Return a count for people: with separators, or “hidden” in words."""
    return f"fewer than {SMALL}, or hidden" if count is None else f"{count:,}"


def _ages(age: Mapping[str, Any]) -> dict[str, Any]:
    bands = list(age.get("bands") or ())
    counts = hide_small([int(band["subjects"]) for band in bands] + [int(age.get("unknown") or 0)])
    inhabited = [band for band in bands if band["subjects"]]
    return {
        "min": inhabited[0]["from"] if inhabited else None,
        "max": _end(str(inhabited[-1]["label"])) if inhabited else None,
        "unit": "years",
        "bands": [
            {"label": str(band["label"]), "subjects": count}
            for band, count in zip(bands, counts, strict=False)
        ],
        "unknown": counts[-1],
    }


def _end(label: str) -> int | None:
    """Return the last age of a band's label; None for the open one."""
    last = label.rpartition("–")[2]
    return int(last) if last.isdigit() else None


def _facet(items: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    counts = hide_small([int(item["subjects"]) for item in items])
    named = ((item["value"], count) for item, count in zip(items, counts, strict=True))
    return [
        {"value": str(value) if value not in (None, "") else "unknown", "subjects": count}
        for value, count in named
    ]

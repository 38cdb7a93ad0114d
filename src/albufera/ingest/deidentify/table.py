"""PS3.15 Table E.1-1 (Application Level Confidentiality Profile Attributes) as data.

The rows are a data file of the package; its `edition` says which edition of the standard they
hold. `albufera.ingest.deidentify.edition` is the command that derived the file and that compares
it with another edition.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

EDITION = "2026c"
"""The edition of PS3.15 that the shipped table holds."""

SHIPPED = Path(__file__).parent / "tables" / f"ps3.15-e.1-1-{EDITION}.json"

PRIVATE = "private"
"""The pattern of the row "Private Attributes": (gggg,eeee) where gggg is odd."""

PATTERN_LENGTH = 8


@dataclass(frozen=True, slots=True)
class Row:
    """One row: `pattern` is eight hex digits, where `x` stands for any digit, or `PRIVATE`."""

    pattern: str
    name: str
    basic: str
    """The code of the Basic Profile column: X, Z, D, U or a compound such as X/Z/D."""
    options: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Option column → K (keep) or C (clean); an absent column means the Basic Profile holds."""
    since: str = ""
    """The edition this row was added in, where that is later than the base edition."""

    @property
    def tag(self) -> int | None:
        """The tag, or None for a row that stands for a group of tags."""
        if self.pattern == PRIVATE or "x" in self.pattern:
            return None
        return int(self.pattern, 16)

    def matches(self, tag: int) -> bool:
        """Whether `tag` (group in the high 16 bits) is one this row stands for."""
        if self.pattern == PRIVATE:
            return bool(tag >> 16 & 1)
        digits = f"{tag:08x}"
        return all(want in ("x", have) for want, have in zip(self.pattern, digits, strict=True))


@dataclass(frozen=True)
class Table:
    """The rows of one edition, and the question every element asks of them."""

    edition: str
    rows: tuple[Row, ...]

    @cached_property
    def _single(self) -> dict[int, Row]:
        return {row.tag: row for row in self.rows if row.tag is not None}

    @cached_property
    def _groups(self) -> tuple[Row, ...]:
        return tuple(row for row in self.rows if row.tag is None)

    def row(self, tag: int) -> Row | None:
        """The row that rules `tag`; a row of its own comes before a row for a group."""
        own = self._single.get(tag)
        if own is not None:
            return own
        return next((row for row in self._groups if row.matches(tag)), None)


@dataclass(frozen=True, slots=True)
class Comparison:
    """How one edition differs from another; `changed` holds (before, after) pairs."""

    added: tuple[Row, ...]
    removed: tuple[Row, ...]
    changed: tuple[tuple[Row, Row], ...]


def compare(before: Table, after: Table) -> Comparison:
    """What `after` adds, removes and changes (code or option columns) relative to `before`."""
    old, new = _by_pattern(before.rows), _by_pattern(after.rows)
    changed = tuple(
        (old[pattern], new[pattern])
        for pattern in sorted(old.keys() & new.keys())
        if (old[pattern].basic, old[pattern].options) != (new[pattern].basic, new[pattern].options)
    )
    return Comparison(
        added=tuple(new[pattern] for pattern in sorted(new.keys() - old.keys())),
        removed=tuple(old[pattern] for pattern in sorted(old.keys() - new.keys())),
        changed=changed,
    )


def _by_pattern(rows: Iterable[Row]) -> dict[str, Row]:
    return {row.pattern: row for row in rows}


def parse(document: Mapping[str, Any]) -> Table:
    """A table from its JSON document.

    Raises:
        ValueError: a pattern is malformed or appears twice.
    """
    rows = tuple(
        Row(
            entry["tag"],
            entry["name"],
            entry["basic"],
            dict(entry.get("options", {})),
            entry.get("since", ""),
        )
        for entry in document["rows"]
    )
    for row in rows:
        if row.pattern != PRIVATE and len(row.pattern) != PATTERN_LENGTH:
            raise ValueError(f"not a tag pattern: {row.pattern!r}")
    if len(_by_pattern(rows)) != len(rows):
        raise ValueError("a tag has more than one row")
    return Table(document["edition"], rows)


def load(path: Path) -> Table:
    """The table held in the JSON file at `path`."""
    return parse(json.loads(path.read_text(encoding="utf-8")))


@cache
def shipped() -> Table:
    """The table that the engine obeys."""
    return load(SHIPPED)

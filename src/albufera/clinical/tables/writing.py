"""Writing CSV that a spreadsheet reads as data and never runs as formulas."""

import csv
from collections.abc import Iterable, Sequence
from typing import TextIO

from albufera.clinical.model import Value

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


def cell_text(value: Value | None) -> str:
    """Write one value; a text that a spreadsheet would take for a formula gets an apostrophe."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case str():
            return "'" + value if value.startswith(_FORMULA_STARTS) else value
        case _:
            return repr(value)


def write_table(
    stream: TextIO, header: Sequence[str], rows: Iterable[Sequence[Value | None]]
) -> None:
    """Write a header and rows as RFC 4180 asks, in the order given."""
    writer = csv.writer(stream, lineterminator="\r\n")
    writer.writerow([cell_text(name) for name in header])
    for row in rows:
        writer.writerow([cell_text(value) for value in row])

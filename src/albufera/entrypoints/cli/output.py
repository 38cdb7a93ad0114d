"""What commands print: a table or a sentence for people, one JSON document for programs."""

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click

from albufera.entrypoints.plain import plain

MAX_COLUMN = 60


class Output:
    """The way out of a command. With `--json`, stdout carries one document and nothing else."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json

    def document(self, value: Any) -> None:
        """Print a JSON document when that was asked for."""
        if self.as_json:
            click.echo(json.dumps(value, ensure_ascii=False, indent=2, default=str))

    def say(self, sentence: str) -> None:
        """Print a sentence for people; programs do not see it."""
        if not self.as_json:
            click.echo(plain(sentence))

    def record(self, value: Mapping[str, Any]) -> None:
        """Print one thing, a line for each property."""
        if self.as_json:
            self.document(value)
            return
        width = max((len(key) for key in value), default=0)
        for key, shown in value.items():
            click.echo(f"{key:<{width}}  {_cell(shown)}")

    def table(self, rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
        """Print things as a table of some of their properties (all of them in JSON)."""
        if self.as_json:
            self.document(list(rows))
            return
        if not rows:
            click.echo("Nothing to show.")
            return
        cells = [[_cell(row.get(column)) for column in columns] for row in rows]
        widths = [
            min(MAX_COLUMN, max(len(title), *(len(line[i]) for line in cells)))
            for i, title in enumerate(columns)
        ]
        for line in [list(columns), ["-" * width for width in widths], *cells]:
            shown = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
            click.echo("  ".join(shown).rstrip())

    def progress(self, done: int, total: int, note: str) -> None:
        """Draw a progress bar on a terminal, and nothing in a pipe or with `--json`."""
        if self.as_json or not sys.stderr.isatty():
            return
        share = done / total if total else 0.0
        bar = "█" * round(share * 30)
        click.echo(f"\r{bar:<30} {done}/{total} {note[:40]:<40}", nl=False, err=True)
        if total and done >= total:
            click.echo("", err=True)


def _cell(value: Any) -> str:
    if value is None or value == "":
        return "–"
    if isinstance(value, list):
        return ", ".join(_cell(item) for item in value) or "–"
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)
    return plain(str(value))

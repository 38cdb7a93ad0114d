"""Reading CSV (RFC 4180, and what spreadsheets make of it) row by row, in bounded memory.

Any bytes give rows and problems, never an exception other than `table-refused` for a file that
has no usable header. A line that is broken does not take its neighbours with it: when a quote is
never closed, the lines that it would have swallowed are read again on their own.
"""

import csv
import hashlib
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from albufera.clinical.model import TABLE_REFUSED

MAX_BYTES = 64 * 1024 * 1024
MAX_LINE = 256 * 1024
MAX_ROWS = 100_000
MAX_COLUMNS = 2_000
MAX_LINES_OF_RECORD = 50
MAX_BROKEN = 1_000

_BOM = b"\xef\xbb\xbf"
_OTHER_FILES = {
    b"PK\x03\x04": "a workbook or ZIP file",
    b"\xd0\xcf\x11\xe0": "an old workbook",
    b"\xff\xfe": "text in UTF-16",
    b"\xfe\xff": "text in UTF-16",
    b"%PDF": "a PDF document",
    b"{": "a JSON document",
}


@dataclass(frozen=True)
class Row:
    """A row as read: the line on which it begins (the header is line 1), and its cells.

    `problem` says why it is not a row of the table; then it has no cells.
    """

    line: int
    cells: Sequence[str] = ()
    problem: str = ""


@dataclass(frozen=True)
class End:
    """Where reading stopped before the end of the file, and why."""

    line: int
    problem: str


class TableReader:
    """A CSV file being read. `header` is there at once; `rows` gives the rest, once."""

    def __init__(self, stream: BinaryIO) -> None:
        self._lines = _Lines(stream)
        first = self._first_line()
        self.delimiter = _delimiter(first)
        self._lines.push_back([first])
        opening = self._next_row()
        if opening is None or opening.problem:
            problem = opening.problem if opening is not None else "it is empty."
            raise TABLE_REFUSED(f"The header line cannot be read: {problem}")
        self.header = [cell.strip() for cell in opening.cells]
        if len(self.header) > MAX_COLUMNS:
            raise TABLE_REFUSED(
                f"The table has {len(self.header)} columns; at most {MAX_COLUMNS} are read."
            )

    def rows(self) -> Iterator[Row | End]:
        """Yield every row that is not blank; ends with an `End` when a limit was met."""
        count = broken = 0
        while (row := self._next_row()) is not None:
            if not row.problem and not any(cell.strip() for cell in row.cells):
                continue
            count, broken = count + 1, broken + bool(row.problem)
            if count > MAX_ROWS:
                yield End(row.line, f"only the first {MAX_ROWS} rows of a file are read.")
                return
            if broken > MAX_BROKEN:
                yield End(row.line, f"more than {MAX_BROKEN} lines are not CSV.")
                return
            yield row
        if self._lines.too_long:
            yield End(self._lines.number, f"only the first {MAX_BYTES} bytes of a file are read.")

    def digest(self) -> str:
        """Return the SHA-256 of the bytes read so far."""
        return self._lines.hash.hexdigest()

    def _first_line(self) -> "_Line":
        line = self._lines.take()
        while line is not None and not line.problem and not line.text.strip():
            line = self._lines.take()
        if line is None:
            raise TABLE_REFUSED("The file is empty.")
        if line.problem:
            raise TABLE_REFUSED(f"The header line cannot be read: {line.problem}")
        return line

    def _next_row(self) -> Row | None:
        first = self._lines.take()
        if first is None:
            return None
        if first.problem:
            return Row(first.number, problem=first.problem)
        taken = [first]
        try:
            return Row(first.number, self._parse(taken))
        except _Broken as broken:
            self._lines.push_back(taken[1:])
            return Row(first.number, problem=str(broken))

    def _parse(self, taken: list["_Line"]) -> list[str]:
        """Parse the record that begins in `taken`; lines that it goes on to are added there."""
        try:
            record = next(csv.reader(self._feed(taken), delimiter=self.delimiter, strict=True))
        except StopIteration:
            return []
        except csv.Error as failure:
            raise _Broken(_sentence(str(failure))) from None
        return record

    def _feed(self, taken: list["_Line"]) -> Iterator[str]:
        yield taken[0].text
        while len(taken) < MAX_LINES_OF_RECORD and (line := self._lines.take()) is not None:
            taken.append(line)
            if line.problem:
                break
            yield line.text


class _Broken(Exception):
    """A record that is not CSV."""


@dataclass(frozen=True)
class _Line:
    number: int
    text: str = ""
    problem: str = ""


class _Lines:
    """The lines of a stream, decoded one by one, none longer than `MAX_LINE` bytes."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._again: deque[_Line] = deque()
        self._read = 0
        self.hash = hashlib.sha256()
        self.number = 0
        self.too_long = False

    def take(self) -> _Line | None:
        """Return the next line, or None at the end of the file (or of what is read of it)."""
        if self._again:
            return self._again.popleft()
        if self._read >= MAX_BYTES:
            self.too_long = bool(self._stream.read(1)) or self.too_long
            return None
        content = self._stream.readline(MAX_LINE + 1)
        if not content:
            return None
        self.number += 1
        self._count(content)
        if self.number == 1:
            content = _start(content)
        if len(content) > MAX_LINE:
            self._skip_line()
            return _Line(self.number, problem=f"the line is longer than {MAX_LINE} bytes.")
        try:
            return _Line(self.number, content.decode("utf-8"))
        except UnicodeDecodeError:
            return _Line(self.number, problem="the line is not UTF-8: save the table as UTF-8.")

    def push_back(self, lines: Sequence[_Line]) -> None:
        """Give lines back, to be taken again."""
        self._again.extendleft(reversed(lines))

    def _skip_line(self) -> None:
        while (part := self._stream.readline(MAX_LINE)) and self._read < MAX_BYTES:
            self._count(part)
            if part.endswith(b"\n"):
                return

    def _count(self, content: bytes) -> None:
        self._read += len(content)
        self.hash.update(content)


def _start(content: bytes) -> bytes:
    for signature, what in _OTHER_FILES.items():
        if content.startswith(signature):
            raise TABLE_REFUSED(f"This is {what}: save the table as CSV in UTF-8.")
    return content.removeprefix(_BOM)


def _delimiter(line: _Line) -> str:
    outside_quotes = "".join(line.text.split('"')[::2])
    return max((",", ";", "\t"), key=outside_quotes.count)


def _sentence(failure: str) -> str:
    if "unexpected end of data" in failure:
        return "a quote is opened and not closed."
    if "expected after" in failure:
        return "a quoted cell goes on after its closing quote (write a quote inside one twice)."
    if "field larger" in failure:
        return "a cell is too long."
    return "it is not CSV (a stray line end?)."

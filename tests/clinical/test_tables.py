"""Reading CSV and converting cells: any bytes give rows and problems, never an exception."""

import contextlib
import csv
import io
from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from albufera.clinical.forms import read_form
from albufera.clinical.model import Value
from albufera.clinical.tables import reading
from albufera.clinical.tables.cells import WrongCell, convert, is_missing
from albufera.clinical.tables.reading import End, Row, TableReader
from albufera.kernel.errors import Refusal
from tests.clinical.forms import EVERY_TYPE, as_bytes

FORM = read_form(as_bytes(EVERY_TYPE))


def rows_of(content: bytes) -> list[Row | End]:
    return list(TableReader(io.BytesIO(content)).rows())


def good(content: bytes) -> list[tuple[int, list[str]]]:
    return [
        (r.line, list(r.cells)) for r in rows_of(content) if isinstance(r, Row) and not r.problem
    ]


def refusal(content: bytes) -> str:
    with pytest.raises(Refusal) as caught:
        rows_of(content)
    assert caught.value.code == "table-refused"
    return caught.value.detail


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_delimiters_byte_order_mark_and_line_ends(delimiter: str, bom: bytes, newline: str) -> None:
    lines = [["subject", "a b", "c"], ["1", f'"x{delimiter}y"', '"say ""so"""'], ["2", "", "é"]]
    content = bom + newline.join(delimiter.join(line) for line in lines).encode()
    reader = TableReader(io.BytesIO(content))
    assert reader.header == ["subject", "a b", "c"]
    assert [list(r.cells) for r in reader.rows() if isinstance(r, Row)] == [
        ["1", f"x{delimiter}y", 'say "so"'],
        ["2", "", "é"],
    ]


def test_a_cell_may_have_several_lines_and_rows_keep_the_line_they_begin_on() -> None:
    assert good(b'subject,a\n\n1,"x\ny"\n  ,\n2,z\n') == [(3, ["1", "x\ny"]), (6, ["2", "z"])]


def test_an_open_quote_spoils_its_own_row_alone() -> None:
    found = rows_of(b'subject,a\n1,"x\n2,y\n3,z\n')
    assert [(r.line, bool(r.problem)) for r in found] == [(2, True), (3, False), (4, False)]
    assert "quote" in found[0].problem


def test_bytes_that_are_not_utf8_spoil_their_own_row_alone() -> None:
    found = rows_of(b"subject,a\n1,x\n2,caf\xe9\n3,z\n")
    assert [(r.line, bool(r.problem)) for r in found] == [(2, False), (3, True), (4, False)]
    assert "UTF-8" in found[1].problem


def test_a_huge_line_spoils_its_own_row_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    content = b"subject,a\n1,x\n2," + b"y" * (3 * reading.MAX_LINE) + b"\n3,z\n"
    found = rows_of(content)
    assert [(r.line, bool(r.problem)) for r in found] == [(2, False), (3, True), (4, False)]
    assert "longer" in found[1].problem


def test_a_cell_over_the_parsers_limit_spoils_its_own_row_alone() -> None:
    content = b'subject,a\n1,"' + b"y" * 200_000 + b'"\n3,z\n'
    found = rows_of(content)
    assert [(r.line, bool(r.problem)) for r in found] == [(2, True), (3, False)]


def test_nul_is_a_character_like_another_and_no_value() -> None:
    assert good(b"subject,a\n1,\0\n") == [(2, ["1", "\0"])]
    with pytest.raises(WrongCell):
        convert_to("note", "a\0b")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b"\n\n  \n", "empty"),
        (b"PK\x03\x04rest", "workbook or ZIP"),
        (b"\xff\xfes\0u\0", "UTF-16"),
        (b'{"resourceType": "Bundle"}', "JSON"),
        (b"\xe9,a\n1,2\n", "UTF-8"),
        (b"a," * 1_000_000, "longer than"),
        (b"," * 3000 + b"\n", "at most 2000"),
        (b'"open,a\n1,2\n', "quote"),
        (b"a\rb\rc", "header line"),
    ],
)
def test_a_file_without_a_usable_header_is_refused(content: bytes, says: str) -> None:
    assert says in refusal(content)


def test_reading_stops_at_its_limits_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MAX_ROWS", 3)
    found = rows_of(b"subject\n" + b"x\n" * 10)
    assert len(found) == 4
    assert isinstance(found[-1], End)
    monkeypatch.setattr(reading, "MAX_ROWS", 1000)
    monkeypatch.setattr(reading, "MAX_BROKEN", 2)
    found = rows_of(b"subject\n" + b"\xff\n" * 10)
    assert isinstance(found[-1], End)
    assert len(found) == 3
    monkeypatch.setattr(reading, "MAX_BYTES", 20)
    found = rows_of(b"subject\n" + b"x\n" * 30)
    assert isinstance(found[-1], End)
    assert "20 bytes" in found[-1].problem


@given(st.binary(max_size=300) | st.text(alphabet='a1,;\t"\n\r\0é=', max_size=120).map(str.encode))
@settings(max_examples=500)
def test_any_bytes_give_rows_or_a_refusal(content: bytes) -> None:
    for header in (b"subject,a\n", b""):
        with contextlib.suppress(Refusal):  # any other exception fails the test
            lines = [row.line for row in rows_of(header + content)]
            assert lines == sorted(lines)


CELL = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"), max_size=12)


@given(st.lists(st.lists(CELL, min_size=2, max_size=2), max_size=6))
def test_what_a_writer_wrote_is_read_back(rows: list[list[str]]) -> None:
    stream = io.StringIO()
    csv.writer(stream).writerows([["subject", "a"], *rows])
    kept = [row for row in rows if any(cell.strip() for cell in row)]
    assert [cells for _, cells in good(stream.getvalue().encode())] == kept


@pytest.mark.parametrize("text", ["=1+1", "@SUM(A1)", "+cmd|' /C calc'!A0", "-2+3+cmd|x", "=x"])
def test_no_formula_is_taken_as_text(text: str) -> None:
    with pytest.raises(WrongCell, match="formula"):
        convert_to("note", text)


@pytest.mark.parametrize("text", ["+", "-", "++", "-1.5", "+ / -", "a=b", "x@y"])
def test_signs_are_no_formulas(text: str) -> None:
    assert convert_to("note", text) == text


def convert_to(name: str, text: str, *, comma: bool = False, shift: int | None = -70) -> Value:
    variable = FORM.variable(name)
    assert variable is not None
    return convert(text, variable, decimal_comma=comma, day_shift=shift)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("diagnosis", "adenocarcinoma", "adenocarcinoma"),
        ("diagnosis", "ADENOCARCINOMA", "adenocarcinoma"),
        ("diagnosis", "Carcinoid tumour", "carcinoid"),
        ("age", "63", 63),
        ("age", "63.0", 63),
        ("age", "0", 0),
        ("age", "90", 90),
        ("dose", "1.5", 1.5),
        ("dose", "2e1", 20.0),
        ("smoker", "Yes", True),
        ("smoker", "0", False),
        ("ecog", "2", 2),
        ("seen", "2020-03-11", "2020-01-01"),
        ("seen", "20200311", "2020-01-01"),
        ("moved", "2020-03-11", "2020-03-11"),
        ("note", "stable", "stable"),
    ],
)
def test_cells_become_values(name: str, text: str, value: Value) -> None:
    found = convert_to(name, text)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("diagnosis", "adenocarcinome", "Perhaps adenocarcinoma?"),
        ("diagnosis", "Jane Doe", "the form allows: adenocarcinoma, carcinoid."),
        ("age", "91", "at most 90 a"),
        ("age", "-1", "at least 0 a"),
        ("age", "12.5", "whole number in a"),
        ("age", "1e300", "too large"),
        ("age", "٣", "whole number"),
        ("dose", "-0.5", "more than 0 Gy"),
        ("dose", "inf", "a number with a decimal point in Gy"),
        ("dose", "1,5", "decimal point"),
        ("dose", "12 Gy", "decimal point"),
        ("dose", "0x10", "decimal point"),
        ("smoker", "perhaps", "true or false"),
        ("ecog", "5", "the form allows: 0, 1, 2"),
        ("seen", "31/03/2021", "YYYY-MM-DD"),
        ("seen", "2021-02-30", "YYYY-MM-DD"),
        ("seen", "0001-01-01", "outside the calendar"),
        ("note", "x" * 21, "0 to 20 characters"),
        ("note", "x" * 501, "at most 500"),
        ("note", "a\nb", "printable"),
    ],
)
def test_wrong_cells_are_told_what_would_be_right_and_not_repeated(
    name: str, text: str, says: str
) -> None:
    with pytest.raises(WrongCell) as caught:
        convert_to(name, text)
    assert says in str(caught.value)
    assert text not in str(caught.value).replace("adenocarcinoma", "")


@pytest.mark.parametrize(("text", "value"), [("1,5", 1.5), ("0,125", 0.125), ("1234,5", 1234.5)])
def test_decimal_commas_of_a_semicolon_table(text: str, value: float) -> None:
    assert convert_to("dose", text, comma=True) == value


def test_a_comma_that_may_mean_thousands_is_refused() -> None:
    with pytest.raises(WrongCell, match="thousands or decimals"):
        convert_to("dose", "1,234", comma=True)


def test_a_date_is_not_kept_unshifted() -> None:
    with pytest.raises(WrongCell, match="shifted-already"):
        convert_to("seen", "2020-03-11", shift=None)
    assert convert_to("moved", "2020-03-11", shift=None) == "2020-03-11"


@given(st.dates(date(1900, 1, 1), date(2100, 1, 1)), st.integers(-3647, -35))
def test_dates_are_shifted_by_the_subjects_days(day: date, shift: int) -> None:
    moved = convert_to("seen", day.isoformat(), shift=shift)
    assert moved == (day + timedelta(days=shift)).isoformat()


@pytest.mark.parametrize("text", ["", "NA", "n/a", "NaN", "null"])
def test_missing_words(text: str) -> None:
    variable = FORM.variable("age")
    assert variable is not None
    assert is_missing(text, variable)


def test_a_listed_value_is_never_missing() -> None:
    schema = {"type": "string", "title": "N", "enum": ["NA", "N1"]}
    form = read_form(as_bytes({"title": "f", "type": "object", "properties": {"n": schema}}))
    assert not is_missing("NA", form.variables[0])
    assert is_missing("", form.variables[0])


@given(st.sampled_from([v.name for v in FORM.variables]), st.text(max_size=30), st.booleans())
@settings(max_examples=400)
def test_any_text_is_a_value_or_a_wrong_cell(name: str, text: str, comma: bool) -> None:
    with contextlib.suppress(WrongCell):  # any other exception fails the test
        assert isinstance(convert_to(name, text.strip(), comma=comma), str | int | float | bool)

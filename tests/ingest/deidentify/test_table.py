"""The table as data, and its rows obeyed on output bytes at every depth."""

from collections.abc import Iterator
from typing import Any

import pytest
from pydicom import Dataset
from pydicom.dataelem import DataElement

from albufera.ingest.deidentify import BASIC, RESEARCH, Option, Profile, Unclean, compare, shipped
from albufera.ingest.deidentify.edition import main
from albufera.ingest.deidentify.rules import dictionary_vr
from albufera.ingest.deidentify.table import EDITION, PRIVATE, SHIPPED, Row, Table
from tests.ingest.deidentify.build import KEY, PATIENT_ID, clean, innermost, nested

SHIFT = KEY.day_shift(PATIENT_ID)
SINGLE = [row for row in shipped().rows if row.tag is not None]
QUARANTINED = {0x00420011, 0x0040A730, 0x00700001}
OWN_TEST = {0x00100010, 0x00100020}
ABSENT_BY_PLACE = {0x0000, 0x0002}
TEXT = ("LO", "SH", "LT", "ST", "UT", "UC", "PN", "AE", "CS", "UR")
SHORT = ("AE", "CS", "SH")


def planted(row: Row) -> DataElement:
    """The row's attribute with a value that names nobody else."""
    tag = row.tag or 0
    listed = dictionary_vr(tag) or ("SQ" if "Sequence" in row.name else "LO")
    vr = listed.split(" or ")[-1]
    mark = f"{tag:08X}"
    value: Any
    if vr == "SQ":
        item = Dataset()
        item.CodeMeaning = f"SECRET{mark}"
        value = [item]
    elif vr in TEXT:
        value = f"SECRET{mark}"
    else:
        value = {
            "DA": "20190704",
            "TM": "112233",
            "DT": "20190704112233",
            "UI": f"1.2.826.7.{tag}",
            "AS": "077Y",
            "DS": "71.25",
            "IS": "71",
            "US": 712,
            "UN": b"SECRET" + mark.encode(),
            "OB": b"SECRET" + mark.encode(),
        }[vr]
    if row.tag == 0x00100040:
        value = "F"
    if row.tag == 0x001021A0:
        value = "YES"
    if row.tag == 0x00102203:
        value = "ALTERED"
    if row.tag == 0x00080201:
        value = "+0200"
    return DataElement(tag, vr, value)


def outcome(before: DataElement, after: Dataset) -> str:
    """What became of an element: absent, empty, same, shifted, uid, items, or other."""
    if before.tag not in after:
        return "absent"
    element = after[before.tag]
    if element.is_empty:
        return "empty"
    if element.VR == "SQ":
        same = any("SECRET" in str(item) for item in element.value)
        return "items" if same else "other"
    if element.VR == "UI":
        return "uid" if element.value == KEY.uid(str(before.value)) else "other"
    if element.value == before.value:
        return "same"
    if element.VR in ("DA", "DT") and str(element.value)[:8] == shifted():
        return "shifted"
    return "other"


def shifted() -> str:
    from datetime import date, timedelta

    return (date(2019, 7, 4) + timedelta(days=SHIFT)).strftime("%Y%m%d")


ALLOWED = {
    "X": {"absent"},
    "Z": {"empty"},
    "D": {"other", "uid"},
    "U": {"uid"},
    "X/Z": {"absent", "empty"},
    "X/D": {"absent", "other"},
    "Z/D": {"empty", "other"},
    "X/Z/D": {"absent", "empty", "other"},
    "X/Z/U*": {"absent", "empty", "items"},
}
"""What PS3.15 §E.3 lets each code do to a value."""


def allowed(row: Row, profile: Profile, vr: str) -> set[str]:
    dates = Option.MODIFIED_DATES in profile.options
    if dates and row.options.get("rtnLongModifDatesOpt") == "C":
        if vr in ("DA", "DT"):
            return {"shifted"}
        if vr in ("TM", "SH"):
            return {"same"}
    keep = Option.PATIENT_CHARACTERISTICS in profile.options
    if keep and row.options.get("rtnPatCharsOpt") == "K":
        return {"same"}
    return ALLOWED[row.basic]


def rows_at(depth: int) -> Iterator[Row]:
    for row in SINGLE:
        tag = row.tag or 0
        if tag >> 16 in ABSENT_BY_PLACE or tag in OWN_TEST:
            continue
        if depth == 0 and tag in QUARANTINED:
            continue
        yield row


@pytest.mark.parametrize("profile", [BASIC, RESEARCH], ids=lambda profile: profile.name)
@pytest.mark.parametrize("depth", range(4))
def test_every_row_is_obeyed(depth: int, profile: Profile) -> None:
    elements = {row: planted(row) for row in rows_at(depth)}
    inner = Dataset()
    for element in elements.values():
        inner.add(element)
    result = clean(nested(inner, depth), profile)
    found = innermost(result.dataset, depth)
    wrong = []
    for row, element in elements.items():
        became = outcome(element, found)
        if became not in allowed(row, profile, element.VR):
            wrong.append((row.pattern, row.name, row.basic, became))
    assert wrong == []
    kept = {
        row for row, element in elements.items() if allowed(row, profile, element.VR) == {"same"}
    }
    for row in set(elements) - kept:
        mark = f"SECRET{row.tag:08X}".encode()
        assert mark not in result.data or row.basic == "X/Z/U*"


@pytest.mark.parametrize("tag", sorted(QUARANTINED))
def test_rows_that_quarantine_a_whole_object_are_cleaned_when_nested(tag: int) -> None:
    row = next(row for row in SINGLE if row.tag == tag)
    inner = Dataset()
    inner.add(planted(row))
    with pytest.raises(Unclean):
        clean(nested(inner, 0))
    assert b"SECRET" not in clean(nested(inner, 1)).data


@pytest.mark.parametrize("depth", range(4))
def test_rows_for_groups_of_tags(depth: int) -> None:
    inner = Dataset()
    inner.add_new(0x50000010, "US", 2)
    inner.add_new(0x50003000, "OW", b"SECRET12")
    inner.add_new(0x501E2500, "LO", "SECRET LABEL")
    inner.add_new(0x60000010, "US", 2)
    inner.add_new(0x60003000, "OW", b"SECRET34")
    inner.add_new(0x60024000, "LT", "SECRET COMMENT")
    inner.add_new(0x60023000, "OW", b"SECRET56")
    inner.add_new(0x00091001, "LO", "SECRET PRIVATE")
    inner.add_new(0x00090010, "LO", "SECRET CREATOR")
    inner.add_new(0xFFFCFFFC, "OB", b"SECRET78")
    signature = Dataset()
    signature.CertificateOfSigner = b"SECRET90"
    inner.add_new(0xFFFAFFFA, "SQ", [signature])
    if depth == 0:
        del inner[0xFFFCFFFC], inner[0xFFFAFFFA]  # after the pixels: see test_engine
    result = clean(nested(inner, depth))
    assert len(innermost(result.dataset, depth)) == (
        0 if depth else len(clean(nested(Dataset(), 0)).dataset)
    )
    assert b"SECRET" not in result.data


def test_the_shipped_table_is_complete_and_says_so() -> None:
    table = shipped()
    assert table.edition == EDITION
    assert EDITION in SHIPPED.name
    assert len(table.rows) == 656
    assert sum(not row.since for row in table.rows) == 621
    assert {row.pattern for row in table.rows if row.tag is None} == {
        "50xxxxxx",
        "60xx3000",
        "60xx4000",
        PRIVATE,
    }
    for tag in (0xFFFAFFFA, 0xFFFCFFFC, 0x00100010, 0x00290010, 0x50123456, 0x60023000):
        assert table.row(tag) is not None
    assert table.row(0x00280010) is None


def test_editions_compare() -> None:
    table = shipped()
    older = Table("2024b", tuple(row for row in table.rows if not row.since))
    comparison = compare(older, table)
    assert len(comparison.added) == 35
    assert {"00100011", "300a0054"} <= {row.pattern for row in comparison.added}
    assert (comparison.removed, comparison.changed) == ((), ())
    assert len(compare(table, older).removed) == 35
    name = next(row for row in table.rows if row.tag == 0x00100010)
    changed = tuple(Row(name.pattern, name.name, "X") if row is name else row for row in table.rows)
    assert [pair[1].basic for pair in compare(table, Table("x", changed)).changed] == ["X"]


def test_the_comparison_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", str(SHIPPED), str(SHIPPED)]) == 0
    assert capsys.readouterr().out == ""

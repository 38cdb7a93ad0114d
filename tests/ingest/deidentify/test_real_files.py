"""Real files: those in pydicom's wheel, and the folder of real images where there is one."""

import io
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest
from pydicom import Dataset, config, dcmread
from pydicom.dataelem import DataElement
from pydicom.uid import UID, UID_dictionary  # type: ignore[attr-defined]

from albufera.ingest.deidentify import RESEARCH, Profile, Rejection, shipped
from albufera.ingest.deidentify.rules import CLASS_UID_TAGS
from tests.ingest.deidentify.build import KEY, Result, clean

BUNDLED = Path(pydicom.__file__).parent / "data" / "test_files"
ANYTHING = Profile(
    "anything", RESEARCH.options, frozenset({"SC", "US", "ES", "XC", "LABEL", "SCREEN"})
)
DUMMIES = {"REMOVED", "19000101", "000000", "19000101000000", "000Y", b"\0\0"}


def files_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


@pytest.fixture(autouse=True)
def _as_it_stands() -> Iterator[None]:
    """Real values break the rules of their VR: pydicom, the judge here, is told not to mind."""
    before = config.settings.reading_validation_mode
    config.settings.reading_validation_mode = config.IGNORE
    yield
    config.settings.reading_validation_mode = before


def pixels_of(data: bytes) -> bytes:
    """The value of the pixel element; pydicom reads no further than it must."""
    dataset = dcmread(io.BytesIO(data), force=True)
    for keyword in ("PixelData", "FloatPixelData", "DoubleFloatPixelData"):
        if keyword in dataset:
            return bytes(dataset[keyword].value)
    return b""


def check(data: bytes) -> Result:
    result = clean(data, ANYTHING)
    original = dcmread(io.BytesIO(data), force=True)
    obeys(result.dataset)
    assert pixels_of(data) == pixels_of(result.data)
    for uid in (original.SOPInstanceUID, original.StudyInstanceUID, original.SeriesInstanceUID):
        assert str(uid).encode() not in result.data
    assert result.dataset.SOPInstanceUID == KEY.uid(original.SOPInstanceUID)
    again = clean(result.data, ANYTHING)
    assert [e.tag for e in again.dataset.iterall()] == [e.tag for e in result.dataset.iterall()]
    assert pixels_of(again.data) == pixels_of(result.data)
    header = result.cleaned.header
    assert header.PatientID == result.cleaned.subject
    assert "PixelData" not in header
    return result


def obeys(dataset: Dataset) -> None:
    """Every element left is one that the table lets stand as it is."""
    for element in dataset.iterall():
        assert not element.tag.is_private, element.tag
        assert element.tag.element != 0, element.tag
        assert element.tag.group >> 8 not in (0x50, 0x60), element.tag
        assert element.VR != "PN" or str(element.value) in ("", "REMOVED", dataset.PatientID)
        row = shipped().row(int(element.tag))
        if row is None:
            assert element.VR != "UI" or is_public(element), element
            continue
        if {"rtnPatCharsOpt", "rtnLongModifDatesOpt"} & set(row.options):
            continue
        if element.VR == "UI":
            assert is_public(element), element
        elif row.basic == "X/Z/U*" or element.keyword in ("PatientID", "PatientName"):
            continue
        else:
            assert row.basic != "X", element.keyword
            value = str(element.value) if element.VR == "PN" else element.value
            assert element.is_empty or value in DUMMIES, element.keyword


def is_public(element: DataElement) -> bool:
    values = [element.value] if isinstance(element.value, str) else list(element.value or [])
    listed = int(element.tag) in CLASS_UID_TAGS
    return all(listed or UID(v).startswith("2.25.") or v in UID_dictionary or not v for v in values)


def test_every_bundled_file_is_cleaned_or_given_a_reason() -> None:
    admitted, reasons = 0, {}
    for path in files_of(BUNDLED):
        try:
            check(path.read_bytes())
        except Rejection as rejection:
            reasons[path.name] = rejection.code
        else:
            admitted += 1
    assert admitted > 85
    assert reasons["MR_truncated.dcm"] == "truncated"
    assert reasons["rtplan_truncated.dcm"] == "truncated"
    assert reasons["reportsi.dcm"] == "structured-content"
    assert reasons["DICOMDIR"] == "dicomdir"
    assert reasons["README.txt"] == "not-dicom"
    assert "CT_small.dcm" not in reasons
    assert "identifier-survived" not in reasons.values()


def test_a_default_project_quarantines_ultrasound_and_secondary_captures() -> None:
    for name in ("examples_palette.dcm", "SC_rgb_rle.dcm", "JPEG2000.dcm", "image_dfl.dcm"):
        with pytest.raises(Rejection) as caught:
            clean((BUNDLED / name).read_bytes())
        assert caught.value.code == "burned-in-annotation-unstated"


@pytest.mark.realdata
def test_every_real_image_is_cleaned_or_given_a_reason(real_images: Path) -> None:
    reasons: dict[str, list[str]] = {}
    admitted = 0
    for path in files_of(real_images):
        try:
            check(path.read_bytes())
        except Rejection as rejection:
            reasons.setdefault(rejection.code, []).append(path.name)
        else:
            admitted += 1
    assert admitted > 200
    assert set(reasons) <= {"not-dicom", "structured-content", "burned-in-annotation"}

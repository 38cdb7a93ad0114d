"""What is quarantined or refused for what it says of itself."""

import re
from typing import Any

import pytest
from pydicom import Dataset

from albufera.ingest.deidentify import RESEARCH, UNCLEAN, UNREADABLE, Profile, Unclean, Unreadable
from tests.ingest.deidentify.build import clean, encode, image

STORAGE = "1.2.840.10008.5.1.4.1.1."
CONTENT = Dataset()
CONTENT.TextValue = "seen by Sancho"


def code_of(source: Dataset | bytes, profile: Profile = RESEARCH) -> str:
    """The code of the rejection, or `admitted`."""
    try:
        clean(source, profile)
    except Unclean as rejection:
        return rejection.code if rejection.code in UNCLEAN else "not in the catalogue"
    except Unreadable as rejection:
        return rejection.code if rejection.code in UNREADABLE else "not in the catalogue"
    return "admitted"


@pytest.mark.parametrize(
    ("attributes", "code"),
    [
        ({}, "admitted"),
        ({"BurnedInAnnotation": "NO"}, "admitted"),
        ({"BurnedInAnnotation": "YES"}, "burned-in-annotation"),
        ({"RecognizableVisualFeatures": "YES"}, "recognizable-visual-features"),
        ({"Modality": "US"}, "burned-in-annotation-unstated"),
        ({"Modality": "US", "BurnedInAnnotation": "NO"}, "admitted"),
        ({"SOPClassUID": STORAGE + "7"}, "burned-in-annotation-unstated"),
        ({"SOPClassUID": STORAGE + "7.2"}, "burned-in-annotation-unstated"),
        ({"SOPClassUID": STORAGE + "6.1"}, "burned-in-annotation-unstated"),
        ({"SOPClassUID": STORAGE + "77.1.4"}, "burned-in-annotation-unstated"),
        ({"SOPClassUID": STORAGE + "77.1.6"}, "admitted"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "LABEL", "NONE"]}, "burned-in-annotation-unstated"),
        ({"ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]}, "burned-in-annotation-unstated"),
        ({"OverlayX": 1}, "embedded-overlay"),
        ({"SOPClassUID": STORAGE + "104.1"}, "encapsulated-document"),
        ({"EncapsulatedDocument": b"%PDF"}, "encapsulated-document"),
        ({"SOPClassUID": STORAGE + "88.33"}, "structured-content"),
        ({"ContentSequence": [CONTENT]}, "structured-content"),
        ({"SOPClassUID": STORAGE + "11.1"}, "presentation-state"),
        ({"GraphicAnnotationSequence": [CONTENT]}, "presentation-state"),
        ({"SOPClassUID": STORAGE + "9.4.1"}, "audio"),
        ({"SOPClassUID": STORAGE + "68.1"}, "surface-scan"),
        ({"SOPClassUID": STORAGE + "66"}, "raw-data"),
        ({"SOPClassUID": STORAGE + "66.4"}, "admitted"),
        ({"SOPClassUID": "1.3.12.2.1107.5.9.1"}, "private-sop-class"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.38.1"}, "sop-class-unsupported"),
        ({"SOPClassUID": None}, "no-sop-class-uid"),
        ({"SOPInstanceUID": None}, "no-sop-instance-uid"),
        ({"StudyInstanceUID": ""}, "no-study-instance-uid"),
        ({"SeriesInstanceUID": ""}, "no-series-instance-uid"),
        ({"PixelData": bytes(30)}, "pixel-data-short"),
        ({"PixelData": None}, "no-pixel-data"),
        ({"PixelData": None, "SOPClassUID": STORAGE + "481.5"}, "admitted"),
    ],
)
def test_statements(attributes: dict[str, Any], code: str) -> None:
    overlay = attributes.pop("OverlayX", None)
    source = image(**attributes)
    if overlay:
        source.add_new(0x60000010, "US", 4)
    assert code_of(encode(source)) == code


def test_a_project_may_admit_what_does_not_state_burned_in_annotation() -> None:
    profile = Profile("own", RESEARCH.options, frozenset({"US"}))
    assert code_of(image(Modality="US"), profile) == "admitted"
    assert (
        code_of(image(Modality="US", BurnedInAnnotation="YES"), profile) == "burned-in-annotation"
    )
    assert code_of(image(Modality="OT"), profile) == "burned-in-annotation-unstated"


def test_a_dicomdir_is_told_apart() -> None:
    assert code_of(encode(image(SOPClassUID="1.2.840.10008.1.3.10"))) == "dicomdir"


@pytest.mark.parametrize("code", sorted(UNCLEAN | UNREADABLE))
def test_reasons_are_written_for_people(code: str) -> None:
    sentence = (UNCLEAN | UNREADABLE)[code]
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", code)
    assert sentence.endswith(".")
    assert sentence.count(".") >= 2, "what and why, then what to do"
    assert not set(UNCLEAN) & set(UNREADABLE)

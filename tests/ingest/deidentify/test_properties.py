"""Properties that hold for any object: generated data sets, at random depths and encodings."""

import io
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import Dataset, dcmread
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from albufera.ingest.deidentify import BASIC, RESEARCH, ProjectKey, Unclean
from tests.ingest.deidentify.build import KEY, PATIENT_ID, Result, clean, encode, image

SECRET = "Dulcinea"
WORDS = st.text("abcdefghij ", min_size=1, max_size=12).map(str.strip).filter(bool)
DAYS = st.dates(date(1900, 1, 1), date(2026, 1, 1)).map(lambda day: day.strftime("%Y%m%d"))
UIDS = st.integers(1, 10**20).map(lambda number: f"1.2.826.{number}")
IDENTIFYING: dict[str, st.SearchStrategy[Any]] = {
    "PatientName": st.just(f"{SECRET}^{SECRET}"),
    "PatientBirthName": st.just(SECRET),
    "PatientAddress": st.just(f"12 {SECRET} Street"),
    "ReferringPhysicianName": st.just(SECRET),
    "InstitutionName": st.just(f"{SECRET} Hospital"),
    "SeriesDescription": st.just(f"for {SECRET}"),
    "ImageComments": st.just(SECRET),
    "StudyDate": DAYS,
    "ContentDate": DAYS,
    "ReferencedSOPInstanceUID": UIDS,
    "FrameOfReferenceUID": UIDS,
    "OtherPatientIDs": st.just(SECRET),
}
PLAIN: dict[str, st.SearchStrategy[Any]] = {
    "KVP": st.integers(1, 200).map(str),
    "ScanOptions": WORDS.map(str.upper),
    "CodeMeaning": WORDS,
    "InstanceNumber": st.integers(0, 9999).map(str),
    "WindowCenter": st.lists(st.integers(-999, 999), min_size=2, max_size=3),
    "ImageOrientationPatient": st.just([1, 0, 0, 0, 1, 0]),
    "SmallestImagePixelValue": st.integers(0, 65535),
    "DiffusionBValue": st.floats(allow_nan=False, allow_infinity=False, width=32),
}
SEQUENCES = [
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
    "SourceImageSequence",
]


def dataset(values: dict[str, Any], undefined: bool) -> Dataset:
    built = Dataset()
    for keyword, value in values.items():
        setattr(built, keyword, value)
        if isinstance(value, list) and value and isinstance(value[0], Dataset):
            built[keyword].is_undefined_length = undefined
    built.is_undefined_length_sequence_item = undefined
    return built


FLAT = st.fixed_dictionaries({}, optional=IDENTIFYING | PLAIN)
DATASETS = st.recursive(
    st.builds(dataset, FLAT, st.booleans()),
    lambda inner: st.builds(
        lambda flat, keyword, items, undefined: dataset(flat | {keyword: items}, undefined),
        FLAT,
        st.sampled_from(SEQUENCES),
        st.lists(inner, min_size=1, max_size=3),
        st.booleans(),
    ),
    max_leaves=8,
)
SYNTAXES = st.sampled_from([ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian])
quickly = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def whole(extra: Dataset) -> Dataset:
    built = image()
    built.update(extra)
    return built


def compare(before: Dataset, after: Dataset) -> None:
    """Plain values the same, UIDs mapped, dates shifted, at every depth."""
    for keyword in PLAIN:
        assert after.get(keyword) == before.get(keyword)
    for keyword in ("ReferencedSOPInstanceUID", "FrameOfReferenceUID"):
        if keyword in before:
            assert after[keyword].value == KEY.uid(before[keyword].value)
    for keyword in ("StudyDate", "ContentDate"):
        if keyword in before:
            assert as_day(after[keyword].value) - as_day(before[keyword].value) == timedelta(
                days=KEY.day_shift(PATIENT_ID)
            )
    for keyword in SEQUENCES:
        assert len(after.get(keyword) or []) == len(before.get(keyword) or [])
        for old, new in zip(before.get(keyword) or [], after.get(keyword) or [], strict=True):
            compare(old, new)


def as_day(value: str) -> date:
    return date(int(value[:4]), int(value[4:6]), int(value[6:]))


@quickly
@given(DATASETS, SYNTAXES)
def test_what_goes_in_comes_out_clean(extra: Dataset, syntax: str) -> None:
    data = encode(whole(extra), syntax)
    result = clean(data)
    assert SECRET.encode() not in result.data
    assert PATIENT_ID.encode() not in result.data
    original = dcmread(io.BytesIO(data))
    compare(original, result.dataset)
    assert result.dataset.PixelData == original.PixelData
    assert clean(data).data == result.data


@quickly
@given(DATASETS)
def test_the_basic_profile_leaves_no_date(extra: Dataset) -> None:
    result = clean(whole(extra), BASIC)
    for element in result.dataset.iterall():
        assert element.VR != "DA" or element.value in ("", "19000101")


@quickly
@given(DATASETS)
def test_a_second_pass_changes_only_what_is_keyed(extra: Dataset) -> None:
    first = clean(whole(extra))
    second = clean(first.data)
    assert second.cleaned.subject == KEY.pseudonym(first.cleaned.subject)
    same_shape(first, second)


def same_shape(first: Result, second: Result) -> None:
    """Two outputs that differ in nothing but UIDs, dates and pseudonyms."""
    before, after = list(first.dataset.iterall()), list(second.dataset.iterall())
    assert [element.tag for element in before] == [element.tag for element in after]
    for old, new in zip(before, after, strict=True):
        if old.VR not in ("UI", "DA", "DT", "SQ", "PN") and old.keyword != "PatientID":
            assert old.value == new.value


@given(st.binary(min_size=16, max_size=64), st.binary(min_size=16, max_size=64))
def test_projects_cannot_be_joined(first: bytes, second: bytes) -> None:
    one, two = (clean(image(), RESEARCH, ProjectKey(secret)).cleaned for secret in (first, second))
    same = first == second
    assert (one.subject == two.subject) is same
    assert (one.instance_uid == two.instance_uid) is same


@quickly
@given(WORDS, st.sampled_from(["ScanOptions", "SequenceVariant", "BodyPartExamined"]))
def test_a_name_never_survives_in_what_is_kept(word: str, keyword: str) -> None:
    value = f"{word} {SECRET}"[:16] if len(word) < 7 else SECRET
    source = image(PatientName=f"{SECRET}^X", **{keyword: value.upper()})
    with pytest.raises(Unclean, match=keyword) as caught:
        clean(source)
    assert caught.value.code == "identifier-survived"

"""Phantoms: the same bytes from the same seed, valid, well placed, and full of identifiers."""

import csv
import hashlib
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import UID

from albufera.ingest.phantoms import (
    CLINICAL_FIELDS,
    PhantomPatient,
    clinical_rows,
    write_clinical_csv,
    write_cohort,
)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> list[PhantomPatient]:
    return write_cohort(tmp_path_factory.mktemp("cohort"), slices=12, size=128)


def digests(patients: list[PhantomPatient]) -> list[str]:
    return [hashlib.sha256(f.read_bytes()).hexdigest() for p in patients for f in p.files]


def hounsfield(dataset: Dataset) -> npt.NDArray[np.float64]:
    dtype = "<i2" if dataset.PixelRepresentation else "<u2"
    stored = np.frombuffer(dataset.PixelData, dtype).reshape(dataset.Rows, dataset.Columns)
    values: npt.NDArray[np.float64] = stored * float(dataset.RescaleSlope)
    return values + float(dataset.RescaleIntercept)


def axial(patient: PhantomPatient, study: int = 0) -> list[Dataset]:
    return [pydicom.dcmread(f) for f in patient.studies[study].series[-1].files]


def everywhere(dataset: Dataset) -> Iterator[tuple[int, str]]:
    """Depth and text of every element at every depth."""
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                yield from ((depth + 1, text) for depth, text in everywhere(item))
        elif isinstance(element.value, bytes):
            yield 0, element.value.decode("utf-8", "replace")
        else:
            yield 0, str(element.value)


def test_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    def write(name: str, seed: int) -> list[str]:
        return digests(write_cohort(tmp_path / name, patients=2, slices=4, size=64, seed=seed))

    first = write("one", 7)
    assert write("two", 7) == first
    assert not set(write("three", 8)) & set(first)


def test_default_cohort_is_quick_and_small(tmp_path: Path) -> None:
    start = time.process_time()
    patients = write_cohort(tmp_path)
    assert time.process_time() - start < 12  # about 4 s on an idle machine
    assert sum(f.stat().st_size for p in patients for f in p.files) < 40_000_000
    assert sum(len(p.studies) for p in patients) == 6


def test_files_are_valid_dicom(cohort: list[PhantomPatient]) -> None:
    mode = pydicom.config.settings.reading_validation_mode
    pydicom.config.settings.reading_validation_mode = pydicom.config.RAISE
    try:
        for path in (f for patient in cohort for f in patient.files):
            dataset = pydicom.dcmread(path)
            assert path.read_bytes()[128:132] == b"DICM"
            assert dataset.file_meta.MediaStorageSOPInstanceUID == dataset.SOPInstanceUID
            assert len(dataset.PixelData) == dataset.Rows * dataset.Columns * 2
            assert list(everywhere(dataset))
    finally:
        pydicom.config.settings.reading_validation_mode = mode


def test_uids_are_unique_valid_and_listed(cohort: list[PhantomPatient]) -> None:
    listed = [uid for patient in cohort for uid in patient.uids]
    assert len(set(listed)) == len(listed)
    assert all(UID(uid).is_valid for uid in listed)
    for patient in cohort:
        for path in patient.files:
            dataset = pydicom.dcmread(path, stop_before_pixels=True)
            uids = {dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPInstanceUID}
            assert uids | {dataset.FrameOfReferenceUID} <= set(patient.uids)
            for reference in dataset.get("ReferencedImageSequence", []):
                assert reference.ReferencedSOPInstanceUID in patient.uids


def test_follow_up_refers_to_its_baseline(cohort: list[PhantomPatient]) -> None:
    patient = cohort[0]
    later = axial(patient, study=1)[0]
    (reference,) = later.ReferencedStudySequence
    assert reference.ReferencedSOPInstanceUID == patient.studies[0].uid
    assert patient.studies[1].day > patient.studies[0].day
    assert later.PatientID == patient.patient_id


def test_geometry(cohort: list[PhantomPatient]) -> None:
    for patient in cohort:
        slices = axial(patient)
        assert {tuple(s.ImageOrientationPatient) for s in slices} == {(1, 0, 0, 0, 1, 0)}
        assert len({s.FrameOfReferenceUID for s in slices}) == 1
        heights = [float(s.ImagePositionPatient[2]) for s in slices]
        assert np.allclose(np.diff(heights), -float(slices[0].SliceThickness))
        assert [float(s.SliceLocation) for s in slices] == heights
        assert [s.InstanceNumber for s in slices] == list(range(1, len(slices) + 1))
        first = slices[0]
        centre = float(first.ImagePositionPatient[0]) + (first.Columns - 1) / 2 * float(
            first.PixelSpacing[1]
        )
        assert abs(centre) < 0.01


def test_values_are_those_of_a_chest(cohort: list[PhantomPatient]) -> None:
    for patient in cohort:
        for dataset in axial(patient):
            hu = hounsfield(dataset)
            disc = hu[np.hypot(*np.indices(hu.shape) - (len(hu) - 1) / 2) < len(hu) * 0.49]
            assert 0.05 < ((disc > -970) & (disc < -700)).mean() < 0.5  # lung
            assert ((disc > -150) & (disc < -50)).mean() > 0.05  # fat
            assert ((disc > 0) & (disc < 120)).mean() > 0.05  # soft tissue
            assert 0.003 < (disc > 220).mean() < 0.1  # bone
            assert (disc < -970).mean() > 0.1  # air


def mean_at_lesion(slices: list[Dataset], patient: PhantomPatient, number: int) -> float:
    """Mean HU of the 3 × 3 pixels at the centre of a lesion, in the slice nearest to it."""
    sphere = patient.person.lesions[number].sphere
    middle = (float(slices[0].SliceLocation) + float(slices[-1].SliceLocation)) / 2
    nearest = min(slices, key=lambda s: abs(float(s.SliceLocation) - middle - sphere.z))
    column, row = (
        round((at - float(corner)) / float(spacing))
        for at, corner, spacing in zip(
            (sphere.x, sphere.y), nearest.ImagePositionPatient, nearest.PixelSpacing, strict=False
        )
    )
    return float(hounsfield(nearest)[row - 1 : row + 2, column - 1 : column + 2].mean())


def test_lesions_lie_where_they_are_said_to(cohort: list[PhantomPatient]) -> None:
    seen = 0
    for patient in cohort:
        for number, lesion in enumerate(patient.person.lesions):
            if lesion.sphere.diameter > 12:
                assert mean_at_lesion(axial(patient), patient, number) > -150
                seen += 1
    assert seen >= 3


def test_lesion_changes_as_its_growth_says(cohort: list[PhantomPatient]) -> None:
    for patient in (p for p in cohort if len(p.studies) == 2):

        def dense(study: int, of: PhantomPatient = patient) -> float:
            sphere = max((x.sphere for x in of.person.lesions), key=lambda s: s.diameter)
            total = 0.0
            for s in axial(of, study):
                hu = hounsfield(s)
                corner, spacing = s.ImagePositionPatient, float(s.PixelSpacing[0])
                x = float(corner[0]) + np.arange(s.Columns) * spacing - sphere.x
                y = float(corner[1]) + np.arange(s.Rows) * spacing - sphere.y
                near = np.hypot(x[None], y[:, None]) < sphere.diameter
                total += float((np.clip(hu, -850, 40)[near] + 850).sum())
            return total

        growth = patient.person.lesions[0].growth
        assert (dense(1) > dense(0)) is (growth > 1)


def test_every_identifier_is_planted(cohort: list[PhantomPatient]) -> None:
    for patient in cohort:
        content = b"".join(f.read_bytes() for f in patient.files)
        missing = [text for text in patient.identifiers if text.encode() not in content]
        assert missing == []
        assert all(date.encode() in content for date in patient.dates)
        assert len(patient.identifiers) >= 25
        assert min(len(text) for text in patient.identifiers) >= 5


def test_identifiers_hide_in_nested_and_private_elements(cohort: list[PhantomPatient]) -> None:
    for patient in cohort:
        dataset = pydicom.dcmread(patient.files[0])
        assert any(element.tag.is_private for element in dataset)
        surname = patient.person.name.split("^")[0]
        depths = Counter(depth for depth, text in everywhere(dataset) if surname in text)
        assert set(depths) >= {0, 1, 2}
        assert len(dataset.OtherPatientIDsSequence) == 1
        assert dataset.RequestAttributesSequence[0].RequestedProcedureCodeSequence


def test_cohort_is_varied(tmp_path: Path) -> None:
    patients = write_cohort(tmp_path, patients=20, slices=2, size=32)
    people = [p.person for p in patients]
    assert len({p.patient_id for p in people}) == len({p.name for p in people}) == 20
    assert len({p.scanner.manufacturer for p in people}) == 4
    assert {p.sex for p in people} == {"F", "M"}
    assert all(38 <= p.age <= 93 for p in people)
    assert any(p.age > 89 for p in people)
    assert len({p.first_study.year for p in people}) >= 5


def test_clinical_rows_agree_with_the_images(cohort: list[PhantomPatient]) -> None:
    rows = clinical_rows(cohort)
    assert clinical_rows(cohort) == rows
    for row, patient in zip(rows, cohort, strict=True):
        assert tuple(row) == CLINICAL_FIELDS
        header = axial(patient)[0]
        assert row["patient_id"] == header.PatientID
        assert row["age_at_diagnosis"] == min(90, int(header.PatientAge[:3]))
        assert str(row["sex"])[0].upper() == header.PatientSex
        assert str(row["diagnosis_date"]).replace("-", "") == header.StudyDate
        assert (row["survival_months"] is None) is (len(patient.studies) == 1)
        assert (row["smoking_status"] == "never") is (row["pack_years"] == 0)


def test_clinical_csv_reads_back(cohort: list[PhantomPatient], tmp_path: Path) -> None:
    write_clinical_csv(tmp_path / "lung.csv", cohort)
    with (tmp_path / "lung.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    expected = [
        {k: "" if v is None else str(v) for k, v in row.items()} for row in clinical_rows(cohort)
    ]
    assert rows == expected

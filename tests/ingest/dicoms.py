"""Small CT files for tests, with a name in them that must not be found anywhere afterwards."""

import hashlib
from pathlib import Path

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

CT = "1.2.840.10008.5.1.4.1.1.2"
NAME = "Quintero^Amparo"
PATIENT_ID = "HC-448812"
SIDE = 16


def uid(*parts: object) -> str:
    """A UID that is always the same for the same words."""
    digest = hashlib.sha256("/".join(str(part) for part in parts).encode()).hexdigest()
    return f"1.2.826.0.1.3680043.9.{int(digest[:24], 16)}"


def ct(
    patient: str = PATIENT_ID,
    study: str = "a",
    series: str = "1",
    number: int = 1,
    *,
    pixels: bytes | None = None,
    of_patient: str | None = None,
) -> Dataset:
    """A CT slice; `of_patient` says whose study and series UIDs it carries, if not its own."""
    whose = of_patient or patient
    data = Dataset()
    data.SOPClassUID = CT
    data.SOPInstanceUID = uid(whose, study, series, number)
    data.StudyInstanceUID = uid(whose, study)
    data.SeriesInstanceUID = uid(whose, study, series)
    data.PatientName, data.PatientID = NAME, patient
    data.PatientBirthDate, data.PatientSex, data.PatientAge = "19500101", "F", "061Y"
    data.StudyDate = data.SeriesDate = "20190304"
    data.StudyDescription = f"Thorax of {NAME}"
    data.Modality, data.Manufacturer, data.BodyPartExamined = "CT", "ACME", "CHEST"
    data.SeriesNumber, data.InstanceNumber = 1, 100 - number
    data.ImagePositionPatient = [0, 0, 2.5 * number]
    data.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    data.SliceThickness, data.PixelSpacing = 2.5, [1, 1]
    data.Rows = data.Columns = SIDE
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated = data.BitsStored = 16
    data.HighBit, data.PixelRepresentation = 15, 0
    data.RescaleSlope, data.RescaleIntercept = 1, -1024
    data.PixelData = pixels or bytes((number + i) % 256 for i in range(SIDE * SIDE * 2))
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
    data.preamble = bytes(128)
    return data


def write(path: Path, data: Dataset) -> Path:
    """Write a data set as a Part 10 file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data.save_as(path, enforce_file_format=True)
    return path


def write_study(
    folder: Path, patient: str = PATIENT_ID, study: str = "a", series: int = 1, slices: int = 4
) -> Path:
    """Write a study's series; the files carry the patient's name in theirs."""
    for one in range(series):
        for number in range(slices):
            name = f"Amparo_Quintero_{one}_{number}"
            write(folder / f"s{one}" / name, ct(patient, study, str(one), number))
    return folder

"""Objects to clean: written by pydicom, so that the engine is not its own judge."""

import io
from dataclasses import dataclass
from typing import Any

from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, ExplicitVRLittleEndian

from albufera.ingest.deidentify import RESEARCH, Cleaned, Deidentifier, Profile, ProjectKey

KEY = ProjectKey(b"a project's secret of 32 bytes!!")
CT = "1.2.840.10008.5.1.4.1.1.2"
STUDY, SERIES, INSTANCE = "1.2.826.1.1", "1.2.826.1.2", "1.2.826.1.3"
PATIENT_ID = "MRN-0048151"


def image(**attributes: Any) -> Dataset:
    """A minimal CT image of 4 by 4 pixels, with the attributes given by keyword on top."""
    dataset = Dataset()
    dataset.SOPClassUID = CT
    dataset.SOPInstanceUID = INSTANCE
    dataset.StudyInstanceUID = STUDY
    dataset.SeriesInstanceUID = SERIES
    dataset.PatientID = PATIENT_ID
    dataset.PatientName = "Quixano^Alonso"
    dataset.Modality = "CT"
    dataset.Rows = dataset.Columns = 4
    dataset.SamplesPerPixel = 1
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit = 15
    dataset.PixelRepresentation = 0
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.PixelData = bytes(range(32))
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    for keyword in [keyword for keyword, value in attributes.items() if value is None]:
        delattr(dataset, keyword)
    if "PixelData" in dataset:
        dataset["PixelData"].VR = "OW"
    return dataset


def encode(dataset: Dataset, transfer_syntax: str = ExplicitVRLittleEndian) -> bytes:
    """The object as a file."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = UID(transfer_syntax)
    meta.MediaStorageSOPClassUID = UID(dataset.get("SOPClassUID") or CT)
    meta.MediaStorageSOPInstanceUID = UID(dataset.get("SOPInstanceUID") or INSTANCE)
    dataset.file_meta = meta
    dataset.preamble = b"II*\0" + b"x" * 124
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    del dataset.file_meta, dataset.preamble
    return buffer.getvalue()


def nested(dataset: Dataset, depth: int) -> Dataset:
    """An image that holds `dataset` inside `depth` sequences that no row of the table names."""
    for _ in range(depth):
        outer = Dataset()
        outer.PerFrameFunctionalGroupsSequence = Sequence([dataset])
        dataset = outer
    whole = image()
    whole.update(dataset)
    return whole


def innermost(dataset: Dataset, depth: int) -> Dataset:
    """What became of the data set that `nested` put in."""
    for _ in range(depth):
        dataset = dataset.PerFrameFunctionalGroupsSequence[0]
    return dataset


@dataclass(frozen=True)
class Result:
    cleaned: Cleaned
    data: bytes
    dataset: Dataset


def clean(source: bytes | Dataset, profile: Profile = RESEARCH, key: ProjectKey = KEY) -> Result:
    """Clean an object and read the output with pydicom."""
    data = source if isinstance(source, bytes) else encode(source)
    target = io.BytesIO()
    cleaned = Deidentifier(profile, key).clean(io.BytesIO(data), target)
    written = target.getvalue()
    return Result(cleaned, written, dcmread(io.BytesIO(written)))

"""Writes the cohort: patients, studies, series and slices as DICOM files."""

from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian

from albufera.ingest.phantoms.anatomy import OUTSIDE, Acquisition, Slice, Sphere, axial_slice
from albufera.ingest.phantoms.headers import Visit, planted, study_header
from albufera.ingest.phantoms.people import (
    Person,
    PhantomPatient,
    PhantomSeries,
    PhantomStudy,
    invent,
)

FIELD_OF_VIEW = 372.0
SHORTEST_CHEST = 120.0
AXIAL_THICKNESS, THIN_THICKNESS = 5.0, 2.0
_PADDING = -2000
_INTERCEPT = -1024


@dataclass(frozen=True, slots=True)
class _Plan:
    """A series to be written: pixels (HU), where each lies, and how it is described."""

    number: int
    description: str
    image_type: tuple[str, ...]
    kernel: str
    thickness: float
    spacing: float
    orientation: tuple[float, ...]
    positions: Sequence[tuple[float, float, float]]
    pixels: Sequence[Slice]
    window: tuple[float, float]


def write_cohort(
    folder: Path, patients: int = 4, slices: int = 24, size: int = 256, seed: int = 7
) -> list[PhantomPatient]:
    """Writes the files below ``folder``; the same arguments give the same bytes.

    Every other patient has a baseline and a follow-up; each study has two series, an axial one
    and a localizer or thin slices through the largest lesion.

    Args:
        folder: made if absent.
        patients: how many.
        slices: of each axial series, 5 mm apart; fewer than 24 show the middle of the chest.
        size: pixels a side.
        seed: another seed gives other people.
    """
    height = max(slices * AXIAL_THICKNESS, SHORTEST_CHEST)
    people = (invent(number, seed, height) for number in range(patients))
    return [_write_patient(folder, person, slices, size, seed) for person in people]


def _write_patient(
    folder: Path, person: Person, slices: int, size: int, seed: int
) -> PhantomPatient:
    studies: list[PhantomStudy] = []
    identifiers: dict[str, None] = {}
    uids: list[str] = []
    for ordinal, day in enumerate(d for d in (person.first_study, person.follow_up) if d):
        earlier = studies[-1].uid if studies else None
        visit = Visit(person, ordinal, day, seed, earlier)
        study = _write_study(folder, visit, slices, size)
        studies.append(study)
        identifiers.update(dict.fromkeys(planted(visit)))
        uids += [study.uid, visit.uid("frame"), *(s.uid for s in study.series)]
        uids += [uid for series in study.series for uid in series.instance_uids]
    return PhantomPatient(
        person=person,
        studies=tuple(studies),
        identifiers=tuple(identifiers),
        uids=tuple(uids),
        dates=tuple(f"{study.day:%Y%m%d}" for study in studies),
    )


def _write_study(folder: Path, visit: Visit, slices: int, size: int) -> PhantomStudy:
    person = visit.person
    spheres = [x.at_follow_up() if visit.ordinal else x.sphere for x in person.lesions]
    axial = _axial(visit, spheres, slices, size)
    second = (
        _localizer(visit, axial, size)
        if (person.number + visit.ordinal) % 2 == 0
        else _thin(visit, spheres, slices, size)
    )
    place = folder / person.name.replace("^", "_") / f"{visit.day:%Y-%m-%d} CT"
    header = study_header(visit)
    series = [_write_series(place, header, visit, plan) for plan in (second, axial)]
    return PhantomStudy(header.StudyInstanceUID, visit.day, visit.accession, tuple(series))


def _axial(visit: Visit, spheres: list[Sphere], slices: int, size: int) -> _Plan:
    how = Acquisition(size, FIELD_OF_VIEW / size, AXIAL_THICKNESS, softness=1)
    heights = [((slices - 1) / 2 - i) * AXIAL_THICKNESS for i in range(slices)]
    return _Plan(
        number=2,
        description="Chest 5.0 axial soft tissue",
        image_type=("ORIGINAL", "PRIMARY", "AXIAL"),
        kernel=visit.person.scanner.soft_kernel,
        thickness=AXIAL_THICKNESS,
        spacing=how.spacing,
        orientation=(1, 0, 0, 0, 1, 0),
        positions=_corners(visit, how, heights),
        pixels=_scan(visit, how, heights, spheres),
        window=(40, 400),
    )


def _thin(visit: Visit, spheres: list[Sphere], slices: int, size: int) -> _Plan:
    """Thin, sharp slices through the largest lesion."""
    how = Acquisition(size, FIELD_OF_VIEW / size, THIN_THICKNESS, softness=0)
    middle = max(spheres, key=lambda sphere: sphere.diameter).z
    count = max(3, slices // 2)
    heights = [middle + ((count - 1) / 2 - i) * THIN_THICKNESS for i in range(count)]
    return _Plan(
        number=1,
        description="Chest 2.0 axial lung",
        image_type=("ORIGINAL", "PRIMARY", "AXIAL"),
        kernel=visit.person.scanner.sharp_kernel,
        thickness=THIN_THICKNESS,
        spacing=how.spacing,
        orientation=(1, 0, 0, 0, 1, 0),
        positions=_corners(visit, how, heights),
        pixels=_scan(visit, how, heights, spheres),
        window=(-600, 1500),
    )


def _localizer(visit: Visit, axial: _Plan, size: int) -> _Plan:
    """A frontal topogram: the axial slices summed from front to back."""
    attenuation = np.stack([(np.maximum(s, -1000) + 1000.0).sum(axis=0) for s in axial.pixels])
    top, bottom = axial.positions[0][2], axial.positions[-1][2]
    rows = max(2, round((top - bottom) / axial.spacing))
    heights = np.linspace(0, len(attenuation) - 1, rows)
    below = np.minimum(heights.astype(int), len(attenuation) - 2)
    share = (heights - below)[:, None]
    summed = attenuation[below] * (1 - share) + attenuation[below + 1] * share
    shadow = summed / summed.max() * 1400 - 1000
    corner = (axial.positions[0][0], 0.0, top)
    return _Plan(
        number=1,
        description="Topogram",
        image_type=("ORIGINAL", "PRIMARY", "LOCALIZER"),
        kernel=visit.person.scanner.soft_kernel,
        thickness=float(size),
        spacing=axial.spacing,
        orientation=(1, 0, 0, 0, 0, -1),
        positions=[corner],
        pixels=[np.rint(shadow).astype(np.int16)],
        window=(-200, 1100),
    )


def _table_height(visit: Visit) -> float:
    """Where z is 0 in the scanner's frame: another place at each visit, in half millimetres."""
    return -(300 + (visit.person.number * 37 + visit.ordinal * 113) % 500) - 0.5


def _corners(
    visit: Visit, how: Acquisition, heights: list[float]
) -> list[tuple[float, float, float]]:
    corner = -(how.size - 1) / 2 * how.spacing
    return [(corner, corner, z + _table_height(visit)) for z in heights]


def _scan(
    visit: Visit, how: Acquisition, heights: list[float], spheres: list[Sphere]
) -> list[Slice]:
    stream = [visit.seed, visit.person.number, visit.ordinal, int(how.thickness)]
    random = np.random.default_rng(stream)
    return [axial_slice(how, z, visit.person.build, spheres, random) for z in heights]


def _write_series(place: Path, header: Dataset, visit: Visit, plan: _Plan) -> PhantomSeries:
    place.mkdir(parents=True, exist_ok=True)
    dataset = _series_header(header, visit, plan)
    files, uids = [], []
    for index, instance_uid in enumerate(_instances(dataset, visit, plan)):
        path = place / f"SE{plan.number:03d}IM{index + 1:05d}"
        dataset.save_as(path, enforce_file_format=True)
        files.append(path)
        uids.append(instance_uid)
    return PhantomSeries(dataset.SeriesInstanceUID, plan.description, tuple(files), tuple(uids))


def _series_header(header: Dataset, visit: Visit, plan: _Plan) -> Dataset:
    dataset = deepcopy(header)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = CTImageStorage
    dataset.file_meta.SourceApplicationEntityTitle = visit.person.station
    dataset.SeriesInstanceUID = visit.uid("series", plan.number)
    dataset.FrameOfReferenceUID = visit.uid("frame")
    dataset.PositionReferenceIndicator = ""
    dataset.SeriesNumber = plan.number
    dataset.SeriesDescription = plan.description
    dataset.ProtocolName = "Chest_Routine"
    dataset.BodyPartExamined = "CHEST"
    dataset.PatientPosition = "HFS"
    dataset.ImageType = list(plan.image_type)
    dataset.AcquisitionNumber = plan.number
    dataset.KVP = 120
    dataset.XRayTubeCurrent = 180 + visit.person.number * 7
    dataset.ExposureTime = 500
    dataset.GantryDetectorTilt = 0
    dataset.ConvolutionKernel = plan.kernel
    dataset.DataCollectionDiameter = 500
    dataset.ReconstructionDiameter = FIELD_OF_VIEW
    if visit.person.build.contrast:
        dataset.ContrastBolusAgent = "IOHEXOL 350"
    if plan.number > 1:
        dataset.ReferencedImageSequence = Items([_first_series_reference(visit)])
    _pixel_header(dataset, visit.person, plan)
    return dataset


def _first_series_reference(visit: Visit) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = CTImageStorage
    item.ReferencedSOPInstanceUID = visit.uid("instance", 1, 0)
    return item


def _pixel_header(dataset: Dataset, person: Person, plan: _Plan) -> None:
    signed = person.scanner.signed
    dataset.SliceThickness = plan.thickness
    dataset.PixelSpacing = [f"{plan.spacing:.6f}"] * 2
    dataset.ImageOrientationPatient = list(plan.orientation)
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows, dataset.Columns = plan.pixels[0].shape
    dataset.BitsAllocated = 16
    dataset.BitsStored = 16 if signed else 12
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(signed)
    dataset.RescaleIntercept = 0 if signed else _INTERCEPT
    dataset.RescaleSlope = 1
    dataset.RescaleType = "HU"
    dataset.WindowCenter, dataset.WindowWidth = plan.window
    dataset.BurnedInAnnotation = "NO"
    if signed:
        dataset.add_new("PixelPaddingValue", "SS", _PADDING)


def _instances(dataset: Dataset, visit: Visit, plan: _Plan) -> Iterator[str]:
    """Turns the one dataset into each instance in turn; gives its SOP instance UID."""
    for index, (position, pixels) in enumerate(zip(plan.positions, plan.pixels, strict=True)):
        uid = UID(visit.uid("instance", plan.number, index))
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid
        dataset.InstanceNumber = index + 1
        dataset.ImagePositionPatient = [f"{p:.4f}" for p in position]
        dataset.SliceLocation = f"{position[2]:.4f}"
        dataset.PixelData = _stored(pixels, visit.person).tobytes()
        yield uid


def _stored(pixels: Slice, person: Person) -> npt.NDArray[np.int16]:
    if person.scanner.signed:
        return np.where(pixels == OUTSIDE, np.int16(_PADDING), pixels).astype("<i2")
    return (pixels - _INTERCEPT).astype("<u2").view("<i2")

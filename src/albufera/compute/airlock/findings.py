"""What is said about a file that would leave, to the person who reviews it."""

from collections.abc import Collection, Iterator

from albufera.compute.airlock.model import Finding, Severity

IS_DICOM = Finding(
    "is-dicom",
    Severity.ALARM,
    "This file is a DICOM object: an image of the dataset would leave. Reject it unless the "
    "project's rules allow exactly this.",
)
CONTAINS_DICOM = Finding(
    "contains-dicom",
    Severity.ALARM,
    "There is a DICOM object inside this file. Open it on its own, and reject it unless the "
    "project's rules allow exactly this.",
)
PICKLE = Finding(
    "pickle",
    Severity.WARNING,
    "There is a Python pickle in this: it can hold anything, and opening it runs its code. Ask "
    "for a plain format instead.",
)
NOT_INSPECTED = Finding(
    "not-inspected",
    Severity.WARNING,
    "This file is packed, closed or damaged so that not all of it was looked into. Ask for it "
    "unpacked.",
)
PIXELS = Finding(
    "may-hold-pixels",
    Severity.WARNING,
    "Files of this kind can hold images of the dataset. Look at the preview, or ask what it holds.",
)
PROGRAM = Finding("program", Severity.WARNING, "There is a program in this. Ask what it is for.")
LARGE = Finding(
    "large",
    Severity.WARNING,
    "This file is large for a result. Ask what it holds.",
)
LARGE_BYTES = 20 * 1024 * 1024

_OPAQUE = frozenset({"bzip2", "xz", "zstandard", "7z", "rar"})
_IMAGES = frozenset({"png", "jpeg", "gif", "tiff", "pdf", "numpy", "hdf5", "nifti"})


def findings_of(
    kinds: Collection[str], size: int, *, is_dicom: bool, holds_dicom: bool, missed: bool
) -> Iterator[Finding]:
    """Give the findings on a file in which things of these kinds were come across."""
    if is_dicom:
        yield IS_DICOM
    elif holds_dicom or "dicom" in kinds:
        yield CONTAINS_DICOM
    if "pickle" in kinds:
        yield PICKLE
    if missed or _OPAQUE & set(kinds):
        yield NOT_INSPECTED
    if _IMAGES & set(kinds):
        yield PIXELS
    if "program" in kinds:
        yield PROGRAM
    if size > LARGE_BYTES:
        yield LARGE

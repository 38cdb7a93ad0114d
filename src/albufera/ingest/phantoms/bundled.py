"""Real DICOM that is at hand on every installation: what ships inside the pydicom wheel."""

from pathlib import Path

import pydicom.data

_FOLDER = Path(pydicom.data.__file__).parent / "test_files"
_PATIENTS = ("77654033", "98892001", "98892003")
_SINGLE = ("CT_small.dcm", "MR_small.dcm", "examples_overlay.dcm", "rtdose.dcm", "liver_1frame.dcm")


def bundled_images() -> list[Path]:
    """Return the folders of the patients in pydicom's wheel, and some of its single images.

    They come with pydicom under its licence (MIT, with the exceptions named beside them); nothing
    is downloaded.
    """
    patients = [_FOLDER / "dicomdirtests" / name for name in _PATIENTS]
    return [*patients, *(_FOLDER / name for name in _SINGLE)]

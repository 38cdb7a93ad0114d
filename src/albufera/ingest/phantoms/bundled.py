"""Real DICOM that is at hand on every installation: what ships inside the pydicom wheel."""

from pathlib import Path

import pydicom.data

_FOLDER = Path(pydicom.data.__file__).parent / "test_files"
_MULTI_PATIENT = "dicomdirtests"
_SINGLE = ("CT_small.dcm", "MR_small.dcm", "examples_overlay.dcm", "rtdose.dcm", "liver_1frame.dcm")


def bundled_images() -> list[Path]:
    """Return the multi-patient folder of pydicom's wheel and some of its single images.

    They come with pydicom under its licence (MIT, with the exceptions named beside them); nothing
    is downloaded.
    """
    return [_FOLDER / _MULTI_PATIENT, *(_FOLDER / name for name in _SINGLE)]

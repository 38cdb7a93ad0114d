"""One frame of a DICOM file as a PNG. Whatever cannot be drawn raises Undrawable, nothing else."""

import io
import math
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import apply_color_lut
from pydicom.pixels.utils import pixel_array
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

from albufera.lake.pictures.grey import Bytes, Window, grey_bytes
from albufera.lake.pictures.undrawable import Undrawable

DEFAULT_SIZE = 512
THUMBNAIL_SIZE = 128
MAX_SIZE = 4096
MAX_FRAME_SAMPLES = 64 * 1024 * 1024
MAX_ASPECT = 8.0
_DEFERRED = 1024 * 1024

_GREY = frozenset({"MONOCHROME1", "MONOCHROME2"})
_COLOUR = frozenset({"RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT"})
_PALETTE = "PALETTE COLOR"

Image.MAX_IMAGE_PIXELS = MAX_FRAME_SAMPLES


@dataclass(frozen=True, slots=True)
class FrameShape:
    """What the header says of a file's frames (PS3.3 C.7.6.3)."""

    rows: int
    columns: int
    samples: int
    frames: int
    photometric: str


def render(
    path: Path, frame: int = 0, window: Window | None = None, size: int = DEFAULT_SIZE
) -> bytes:
    """A PNG of one frame (8-bit grey or RGB), no side longer than ``size`` pixels.

    Args:
        path: a DICOM file (PS3.10).
        frame: counted from 0.
        window: centre and width; None uses the object's own VOI LUT or window, or else the 0.5th
            to 99.5th percentile of the frame. Colour images have no window.
        size: longest side of the picture, 1 to 4096 pixels. Frames are not enlarged, except to
            make their pixels square.

    Raises:
        Undrawable: whatever stands in the way.
    """
    if window is not None and not (math.isfinite(window[0]) and 0 < window[1] < math.inf):
        raise Undrawable("The window must have a finite centre and a width above 0.")
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            return _draw(path, frame, window, min(max(size, 1), MAX_SIZE))
    except Undrawable:
        raise
    except MemoryError as error:
        raise Undrawable("Drawing this image needs more memory than a picture may use.") from error
    except Exception as error:
        raise Undrawable(
            "The pixel data are damaged, incomplete, or not as the header describes them."
        ) from error


def thumbnail(path: Path, frame: int | None = None) -> bytes:
    """A PNG of at most 128 × 128 pixels: of this frame, or of the middle one."""
    if frame is None:
        frame = frame_count(path) // 2
    return render(path, frame, size=THUMBNAIL_SIZE)


def frame_count(path: Path) -> int:
    """How many frames the header declares (PS3.3 C.7.6.6), at least 1. Raises Undrawable."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _frame_shape(_header(path)).frames
    except Undrawable:
        raise
    except Exception as error:
        raise Undrawable("The header of this file cannot be read.") from error


def _draw(path: Path, frame: int, window: Window | None, size: int) -> bytes:
    header = _header(path)
    shape = _frame_shape(header)
    if not 0 <= frame < shape.frames:
        raise Undrawable(f"There is no frame {frame}: this image has {shape.frames}, from 0.")
    pixels = _decode(path, header, frame)
    if pixels.shape[:2] != (shape.rows, shape.columns):
        raise Undrawable("The pixel data do not have the size that the header declares.")
    if shape.photometric in _GREY and pixels.ndim == 2:  # noqa: PLR2004  rows × columns
        drawn = grey_bytes(pixels, header, frame, window)
        if shape.photometric == "MONOCHROME1":
            drawn = 255 - drawn
    else:
        drawn = _colour(pixels, header, shape.photometric)
    return _png(drawn, _pixel_aspect(header), size)


def _header(path: Path) -> Dataset:
    try:
        return pydicom.dcmread(path, stop_before_pixels=True, defer_size=_DEFERRED)
    except InvalidDicomError as error:
        raise Undrawable("This is not a DICOM file: it lacks the DICM prefix (PS3.10).") from error
    except FileNotFoundError as error:
        raise Undrawable("The file of this image is not there.") from error


def _frame_shape(header: Dataset) -> FrameShape:
    """The declared shape, refused before any byte of pixel data is touched if out of bounds."""
    if "Rows" not in header or "Columns" not in header:
        raise Undrawable("This object holds no image: it has no rows and columns.")
    shape = FrameShape(
        rows=int(header.Rows),
        columns=int(header.Columns),
        samples=int(header.get("SamplesPerPixel") or 1),
        frames=max(1, int(header.get("NumberOfFrames") or 1)),
        photometric=str(header.get("PhotometricInterpretation") or ""),
    )
    if min(shape.rows, shape.columns, shape.samples) < 1:
        raise Undrawable("The image has no pixels: rows or columns are 0.")
    if shape.rows * shape.columns * shape.samples > MAX_FRAME_SAMPLES:
        raise Undrawable(
            f"A frame of {shape.columns} × {shape.rows} pixels is too large for a picture."
        )
    if shape.photometric not in _GREY | _COLOUR | {_PALETTE}:
        raise Undrawable(f"Images of kind {shape.photometric[:32]!r} cannot be drawn here.")
    return shape


def _decode(path: Path, header: Dataset, frame: int) -> npt.NDArray[Any]:
    """One frame; of an uncompressed file only that frame is read."""
    syntax = UID(str(header.file_meta.get("TransferSyntaxUID") or ""))
    try:
        drawable = get_decoder(syntax).is_available
    except NotImplementedError:
        drawable = False
    if not drawable:
        raise Undrawable(f"Images stored as {syntax.name[:80]} cannot be decoded here.")
    if syntax == DeflatedExplicitVRLittleEndian:
        return pixel_array(pydicom.dcmread(path), index=frame)
    try:
        return pixel_array(path, index=frame)
    except RuntimeError as error:  # pydicom's word for "every decoder refused"
        raise Undrawable(
            f"The decoder here cannot read these {syntax.name[:80]} data: they are damaged, or of "
            "a kind it does not know, such as 12-bit JPEG."
        ) from error


def _colour(pixels: npt.NDArray[Any], header: Dataset, photometric: str) -> Bytes:
    """RGB, 8 bits a channel (PS3.3 C.7.6.3.1.2)."""
    bits = int(header.BitsStored)
    if photometric == _PALETTE:
        pixels = apply_color_lut(pixels, header)[..., :3]
        bits = pixels.dtype.itemsize * 8
        if bits > 8 and pixels.max() <= 255:  # noqa: PLR2004  8-bit entries in 16-bit words
            bits = 8
    if pixels.ndim != 3 or pixels.shape[2] != 3:  # noqa: PLR2004  rows × columns × RGB
        raise Undrawable("The image does not have the three colour channels that it declares.")
    shifted = pixels >> max(0, bits - 8)
    eight_bits: Bytes = np.clip(shifted, 0, 255).astype(np.uint8)
    return eight_bits


def _pixel_aspect(header: Dataset) -> float:
    """Height over width of a pixel; 1 where it is not said, or not credible."""
    for keyword in ("PixelSpacing", "ImagerPixelSpacing", "PixelAspectRatio"):
        pair = header.get(keyword)
        if pair is not None and not isinstance(pair, str) and len(pair) == 2:  # noqa: PLR2004
            vertical, horizontal = (float(part) for part in pair)
            if min(vertical, horizontal) > 0 and math.isfinite(vertical / horizontal):
                ratio = vertical / horizontal
                return ratio if 1 / MAX_ASPECT <= ratio <= MAX_ASPECT else 1.0
    return 1.0


def _png(drawn: Bytes, aspect: float, size: int) -> bytes:
    picture = Image.fromarray(np.ascontiguousarray(drawn))
    width = picture.width * max(1.0, 1 / aspect)
    height = picture.height * max(1.0, aspect)
    scale = min(1.0, size / max(width, height))
    wanted = (max(1, round(width * scale)), max(1, round(height * scale)))
    if wanted != picture.size:
        picture = picture.resize(wanted, Image.Resampling.LANCZOS, reducing_gap=3.0)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=4)
    return buffer.getvalue()

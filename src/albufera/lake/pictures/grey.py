"""Grey values: stored pixels to 8 bits, by the pipeline of PS3.4 Annex N.

Modality LUT or rescale (PS3.3 C.11.1), then VOI LUT or window (PS3.3 C.11.2), from the object or
from the functional groups of an enhanced one (PS3.3 C.7.6.16).
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

Window = tuple[float, float]
"""Centre and width in the units after the modality LUT (HU for CT)."""

AUTO_PERCENTILES = (0.5, 99.5)
_SAMPLED = 256 * 1024
_FLOAT32_HOLDS_BYTES = 2
_SIGN_BIT, _WORD = 0x8000, 0x10000

Values = npt.NDArray[np.floating[Any]]
Bytes = npt.NDArray[np.uint8]


def grey_bytes(
    stored: npt.NDArray[Any], header: Dataset, frame: int, window: Window | None
) -> Bytes:
    """Stored values (rows × columns) as 8-bit grey, 255 for the highest values.

    With no ``window``: the object's VOI LUT, or its window, or the 0.5th to 99.5th percentile
    of what is not padding.
    """
    values = modality_values(stored, header, frame)
    voi = _group(header, frame, "FrameVOILUTSequence") or header
    if window is not None:
        return _scaled(_linear(values, *window))
    if header.get("VOILUTSequence"):
        return _scaled(_looked_up_voi(values, header.VOILUTSequence[0], header))
    own = _own_window(voi)
    if own is None:
        return _scaled(_stretched(values, _not_padding(stored, header)))
    function = str(voi.get("VOILUTFunction") or "LINEAR")
    return _scaled(_WINDOWS.get(function, _linear)(values, *own))


def modality_values(stored: npt.NDArray[Any], header: Dataset, frame: int) -> Values:
    """Values in the modality's units, e.g. HU: slope × stored + intercept, or the modality LUT."""
    precise = np.float64 if stored.dtype.itemsize > _FLOAT32_HOLDS_BYTES else np.float32
    if header.get("ModalityLUTSequence"):
        table, first, _ = _table(header.ModalityLUTSequence[0], header)
        return _look_up(stored, table, first).astype(np.float32)
    values: Values = stored.astype(precise)
    rescale = _group(header, frame, "PixelValueTransformationSequence") or header
    slope, intercept = rescale.get("RescaleSlope"), rescale.get("RescaleIntercept")
    if slope not in (None, "") and intercept not in (None, ""):
        values *= float(slope)
        values += float(intercept)
    return values


def _group(header: Dataset, frame: int, keyword: str) -> Dataset | None:
    """The first item of a functional group of the frame, or of the shared one, or None."""
    per_frame = header.get("PerFrameFunctionalGroupsSequence") or []
    shared = header.get("SharedFunctionalGroupsSequence") or []
    for item in [*per_frame[frame : frame + 1], *shared[:1]]:
        if found := item.get(keyword):
            group: Dataset = found[0]
            return group
    return None


def _own_window(voi: Dataset) -> Window | None:
    centre, width = _first(voi.get("WindowCenter")), _first(voi.get("WindowWidth"))
    if centre is None or width is None or not np.isfinite([centre, width]).all() or width <= 0:
        return None
    return centre, width


def _first(value: Any) -> float | None:
    if isinstance(value, str) or not hasattr(value, "__getitem__"):
        return None if value in (None, "") else float(value)
    return float(value[0]) if len(value) else None


def _linear(values: Values, centre: float, width: float) -> Values:
    """PS3.3 C.11.2.1.2.1, to 0 … 1."""
    if width <= 1:
        return (values > centre - 0.5).astype(np.float32)
    ramp: Values = (values - np.float32(centre - 0.5)) / np.float32(width - 1)
    return ramp + np.float32(0.5)


def _linear_exact(values: Values, centre: float, width: float) -> Values:
    """PS3.3 C.11.2.1.3.2, to 0 … 1."""
    ramp: Values = (values - np.float32(centre)) / np.float32(width)
    return ramp + np.float32(0.5)


def _sigmoid(values: Values, centre: float, width: float) -> Values:
    """PS3.3 C.11.2.1.3.1, to 0 … 1."""
    steepness = np.clip((values - np.float32(centre)) * np.float32(-4 / width), -80, 80)
    curve: Values = np.float32(1) / (np.float32(1) + np.exp(steepness))
    return curve


_WINDOWS = {"LINEAR": _linear, "LINEAR_EXACT": _linear_exact, "SIGMOID": _sigmoid}


def _stretched(values: Values, counted: npt.NDArray[np.bool_]) -> Values:
    stride = max(1, values.size // _SAMPLED)
    sample = values.ravel()[::stride][counted.ravel()[::stride]]
    sample = sample[np.isfinite(sample)]
    if not sample.size:
        return np.zeros_like(values)
    low, high = np.percentile(sample, AUTO_PERCENTILES)
    if low == high:  # few bright pixels on an even ground, or an even image
        low, high = sample.min(), sample.max()
    if low == high:
        return np.full_like(values, 0.5)
    stretched: Values = (values - low) / (high - low)
    return stretched


def _not_padding(stored: npt.NDArray[Any], header: Dataset) -> npt.NDArray[np.bool_]:
    """Which pixels count: all but the padding range (PS3.3 C.7.5.1.1.2)."""
    padding = header.get("PixelPaddingValue")
    if not isinstance(padding, int):
        return np.ones(stored.shape, dtype=bool)
    limit = header.get("PixelPaddingRangeLimit")
    low, high = sorted((padding, limit if isinstance(limit, int) else padding))
    return (stored < low) | (stored > high)


def _looked_up_voi(values: Values, item: Dataset, header: Dataset) -> Values:
    table, first, bits = _table(item, header)
    return _look_up(np.rint(values), table, first) / np.float32(2**bits - 1)


def _table(item: Dataset, header: Dataset) -> tuple[npt.NDArray[Any], int, int]:
    """A LUT's entries, first value mapped and bits per entry (PS3.3 C.11.1.1)."""
    _, first, bits = (int(part) for part in item.LUTDescriptor)
    if int(header.get("PixelRepresentation") or 0) == 1 and first >= _SIGN_BIT:
        first -= _WORD  # read as US even though the pixels are signed
    data = item.LUTData
    if isinstance(data, bytes):
        order = "<" if header.file_meta.TransferSyntaxUID.is_little_endian else ">"
        return np.frombuffer(data, dtype=f"{order}u2"), first, bits
    return np.asarray(data, dtype=np.float32), first, bits


def _look_up(values: npt.NDArray[Any], table: npt.NDArray[Any], first: int) -> npt.NDArray[Any]:
    index = np.clip(values.astype(np.float64) - first, 0, len(table) - 1)
    looked_up: npt.NDArray[Any] = table[np.nan_to_num(index).astype(np.intp)]
    return looked_up


def _scaled(unit: Values) -> Bytes:
    """0 … 1 to 0 … 255, rounded; what is not a number is black."""
    scaled = np.nan_to_num(unit * np.float32(255), nan=0.0)
    eight_bits: Bytes = np.clip(np.rint(scaled), 0, 255).astype(np.uint8)
    return eight_bits

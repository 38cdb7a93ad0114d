"""What the lake's index keeps of a cleaned object: its header as DICOM JSON, and a few facts."""

import json
import math
import re
import unicodedata
from collections.abc import Mapping
from typing import Any

from pydicom import DataElement, Dataset

from albufera.ingest.deidentify import Cleaned
from albufera.lake.model import MAX_AGE, Arrival, Instance

BULK_BYTES = 1024
"""Binary values longer than this are not in the index (PS3.18 §F.2.6): they are in the object."""

ELEMENT_CHARACTERS = 64 * 1024
HEADER_CHARACTERS = 256 * 1024
"""An element, or a header, that would be longer as JSON is not in the index either."""

_AGE = re.compile(r"^(\d{1,3})([DWMY])$")
_DATE = re.compile(r"^(\d{4})(\d{2})(\d{2})$")
_BULK_VRS = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})
_DAYS_PER = {"D": 1.0, "W": 7.0, "M": 30.4375, "Y": 365.25}
_MAX_INT32 = 2**31 - 1


def arrival_of(cleaned: Cleaned, sha256: str, size: int) -> Arrival:
    """Describe a cleaned object whose bytes have this digest and size."""
    header = header_json(cleaned.header)
    return Arrival(
        subject=cleaned.subject,
        sex=_text(header, "00100040", 16),
        study_uid=cleaned.study_uid,
        date=_date(_text(header, "00080020", 8)),
        study_description=_text(header, "00081030", 200),
        age=_age(_text(header, "00101010", 8)),
        series_uid=cleaned.series_uid,
        modality=_text(header, "00080060", 16),
        body_part=_text(header, "00180015", 64),
        description=_text(header, "0008103E", 200),
        manufacturer=_text(header, "00080070", 200),
        model=_text(header, "00081090", 200),
        number=_integer(header, "00200011"),
        rows=_integer(header, "00280010"),
        columns=_integer(header, "00280011"),
        slice_thickness=_number(header, "00180050"),
        instance=Instance(
            instance_uid=cleaned.instance_uid,
            sop_class_uid=cleaned.sop_class,
            transfer_syntax_uid=cleaned.transfer_syntax,
            sha256=sha256,
            size=size,
            number=_integer(header, "00200013"),
            header=header,
        ),
    )


def header_json(dataset: Dataset) -> dict[str, Any]:
    """A header in the DICOM JSON model (PS3.18 Annex F), without group 0002 and bulk values.

    Elements that cannot be written as JSON are left out.
    """
    found: dict[str, Any] = {}
    room = HEADER_CHARACTERS
    for tag in sorted(dataset.keys()):
        written = _element_json(dataset, int(tag))
        if written is None or len(written) > min(ELEMENT_CHARACTERS, room):
            continue
        room -= len(written)
        found[f"{int(tag):08X}"] = json.loads(written)
    return found


def _element_json(dataset: Dataset, tag: int) -> str | None:
    try:
        element = dataset[tag]
        if element.VR in _BULK_VRS and len(element.value or b"") > BULK_BYTES:
            return None
        return json.dumps(_plain(element), allow_nan=False)
    except Exception:  # noqa: BLE001, RUF100  pydicom raises what it meets: any of it means "no"
        return None


def _plain(element: DataElement) -> dict[str, Any]:
    content: dict[str, Any] = element.to_json_dict(
        bulk_data_element_handler=lambda _: "", bulk_data_threshold=BULK_BYTES
    )
    return content


def _text(header: Mapping[str, Any], tag: str, length: int) -> str:
    """The first value as text that any database takes, cut to `length` characters."""
    value = _first(header, tag)
    if isinstance(value, dict):
        value = value.get("Alphabetic", "")
    if value is None:
        return ""
    shown = "".join(c if _storable(c) else " " for c in str(value))
    return " ".join(shown.split())[:length]


def _storable(character: str) -> bool:
    return unicodedata.category(character) not in ("Cc", "Cs")


def _integer(header: Mapping[str, Any], tag: str) -> int | None:
    number = _number(header, tag)
    if number is None or abs(number) > _MAX_INT32 or number != int(number):
        return None
    return int(number)


def _number(header: Mapping[str, Any], tag: str) -> float | None:
    value = _first(header, tag)
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _first(header: Mapping[str, Any], tag: str) -> Any:
    values = header.get(tag, {}).get("Value") or [None]
    return values[0]


def _date(text: str) -> str:
    match = _DATE.match(text)
    return "-".join(match.groups()) if match else ""


def _age(text: str) -> int | None:
    """Whole years of an age string (PS3.5 §6.2, VR AS)."""
    match = _AGE.match(text)
    if match is None:
        return None
    count, unit = int(match.group(1)), match.group(2)
    years = count if unit == "Y" else int(count * _DAYS_PER[unit] / _DAYS_PER["Y"])
    return min(years, MAX_AGE)

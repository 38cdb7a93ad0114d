"""The cleaned header as a pydicom data set that can be read without warnings or surprises."""

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from threading import Lock

from pydicom import Dataset, config, dcmread
from pydicom.charset import python_encoding

from albufera.ingest.deidentify.rules import dictionary_vr
from albufera.ingest.deidentify.values import decimal, each

_SETTINGS = Lock()
_LOCAL_TEXT = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})


@contextmanager
def _without_validation() -> Iterator[None]:
    """pydicom's values as they stand: the setting is one for the whole process, hence the lock."""
    with _SETTINGS:
        before = config.settings.reading_validation_mode
        config.settings.reading_validation_mode = config.IGNORE
        try:
            yield
        finally:
            config.settings.reading_validation_mode = before


def view(header: bytes) -> Dataset:
    """The data set in `header`, every element but sequences already converted.

    Elements whose value is not what their VR demands are left out (they stay in the object).
    Sequences are read when they are asked for.
    """
    with _without_validation():
        dataset = dcmread(BytesIO(header))
        for tag in list(dataset.keys()):
            if not _converts(dataset, int(tag)):
                del dataset[tag]
    return dataset


def _converts(dataset: Dataset, tag: int) -> bool:
    raw = dataset.get_item(tag)
    vr = str(getattr(raw, "VR", None) or dictionary_vr(tag))
    if vr in ("SQ", "UN"):
        return True
    value = getattr(raw, "value", None)
    if vr in _LOCAL_TEXT and isinstance(value, bytes) and not _decodes(dataset, value):
        return False
    if vr in ("DS", "IS") and isinstance(value, bytes) and each(decimal)(value) is None:
        return False
    try:
        dataset[tag]
    except Exception:  # noqa: BLE001, RUF100  pydicom raises what it meets: any of it means "no"
        return False
    return True


def _decodes(dataset: Dataset, value: bytes) -> bool:
    if value.isascii():
        return True
    terms = dataset.get("SpecificCharacterSet") or ""
    first = terms if isinstance(terms, str) else str(next(iter(terms), ""))
    try:
        value.decode(python_encoding.get(first, "ascii"))
    except (UnicodeDecodeError, LookupError):
        return b"\x1b" in value
    return True

"""Readable folder names of a dataset: `<subject>/<study>/<series>/`.

Names are made of what the lake knows and of nothing else, so the same series has the same folder
in every version. The last part is the beginning of the SHA-256 of the UID: names that read alike
stay apart. Only letters, digits, `.`, `_` and `-` occur, and no name begins with a dot.
"""

import hashlib
import re
from dataclasses import dataclass

_UNSAFE = re.compile(r"[^A-Za-z0-9]+")
_SAFE_SUBJECT = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")
_DESCRIPTION = 32
_DIGEST = 10


@dataclass(frozen=True)
class Placed:
    """What a series' folder name is made of."""

    subject: str
    study_uid: str
    study_date: str
    study_description: str
    series_uid: str
    number: int | None
    modality: str
    description: str


def folder_of(series: Placed) -> str:
    """Return the series' folder, relative, ending with a slash; at most 250 characters."""
    study = (series.study_date, series.study_description)
    number = f"{series.number:03d}" if series.number is not None and series.number >= 0 else ""
    parts = (number, series.modality, series.description)
    return "/".join(
        (subject_folder(series.subject), _name(study, series.study_uid),
         _name(parts, series.series_uid), "")
    )  # fmt: skip


def subject_folder(subject: str) -> str:
    """Return the folder of a subject: its pseudonym."""
    if _SAFE_SUBJECT.match(subject):
        return subject
    return f"{_words(subject) or 'subject'}_{_short(subject)}"


def _name(parts: tuple[str, ...], uid: str) -> str:
    return "_".join((*filter(None, map(_words, parts)), _short(uid)))


def _words(text: str) -> str:
    return _UNSAFE.sub("-", text).strip("-")[:_DESCRIPTION].strip("-")


def _short(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST]

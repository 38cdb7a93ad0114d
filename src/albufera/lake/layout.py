"""Where an instance lies, and which names are fit to become paths.

The layout is decided in ``docs/decisions/005-lake-layout.md``. Everything here is pure: no I/O.
"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import PurePosixPath

SHARD_DIGITS = 3
"""Hexadecimal digits of a shard: 4,096 directories, so a million series is about 244 in each."""

_SLUG = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", re.ASCII)
_UID = re.compile(r"(?=.{1,64}\Z)[0-9]+(?:\.[0-9]+)*", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_MAX_PART_BYTES = 255
_MAX_PATH_BYTES = 4000


class InvalidName(ValueError):
    """A name that must not become part of a path."""


def slug(text: str) -> str:
    """``text`` if it is 1 to 64 letters, digits, ``_`` or ``-``, else InvalidName."""
    if not _SLUG.fullmatch(text):
        raise InvalidName(
            f"{text[:80]!r} is not a name the lake can use: write 1 to 64 letters, digits, "
            "'_' or '-', beginning with a letter or digit."
        )
    return text


def uid_or_slug(text: str) -> str:
    """``text`` if it is a DICOM UID (PS3.5 §9.1: digits and dots, at most 64) or a safe slug."""
    if _UID.fullmatch(text):
        return text
    return slug(text)


@dataclass(frozen=True, slots=True, order=True)
class InstanceKey:
    """What names one instance in the lake: project code, series and SOP instance UID.

    The UIDs are the *de-identified* ones. Every part is validated, so a key can always be turned
    into a path below the lake's root.

    Raises:
        InvalidName: a part is neither a UID nor a safe slug.
    """

    project: str
    series: str
    instance: str

    def __post_init__(self) -> None:
        slug(self.project)
        uid_or_slug(self.series)
        uid_or_slug(self.instance)


def shard(series: str) -> str:
    """The shard of a series: the first digits of the SHA-256 of its UID, so shards fill evenly."""
    return hashlib.sha256(series.encode("ascii")).hexdigest()[:SHARD_DIGITS]


def series_path(project: str, series: str) -> PurePosixPath:
    """``<project>/<shard>/<series>``, relative to the store's ``series`` directory."""
    return PurePosixPath(slug(project), shard(uid_or_slug(series)), series)


def instance_path(key: InstanceKey) -> PurePosixPath:
    """``<project>/<shard>/<series>/<instance>.dcm``, relative to the store's ``series``."""
    return series_path(key.project, key.series) / f"{key.instance}.dcm"


def inside(relative: str) -> PurePosixPath:
    """A path of a view, if it stays inside the view.

    Raises:
        InvalidName: it is empty, absolute or too long, or has an empty, ``.`` or ``..`` part,
            a backslash or a control character (NUL among them).
    """
    parts = relative.split("/")
    if (
        any(part in ("", ".", "..") for part in parts)
        or "\\" in relative
        or _CONTROL.search(relative)
        or any(len(part.encode("utf-8", "surrogatepass")) > _MAX_PART_BYTES for part in parts)
        or len(relative.encode("utf-8", "surrogatepass")) > _MAX_PATH_BYTES
    ):
        raise InvalidName(
            f"{relative[:80]!r} is not a path inside a view: give a relative path without "
            "empty, '.' or '..' parts, backslashes or control characters."
        )
    return PurePosixPath(relative)

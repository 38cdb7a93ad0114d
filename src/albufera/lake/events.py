"""What happens in the lake."""

from dataclasses import dataclass
from typing import ClassVar

from albufera.kernel.events import Event


@dataclass(frozen=True, kw_only=True)
class SeriesAdmitted(Event):
    """A series came into being or grew.

    `instance_count` is what it holds now, and `digest` is `records.content_digest` of all its
    instances.
    """

    verb: ClassVar[str] = "series.admitted"
    series_id: str
    instance_count: int
    added: int
    digest: str


@dataclass(frozen=True, kw_only=True)
class StudyViewed(Event):
    """Somebody opened a study."""

    verb: ClassVar[str] = "study.viewed"
    study_id: str


@dataclass(frozen=True, kw_only=True)
class SeriesRendered(Event):
    """Somebody looked at pictures of a series: told once an hour for each person and series."""

    verb: ClassVar[str] = "series.rendered"
    series_id: str


@dataclass(frozen=True, kw_only=True)
class SeriesRetrieved(Event):
    """Somebody was sent objects of a series."""

    verb: ClassVar[str] = "series.retrieved"
    series_id: str
    instance_count: int

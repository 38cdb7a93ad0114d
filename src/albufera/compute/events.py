"""What compute announces."""

from dataclasses import dataclass
from typing import ClassVar

from albufera.kernel.events import Event


@dataclass(frozen=True, kw_only=True)
class JobSubmitted(Event):
    """A person asked for a command to be run beside the data."""

    verb: ClassVar[str] = "job.submitted"
    job_id: str
    command_digest: str


@dataclass(frozen=True, kw_only=True)
class DatasetUsed(Event):
    """A job began with a dataset mounted."""

    verb: ClassVar[str] = "dataset.used"
    dataset_id: str
    job_id: str
    user_id: str


@dataclass(frozen=True, kw_only=True)
class JobEnded(Event):
    """A job ended.

    `reason` is one of the runner's end reasons, or `access-ended`.
    """

    verb: ClassVar[str] = "job.ended"
    job_id: str
    user_id: str
    state: str
    reason: str

"""What the trace itself announces."""

from dataclasses import dataclass
from typing import ClassVar

from albufera.kernel.events import Event


@dataclass(frozen=True, kw_only=True)
class LogVerified(Event):
    """The log was read again from the start and compared with its checkpoints."""

    verb: ClassVar[str] = "trace.verified"
    verification_id: str
    outcome: str
    entries: int
    findings: int

"""What a verification of the log finds, and the states of one."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from albufera.kernel.transitions import Transitions


class VerificationState(StrEnum):
    """Where a verification is."""

    RUNNING = "running"
    VERIFIED = "verified"
    TAMPERED = "tampered"
    FAILED = "failed"
    CANCELLED = "cancelled"


VERIFICATION_LIFE = Transitions(
    "verification",
    {
        (VerificationState.RUNNING, "verify"): VerificationState.VERIFIED,
        (VerificationState.RUNNING, "find"): VerificationState.TAMPERED,
        (VerificationState.RUNNING, "fail"): VerificationState.FAILED,
        (VerificationState.RUNNING, "cancel"): VerificationState.CANCELLED,
    },
)


@dataclass(frozen=True)
class Finding:
    """Something wrong with the log.

    Attributes:
        index: the entry that it is about, or None when it is about no single one.
        sentence: what is wrong, by indexes, identifiers of events, and hashes only.
    """

    index: int | None
    sentence: str


@dataclass(frozen=True)
class Report:
    """What reading the whole log has shown.

    Attributes:
        entries: how many entries were read.
        checkpoints: how many signed checkpoints were compared.
        root: root over what was read, in lower-case hexadecimal.
        findings: what is wrong, the first wrong entry first; at most `MAX_FINDINGS`.
        total_findings: how many there were.
    """

    entries: int
    checkpoints: int
    root: str
    findings: tuple[Finding, ...]
    total_findings: int

    @property
    def intact(self) -> bool:
        """Whether nothing is wrong."""
        return not self.total_findings


MAX_FINDINGS = 100


@dataclass(frozen=True)
class Verification:
    """A verification that somebody asked for. `report` is None until it has ended."""

    verification_id: str
    state: VerificationState
    requested_by: str
    requested_at: datetime
    finished_at: datetime | None
    note: str
    report: Report | None
    done: int = 0
    total: int = 0

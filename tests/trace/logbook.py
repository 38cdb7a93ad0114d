"""A log for tests: events recorded as any verb records them, and the services that log them."""

from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from albufera.governance.events import AccessGranted
from albufera.governance.policy import TablePolicy
from albufera.kernel.actor import Actor
from albufera.kernel.database import Database
from albufera.kernel.signing import SigningKey
from albufera.kernel.unit_of_work import unit_of_work
from albufera.trace.findings import Report
from albufera.trace.inspector import Inspector
from albufera.trace.model import Checkpoint
from albufera.trace.service import TraceService

KEY = SigningKey("node.example/log", Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
OPERATOR = Actor("us-operator", "operator", is_operator=True)


@dataclass(frozen=True)
class Logbook:
    """A database with a log."""

    database: Database

    @property
    def trace(self) -> TraceService:
        """The service, as if the process had just started."""
        return TraceService(self.database, TablePolicy(), KEY)

    def record(self, first: int, count: int = 1, actor: Actor = OPERATOR) -> None:
        """Record events, about datasets `ds-<number>` from `first` on, in one unit of work."""
        with unit_of_work(self.database, actor) as work:
            for number in range(first, first + count):
                work.record(
                    AccessGranted(
                        project_id=f"pr-{number % 2}",
                        grant_id=f"gr-{number}",
                        dataset_id=f"ds-{number}",
                        user_id="us-1",
                        ends_at="2027-01-01",
                    )
                )

    def fill(self, *batches: int) -> None:
        """Record and append batches of these sizes, each with its own checkpoint."""
        first = 0
        for size in batches:
            self.record(first, size)
            assert self.trace.append() == size
            first += size

    def inspect(self, kept: Checkpoint | None = None) -> Report:
        """Verify the log."""
        return Inspector(self.database, KEY.verify_key).inspect(lambda done, total: None, kept)

    def tamper(self, *statements: str) -> None:
        """Do to the rows what nobody should."""
        with self.database.write() as connection:
            for statement in statements:
                assert connection.exec_driver_sql(statement).rowcount > 0, statement

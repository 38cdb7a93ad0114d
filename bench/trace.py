"""Appending to the log and verifying it, against what the same database and processor allow.

Appending one by one is held against bare commits of one row; appending in groups against the bare
insertion of as many rows with as many bytes in one commit; verification against hashing the same
leaves in memory. `albufera bench trace` takes some seconds; the sizes are small.
"""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from albufera.governance.events import AccessGranted
from albufera.governance.policy import TablePolicy
from albufera.kernel import merkle
from albufera.kernel.actor import SYSTEM
from albufera.kernel.database import Database, metadata
from albufera.kernel.signing import SigningKey
from albufera.kernel.unit_of_work import unit_of_work
from albufera.trace import records
from albufera.trace.inspector import Inspector
from albufera.trace.service import TraceService

SINGLE = 200
GROUP = 500
GROUPS = 10
PROOFS = 200

_bare = sa.Table(
    "bench_bare",
    sa.MetaData(),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("content", sa.LargeBinary, nullable=False),
)


_CONTENT = b"x" * 330
"""About the bytes of a leaf."""


@dataclass(frozen=True)
class Line:
    """A measured rate, per second, and the rate that it is held against."""

    what: str
    rate: float
    against: str
    limit: float

    def render(self) -> str:
        """The line of the table."""
        mine = f"{self.what:<38}{self.rate:>10,.0f}/s   "
        return mine + f"{self.against:<34}{self.limit:>11,.0f}/s{self.rate / self.limit:>8.2f}"


def run() -> str:
    """Measure, and return the table."""
    with tempfile.TemporaryDirectory(prefix="albufera-bench-") as folder:
        database = Database(f"sqlite:///{Path(folder) / 'bench.sqlite'}")
        metadata.create_all(database.engine)
        _bare.create(database.engine)
        key = SigningKey.generate("bench.example/log")
        lines = _measure(database, TraceService(database, TablePolicy(), key), key)
        database.close()
    title = f"{'the log':<38}{'rate':>12}   {'the same run':<34}{'rate':>13}{'ratio':>8}"
    return "\n".join([title, "-" * len(title), *(line.render() for line in lines)])


def main() -> None:
    """Run the benchmark and print its table."""
    print(run())


def _measure(database: Database, trace: TraceService, key: SigningKey) -> list[Line]:
    _record(database, 0, 1)
    trace.append()  # opens the log
    single = _rate(SINGLE, lambda: _one_by_one(database, trace))
    bare = _rate(SINGLE, lambda: _insert_one_by_one(database))
    grouped, inserted = _in_groups(database, trace)
    total = GROUP * GROUPS
    inspector = Inspector(database, key.verify_key)
    verified = _rate(total + SINGLE + 1, lambda: inspector.inspect(lambda *_: None))
    with database.read() as connection:
        leaves = records.leaves(connection, 0, total)
    hashed = _rate(total, lambda: merkle.root(merkle.leaf_hash(leaf) for leaf in leaves))
    proved = _rate(PROOFS, lambda: [trace.proof(SYSTEM, i * 20) for i in range(PROOFS)])
    read = _rate(PROOFS, lambda: [trace.entry(SYSTEM, i * 20) for i in range(PROOFS)])
    return [
        Line("record and append, one by one", single, "two bare commits of one row", bare / 2),
        Line(f"append in groups of {GROUP}", grouped, "bare rows in the same groups", inserted),
        Line("verify the whole log", verified, "hashing the leaves in memory", hashed),
        Line("inclusion proofs", proved, "reading one entry by its number", read),
    ]


def _in_groups(database: Database, trace: TraceService) -> tuple[float, float]:
    """Entries a second, and bare rows a second, turn and turn about."""
    appending = inserting = 0.0
    for number in range(GROUPS):
        first = 10_000 + number * GROUP
        _record(database, first, GROUP)
        appending += _seconds(trace.append)
        start = time.perf_counter()
        _insert(database, first, GROUP)
        inserting += time.perf_counter() - start
    total = GROUP * GROUPS
    return total / appending, total / inserting


def _insert_one_by_one(database: Database) -> None:
    for number in range(SINGLE):
        _insert(database, number, 1)


def _one_by_one(database: Database, trace: TraceService) -> None:
    for number in range(SINGLE):
        _record(database, number, 1)
        trace.append()


def _record(database: Database, first: int, count: int) -> None:
    with unit_of_work(database, SYSTEM) as work:
        for number in range(first, first + count):
            work.record(
                AccessGranted(
                    project_id="pr-bench",
                    grant_id=f"gr-{number}",
                    dataset_id=f"ds-{number % 50}",
                    user_id=f"us-{number % 20}",
                    ends_at="2027-01-01",
                )
            )


def _insert(database: Database, first: int, count: int) -> None:
    rows = [{"number": number, "content": _CONTENT} for number in range(first, first + count)]
    with database.write() as connection:
        connection.execute(_bare.insert(), rows)


def _rate(count: int, work: Callable[[], object]) -> float:
    return count / _seconds(work)


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()

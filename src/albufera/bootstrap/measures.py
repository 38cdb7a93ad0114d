"""Numbers by which a node is watched: counts of everything by state, never of persons."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from albufera.bootstrap.node import Node
from albufera.catalogue.records import datasets
from albufera.compute.airlock.records import egress_requests
from albufera.compute.records import jobs
from albufera.ingest.records import ingest_items, ingests
from albufera.kernel import clock
from albufera.kernel.outbox import events, oldest_waiting, tasks
from albufera.lake.records import series


@dataclass(frozen=True)
class Measure:
    """One number. `labels` tell it from others of its name."""

    name: str
    help: str
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)


def measure(node: Node) -> Iterator[Measure]:
    """Count what a node holds and what waits, each kind in one query."""
    with node.database.read() as connection:
        yield from _by(connection, "jobs", "Jobs.", jobs, state=jobs.c.state)
        yield from _by(connection, "tasks", "Background tasks.", tasks,
                       kind=tasks.c.kind, state=tasks.c.state)  # fmt: skip
        yield from _by(connection, "egress_requests", "Egress requests.", egress_requests,
                       state=egress_requests.c.state)  # fmt: skip
        yield from _by(connection, "ingests", "Ingests.", ingests, state=ingests.c.state)
        yield from _by(connection, "ingest_items", "Files of the last day's ingests, by end.",
                       _items_of_today(), state=ingest_items.c.state)  # fmt: skip
        yield from _by(connection, "datasets", "Datasets.", datasets, state=datasets.c.state)
        yield from _by(connection, "series", "Series in the lake.", series)
        waiting = sa.select(sa.func.count()).where(sa.not_(events.c.logged))
        yield Measure(
            "events_waiting", "Events that the log has not taken.", connection.scalar(waiting) or 0
        )
        oldest = oldest_waiting(connection)
    age = (clock.now() - oldest).total_seconds() if oldest is not None else 0.0
    yield Measure("events_oldest_seconds", "Age of the oldest of them.", max(0.0, age))


def _items_of_today() -> sa.Join:
    """All items ever may be as many as the images: those of recent ingests are found by index."""
    recent = ingests.c.submitted_at > clock.now() - timedelta(days=1)
    return sa.join(
        ingest_items, ingests, sa.and_(ingests.c.ingest_id == ingest_items.c.ingest_id, recent)
    )


def _by(
    connection: Connection, name: str, text: str, table: sa.FromClause, **labels: sa.Column[str]
) -> Iterator[Measure]:
    counted = sa.select(*labels.values(), sa.func.count()).select_from(table)
    for row in connection.execute(counted.group_by(*labels.values())):
        values = dict(zip(labels, map(str, row[:-1]), strict=True))
        yield Measure(name, text, float(row[-1]), values)

"""A dataset is being made and the process dies, as by kill -9, at each named point: nothing is
half-made, and whoever goes on makes the same dataset."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from albufera.bootstrap.node import Node
from albufera.catalogue.builder import BUILD
from albufera.catalogue.manifest import verify_manifest
from albufera.catalogue.model import DatasetState, Properties
from albufera.catalogue.query.language import parse
from albufera.catalogue.records import dataset_series, datasets
from albufera.governance.model import Role
from albufera.kernel import clock
from albufera.kernel.crashes import ENVIRONMENT_VARIABLE
from albufera.kernel.outbox import TaskState, events, tasks
from tests.catalogue.lakes import cohort, fill
from tests.nodes import Town, town

WORKER = """
import sys
from pathlib import Path
import albufera.catalogue.builder as builder
from albufera.bootstrap.node import open_node
from albufera.settings import Settings
builder._SELECT_BATCH, builder._WRITE_BATCH, builder._BEAT_SECONDS = 7, 5, 0.0
node = open_node(Settings(home=Path(sys.argv[1])))
node.worker().drain()
node.close()
"""

POINTS = (
    "catalogue.build.selecting:1",
    "catalogue.build.selecting:2",
    "catalogue.build.selected",
    "catalogue.manifest.writing:1",
    "catalogue.manifest.writing:3",
    "catalogue.manifest.written",
    "catalogue.build.committing",
    "catalogue.build.committed",
)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Town]:
    with town(tmp_path / "home") as place:
        fill(place.node, "LUNG", cohort(12))
        yield place


def work(place: Town, crash_at: str = "") -> int:
    """Run a worker in a process of its own; return how it ended."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("ALBUFERA_")}
    done = subprocess.run(
        [sys.executable, "-c", WORKER, str(place.node.home.root)],
        env={**environment, ENVIRONMENT_VARIABLE: crash_at},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode


def begin(place: Town) -> str:
    steward = place.people["LUNG", Role.STEWARD]
    made = place.node.drafts.create(steward, "LUNG", Properties("Crash"), parse("all"))
    return made.dataset_id


def let_the_lease_end(node: Node) -> None:
    """As if half a minute had gone by since the worker died."""
    with node.database.write() as connection:
        past = clock.now() - timedelta(seconds=1)
        running = tasks.c.state == TaskState.RUNNING.value
        connection.execute(tasks.update().where(running).values(lease_until=past))


def without_identity(content: bytes) -> object:
    document = json.loads(content)
    del document["dataset"]
    return document


@pytest.mark.parametrize("point", POINTS)
def test_a_crash_at_any_point_leaves_nothing_half_made(place: Town, point: str) -> None:
    node = place.node
    expected_id = begin(place)
    assert work(place) == 0
    dataset_id = begin(place)
    assert work(place, point) == -signal.SIGKILL
    committed = point == "catalogue.build.committed"
    with node.database.read() as connection:
        row = connection.execute(datasets.select().filter_by(dataset_id=dataset_id)).one()
        built = connection.scalars(
            sa.select(events.c.subjects).where(events.c.verb == "dataset.built")
        ).all()
    assert row.state == (DatasetState.READY if committed else DatasetState.CREATING)
    assert (row.manifest_root is not None) == committed
    assert len(built) == (2 if committed else 1)

    let_the_lease_end(node)
    assert work(place) == 0
    steward = place.people["LUNG", Role.STEWARD]
    expected = node.catalogue.show(steward, expected_id)
    again = node.catalogue.show(steward, dataset_id)
    assert again.dataset.state is DatasetState.READY
    assert again.dataset.counts == expected.dataset.counts
    assert again.aggregate == expected.aggregate
    assert again.dataset.manifest is not None
    assert expected.dataset.manifest is not None
    assert again.dataset.manifest.root == expected.dataset.manifest.root
    contents = []
    for identifier in (expected_id, dataset_id):
        dataset, stream = node.catalogue.manifest(steward, identifier)
        with stream:
            contents.append(without_identity(stream.read()))
        with node.catalogue.contents.open_manifest(dataset) as stream:
            assert verify_manifest(stream).dataset_id == identifier
    assert contents[0] == contents[1]
    kept = list((node.home.manifests / dataset_id).iterdir())
    assert [path.name for path in kept] == [f"{again.dataset.manifest.sha256}.json"]
    with node.database.read() as connection:
        mine = dataset_series.c.dataset_id == dataset_id
        count = connection.scalar(sa.select(sa.func.count()).where(mine))
        built = connection.scalars(
            sa.select(events.c.subjects).where(events.c.verb == "dataset.built")
        ).all()
        states = connection.scalars(sa.select(tasks.c.state).where(tasks.c.kind == BUILD)).all()
    assert count == again.dataset.counts.series == 24
    assert len(built) == 2
    assert set(states) == {TaskState.DONE}


def test_a_crashed_draft_can_be_cancelled_and_leaves_nothing(place: Town) -> None:
    dataset_id = begin(place)
    assert work(place, "catalogue.manifest.writing:2") == -signal.SIGKILL
    steward = place.people["LUNG", Role.STEWARD]
    place.node.drafts.cancel(steward, dataset_id)
    let_the_lease_end(place.node)
    assert work(place) == 0
    assert not (place.node.home.manifests / dataset_id).exists()
    with place.node.database.read() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(dataset_series)) == 0
    shown = place.node.catalogue.show(steward, dataset_id).dataset
    assert shown.state is DatasetState.CANCELLED

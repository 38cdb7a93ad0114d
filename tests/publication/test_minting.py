"""Identifiers are given once, whatever dies when."""

import signal
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from albufera.kernel.outbox import TaskState, events, task_progress, tasks
from albufera.publication import records
from albufera.publication.backends.records import registrations
from albufera.publication.model import IdentifierState
from tests.nodes import Town, town
from tests.publication.library import crash, invalidate, publish, publish_next, release, steward

DRAIN = """
import os, pathlib
from albufera.bootstrap.node import open_node
from albufera.settings import Settings
open_node(Settings(home=pathlib.Path(os.environ["ALBUFERA_HOME"]))).worker().drain()
"""
MINT_POINTS = ("reserved", "noted", "registered", "identified", "minted")


def verbs(made: Town) -> list[str]:
    query = sa.select(events.c.verb).where(events.c.verb.like("publication.%"))
    with made.node.database.read() as connection:
        return list(connection.scalars(query.order_by(events.c.sequence)))


def state_of(made: Town, dataset_id: str) -> str | None:
    with made.node.database.read() as connection:
        row = records.identifier_of(connection, dataset_id)
    return None if row is None else str(row.state)


def wake(made: Town) -> None:
    """Let the leases of the dead run out."""
    with made.node.database.write() as connection:
        connection.execute(tasks.update().values(lease_until=datetime(2020, 1, 1, tzinfo=UTC)))


def count(made: Town, table: sa.Table) -> int:
    with made.node.database.read() as connection:
        return int(connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0)


def test_publishing_gives_one_identifier_that_resolves(tmp_path: Path) -> None:
    with town(tmp_path / "home") as made:
        dataset_id = publish(made)
        shown = made.node.publication.show(dataset_id)
        assert shown.identifier is not None
        assert made.node.publication.resolve(shown.identifier).dataset_id == dataset_id
        assert verbs(made) == ["publication.identifier-registered"]
        assert state_of(made, dataset_id) == IdentifierState.REGISTERED


@pytest.mark.parametrize("point", MINT_POINTS)
def test_a_crash_while_minting_gives_one_identifier_all_the_same(
    tmp_path: Path, point: str
) -> None:
    with town(tmp_path / "home") as made:
        dataset_id = release(made).dataset_id
        made.node.lifecycle.publish(steward(made), dataset_id)
        dead = crash(DRAIN, str(tmp_path / "home"), f"publication.{point}")
        assert dead.returncode == -signal.SIGKILL, dead.stderr
        wake(made)
        made.drain()
        assert made.node.publication.show(dataset_id).identifier is not None
        assert verbs(made) == ["publication.identifier-registered"]
        assert count(made, registrations) == count(made, records.identifiers) == 1


@pytest.mark.parametrize("point", ["reserved", "noted", "registered", "minted"])
def test_an_invalidation_after_a_crash_ends_in_a_tombstone_or_in_nothing(
    tmp_path: Path, point: str
) -> None:
    with town(tmp_path / "home") as made:
        dataset_id = release(made).dataset_id
        made.node.lifecycle.publish(steward(made), dataset_id)
        crash(DRAIN, str(tmp_path / "home"), f"publication.{point}")
        made.node.lifecycle.invalidate(steward(made), dataset_id, "Too early.")
        wake(made)
        made.drain()
        assert state_of(made, dataset_id) in {None, IdentifierState.TOMBSTONED}
        assert made.node.publication.show(dataset_id).is_tombstone


def test_a_crash_while_withdrawing_ends_in_one_tombstone(tmp_path: Path) -> None:
    with town(tmp_path / "home") as made:
        dataset_id = publish(made)
        made.node.lifecycle.invalidate(steward(made), dataset_id, "A patient withdrew.")
        dead = crash(DRAIN, str(tmp_path / "home"), "publication.withdrawn")
        assert dead.returncode == -signal.SIGKILL, dead.stderr
        wake(made)
        made.drain()
        assert state_of(made, dataset_id) == IdentifierState.TOMBSTONED
        assert verbs(made)[-1:] == ["publication.identifier-tombstoned"]
        assert len(verbs(made)) == 2


def test_what_was_invalidated_before_it_was_minted_gets_no_identifier(tmp_path: Path) -> None:
    with town(tmp_path / "home") as made:
        dataset_id = release(made).dataset_id
        made.node.lifecycle.publish(steward(made), dataset_id)
        invalidate(made, dataset_id)
        assert state_of(made, dataset_id) is None
        assert made.node.publication.show(dataset_id).identifier is None
        with made.node.database.read() as connection:
            progress = task_progress(connection, "publication.mint", dataset_id)
        assert progress is not None
        assert progress.state is TaskState.DONE


def test_minting_twice_changes_nothing(tmp_path: Path) -> None:
    with town(tmp_path / "home") as made:
        dataset_id = publish(made)
        before = made.node.publication.show(dataset_id)
        with made.node.database.write() as connection:
            connection.execute(tasks.update().values(state="queued"))
        made.drain()
        assert made.node.publication.show(dataset_id) == before
        assert verbs(made) == ["publication.identifier-registered"]


def test_the_version_before_learns_of_its_successor(tmp_path: Path) -> None:
    with town(tmp_path / "home") as made:
        first = publish(made)
        second = publish_next(made, first)
        assert verbs(made)[-1] == "publication.identifier-updated"
        shown = made.node.publication.show(first)
        assert shown.successor is not None
        assert shown.successor.dataset_id == second
        with made.node.database.read() as connection:
            row = connection.execute(
                registrations.select().where(registrations.c.dataset_id == first)
            ).one()
        assert [item["id"] for item in row.metadata["versions"]] == [first, second]

"""`/healthz`, `/readyz`, `/metrics`."""

import asyncio

import httpx
import pytest
import sqlalchemy as sa

from albufera.bootstrap.schema import newest_revision
from albufera.compute.ports import Availability
from albufera.entrypoints.node_app import create_node_app
from albufera.governance.model import Role
from tests.compute.yard import Yard


def migrate(place: Yard) -> None:
    """Write down the schema's version, as migrations do (the town's tables were made at once)."""
    with place.town.node.database.write() as connection:
        connection.exec_driver_sql("CREATE TABLE alembic_version (version_num VARCHAR(32))")
        for revision in (newest_revision(),):
            statement = sa.text("INSERT INTO alembic_version VALUES (:it)")
            connection.execute(statement, {"it": revision})


def ready(place: Yard) -> httpx.Response:
    with place.town.client(place.researcher) as client:
        return client.get("/readyz")


def test_alive(place: Yard) -> None:
    with place.town.client(place.researcher) as client:
        assert client.get("/healthz").json()["status"] == "ok"


def test_a_node_is_ready_with_the_schema_of_its_version(place: Yard) -> None:
    answer = ready(place)
    assert (answer.status_code, answer.json()["database"]) == (503, "older schema")
    migrate(place)
    answer = ready(place)
    assert (answer.status_code, answer.json()["status"]) == (200, "ready")
    with place.town.node.database.write() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = 'older'")
    assert ready(place).status_code == 503


def test_a_node_without_a_database_is_not_ready(place: Yard) -> None:
    migrate(place)
    path = place.town.node.home.root / "albufera.sqlite"
    place.town.node.database.close()
    path.rename(path.with_suffix(".away"))
    path.mkdir()
    answer = ready(place)
    assert (answer.status_code, answer.json()["database"]) == (503, "does not answer")
    path.rmdir()
    path.with_suffix(".away").rename(path)


def test_a_node_without_a_sandbox_is_ready_and_says_so(place: Yard) -> None:
    migrate(place)
    place.runner.availability = Availability(False, "No bubblewrap.", "Install it.")
    answer = ready(place)
    assert answer.status_code == 200
    assert answer.json()["jobs"] == {"available": False, "limits": "", "reason": "No bubblewrap."}


@pytest.mark.parametrize(
    ("role", "status"), [(None, 200), (Role.STEWARD, 403), (Role.PROJECT_ADMINISTRATOR, 403)]
)
def test_metrics_are_for_operators(place: Yard, role: Role | None, status: int) -> None:
    actor = place.town.operator if role is None else place.person(role)
    with place.town.client(actor) as client:
        answer = client.get("/metrics", headers={"x-forwarded-for": "192.0.2.1"})
    assert answer.status_code == status


@pytest.mark.parametrize(
    ("address", "headers", "status"),
    [
        ("127.0.0.1", {}, 200),
        ("::1", {}, 200),
        ("192.0.2.1", {}, 401),
        ("127.0.0.1", {"x-forwarded-for": "192.0.2.1"}, 401),
        ("127.0.0.1", {"forwarded": "for=192.0.2.1"}, 401),
    ],
)
def test_metrics_are_for_this_machine(
    place: Yard, address: str, headers: dict[str, str], status: int
) -> None:
    app = create_node_app(place.town.node)
    transport = httpx.ASGITransport(app, client=(address, 1))

    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=transport, base_url="http://node") as client:
            return await client.get("/metrics", headers=headers)

    assert asyncio.run(ask()).status_code == status


def test_metrics_count_by_state(place: Yard) -> None:
    place.submit()
    place.finished()
    with place.town.client(place.town.operator) as client:
        answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = answer.text.splitlines()
    assert 'albufera_jobs{state="queued"} 1' in lines
    assert 'albufera_jobs{state="finished"} 1' in lines
    assert 'albufera_tasks{kind="job.run",state="queued"} 2' in lines
    assert 'albufera_datasets{state="released"} 2' in lines
    assert any(line.startswith("albufera_events_waiting ") for line in lines)
    samples = [line for line in lines if not line.startswith("#")]
    names = [line.partition("{")[0].partition(" ")[0] for line in samples]
    assert all(f"# TYPE {name} gauge" in lines for name in names)
    assert len(samples) == len(set(samples))

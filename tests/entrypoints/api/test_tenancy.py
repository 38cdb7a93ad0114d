"""No tenant sees another: every route of the API is walked as everybody of another project.

The routes come from the OpenAPI document, so a new one is walked the day it is added; one with a
path parameter that this test does not know fails until it is told which thing to ask for.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from pydicom.data import get_testdata_file

from albufera.clinical.forms import demonstration_form
from albufera.entrypoints.node_app import create_node_app
from albufera.governance.access import Terms
from albufera.governance.model import Role
from albufera.kernel import clock
from albufera.kernel.actor import Actor
from albufera.kernel.database import Instant, Json, metadata
from albufera.kernel.ids import new_id
from albufera.kernel.outbox import events
from tests.governance.datasets import release_dataset
from tests.nodes import PASSWORD, Town, town

API = "/api/v1"
OURS = "TENANT7"
JOB, EGRESS = new_id("jo"), new_id("eg")
THEIRS = "BREAST"
TABLE = b"subject,diagnosis,sex,age_at_diagnosis\nSUBJ-000,carcinoid,male,50\n"
CHANGING = ("post", "put", "patch", "delete")

NODE_WIDE = {"/trace/verification", "/trace/verification/{verification_id}", "/trace/checkpoint"}
"""Routes that speak of the node's log as a whole: heads, counts and digests, no project."""

SHARED = {"role", "name", "index", "number", "position", "hub_id", "verification_id"}
"""Parameters whose values are nobody's secret."""


@dataclass
class World:
    """A node on which one tenant has one of everything, and a stranger of every sort."""

    town: Town
    ids: dict[str, str]
    secrets: set[str]
    document: dict[str, Any]

    def address(self, path: str) -> str:
        """Fill a route's parameters with our things."""
        for part in [piece for piece in path.split("/") if piece.startswith("{")]:
            name = part.strip("{}").partition(":")[0]
            assert name in self.ids, f"tell this test which {name} of ours {path} may be asked for"
            path = path.replace(part, self.ids[name])
        return path

    def routes(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """Yield (path under /api/v1, method, operation)."""
        for path, item in self.document["paths"].items():
            for method, operation in item.items():
                if method in ("get", *CHANGING):
                    yield path.removeprefix(API), method, operation

    def strangers(self) -> list[Actor]:
        """Return everybody of the other project, and somebody of no project."""
        mine = [self.town.people[THEIRS, role] for role in Role]
        return [*mine, self.town.node.identity.user_named("nobody").actor()]

    def leaked(self, answer: httpx.Response, sent: str) -> set[str]:
        """Return what the answer tells of us beyond what the caller sent."""
        return {word for word in self.secrets if word in answer.text and word not in sent}


def plant(connection: sa.Connection, table: str, **values: object) -> None:
    """Insert a row of which only some columns matter; the others get something of their type."""
    columns = metadata.tables[table].columns
    row = {c.name: _filler(c) for c in columns if not c.nullable and c.default is None}
    connection.execute(metadata.tables[table].insert().values(**{**row, **values}))


def _filler(column: sa.Column[Any]) -> object:
    if isinstance(column.type, Instant):
        return clock.now()
    if isinstance(column.type, Json):
        return []
    if isinstance(column.type, sa.Boolean):
        return False
    return "" if isinstance(column.type, sa.String) else 0


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with town(tmp_path_factory.mktemp("tenancy") / "home", (OURS, THEIRS)) as made:
        made.node.identity.create_user(made.operator, "nobody", PASSWORD)
        ids = _furnish(made)
        told = {value for name, value in ids.items() if name not in SHARED}
        secrets = told | {f"{OURS.lower()}.researcher", "SUBJ-000", "Secret cohort"}
        document = create_node_app(made.node).openapi()
        yield World(made, ids, secrets, document)


def _furnish(made: Town) -> dict[str, str]:
    people, node = made.people, made.node
    steward, researcher = people[OURS, Role.STEWARD], people[OURS, Role.RESEARCHER]
    dataset_id = release_dataset(made, OURS, "Secret cohort")
    node.clinical.define_form(steward, OURS, demonstration_form())
    client = made.client(steward)
    client.post(f"{API}/projects/{OURS}/clinical/records", files={"table": ("t.csv", TABLE)})
    image = Path(str(get_testdata_file("CT_small.dcm"))).read_bytes()
    sent = client.post(
        f"{API}/ingests", data={"project": OURS, "collection": "main"},
        files={"files": ("ct.dcm", image)},
    )  # fmt: skip
    application = node.access.apply(researcher, dataset_id, "A secret purpose")
    committee = people[OURS, Role.COMMITTEE_MEMBER]
    grant = node.access.grant(committee, dataset_id, "tenant7.auditor", Terms())
    made.drain()
    project = node.projects.show(made.operator, OURS).project_id
    with node.database.write() as connection:
        _plant_work(connection, project, dataset_id, researcher.user_id)
        first = {
            name: connection.scalar(sa.select(metadata.tables[table].c[name]).limit(1))
            for table, name in (("studies", "study_id"), ("series", "series_id"))
        }
        event = connection.scalar(
            sa.select(events.c.event_id).where(events.c.project_id == project).limit(1)
        )
    entry = client.get(f"{API}/trace/entries", params={"limit": 1}).json()["items"][0]
    return {
        "code": OURS,
        "username": "tenant7.steward",
        "role": "steward",
        "dataset_id": dataset_id,
        "application_id": application.application_id,
        "grant_id": grant.grant_id,
        "ingest_id": sent.json()["ingestId"],
        "study_id": str(first["study_id"]),
        "series_id": str(first["series_id"]),
        "event_id": str(event),
        "index": str(entry["index"]),
        "hub_id": "hb-00000000000000000000000000",
        "verification_id": "ve-00000000000000000000000000",
        "identifier": dataset_id,
        "job_id": JOB,
        "request_id": EGRESS,
        "name": "stdout",
        "number": "0",
        "position": "0",
        "project": OURS,
        "project_id": project,
    }


def _plant_work(connection: sa.Connection, project: str, dataset_id: str, owner: str) -> None:
    """Give our project a job and an egress request, where the node has such tables."""
    shared = {"project_id": project, "owner_id": owner, "user_id": owner, "dataset_id": dataset_id}
    planted = {
        "jobs": {"job_id": JOB, "state": "finished"},
        "egress_requests": {
            "request_id": EGRESS, "job_id": JOB, "state": "pending",
        },
    }  # fmt: skip
    for table, values in planted.items():
        if table in metadata.tables:
            known = metadata.tables[table].columns.keys()
            row = {key: value for key, value in {**shared, **values}.items() if key in known}
            plant(connection, table, **row)


def body_for(world: World, operation: dict[str, Any]) -> dict[str, Any]:
    """Return arguments of a request with a plausible body that speaks of our things."""
    content = operation.get("requestBody", {}).get("content", {})
    if "application/json" in content:
        return {"json": _example(world, content["application/json"].get("schema", {}), "")}
    if content:
        return {"files": {"files": ("x.csv", TABLE), "table": ("x.csv", TABLE)}, "data": world.ids}
    return {}


def _example(world: World, schema: dict[str, Any], name: str) -> Any:
    if "$ref" in schema:
        found = world.document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        return _example(world, found, name)
    if "anyOf" in schema:
        return _example(world, schema["anyOf"][0], name)
    if "enum" in schema:
        return schema["enum"][0]
    match schema.get("type"):
        case "object":
            required = schema.get("required", [])
            wanted = {k: v for k, v in schema.get("properties", {}).items() if k in required}
            return {key: _example(world, part, key) for key, part in wanted.items()}
        case "array":
            return [_example(world, schema.get("items", {}), name)]
        case "integer" | "number":
            return 1
        case "boolean":
            return False
    known = {"datasetId": "dataset_id", "datasets": "dataset_id", "jobId": "job_id"}
    return world.ids.get(known.get(name, name), "password of some length")


def test_the_owner_of_it_all_sees_it(world: World) -> None:
    """Shows that the walk asks for things that are there: our own steward finds them."""
    client = world.town.client(world.town.people[OURS, Role.STEWARD])
    paths = ("/projects/{code}", "/datasets/{dataset_id}", "/studies/{study_id}",
             "/series/{series_id}", "/ingests/{ingest_id}", "/projects/{code}/clinical/records",
             "/trace/entries/{index}")  # fmt: skip
    for path in paths:
        assert client.get(API + world.address(path)).status_code == 200, path
    for path in ("/datasets", "/studies", "/ingests", "/projects"):
        assert world.leaked(client.get(API + path), ""), path


def test_the_work_is_there_too(world: World) -> None:
    """The planted job and egress request are seen by whose they are."""
    client = world.town.client(world.town.people[OURS, Role.RESEARCHER])
    for path in ("/jobs/{job_id}", "/egress-requests/{request_id}"):
        assert client.get(API + world.address(path)).status_code == 200, path
    for path in ("/jobs", "/egress-requests"):
        assert world.leaked(client.get(API + path), ""), path


def test_strangers_read_nothing_of_the_other_tenant(world: World) -> None:
    for actor in world.strangers():
        client = world.town.client(actor)
        for path, method, operation in world.routes():
            if method != "get":
                continue
            address = world.address(path)
            names = [p["name"] for p in operation.get("parameters", []) if p["in"] == "query"]
            queries: list[dict[str, str]] = [{}]
            queries += [{name: world.ids[name]} for name in names if name in world.ids]
            queries += [{"dataset": world.ids["dataset_id"]}] if "dataset" in names else []
            for query in queries:
                answer = client.get(API + address, params=query)
                told = (actor.username, path, query, answer.status_code, answer.text[:300])
                assert answer.status_code < 500, told
                assert not world.leaked(answer, address + json.dumps(query)), told
                if "{" in path and path not in NODE_WIDE:
                    assert answer.status_code in {403, 404, 422}, told


def test_strangers_change_nothing_of_the_other_tenant(world: World) -> None:
    for actor in world.strangers():
        client = world.town.client(actor)
        for path, method, operation in world.routes():
            if method == "get" or path == "/session":
                continue
            address, arguments = world.address(path), body_for(world, operation)
            answer = client.request(method, API + address, **arguments)
            told = (actor.username, method, path, answer.status_code, answer.text[:300])
            assert answer.status_code < 500, told
            assert not world.leaked(answer, address + repr(arguments)), told
            if "{" in path and path not in NODE_WIDE:
                assert answer.status_code in {403, 404, 422}, told


def test_nobody_is_told_apart_from_nothing(world: World) -> None:
    """A thing of the other tenant and one that is not there give the same answer."""
    client = world.town.client(world.town.people[THEIRS, Role.STEWARD])
    absent = "00000000000000000000000000"
    for path, method, _ in world.routes():
        if method != "get" or path.count("{") != 1 or path in NODE_WIDE:
            continue
        name = path.partition("{")[2].partition("}")[0].partition(":")[0]
        here = world.ids[name]
        if name in {"username", "index", "event_id"} or "-" not in here:
            continue
        there = here.partition("-")[0] + "-" + absent
        answers = [
            client.get(API + path.replace("{" + name + "}", value)) for value in (here, there)
        ]
        seen = [(a.status_code, a.json()["code"]) for a in answers]
        assert seen[0] == seen[1], (path, seen)

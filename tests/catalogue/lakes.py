"""Filling a lake for tests with rows and files of de-identified series, without ingest."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from albufera.bootstrap.node import Node
from albufera.governance.records import collections, project_by_code, projects
from albufera.kernel.database import Database
from albufera.kernel.ids import new_id
from albufera.lake.backends.filesystem import FileSystemStore
from albufera.lake.layout import InstanceKey
from albufera.lake.model import Instance
from albufera.lake.records import pack, series, studies, subjects, unpack

MOMENT = datetime(2026, 1, 2, tzinfo=UTC)
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


@dataclass(frozen=True)
class Scan:
    """One series to put into the lake."""

    subject: str = "SUBJ-A"
    study: str = "2.25.1"
    uid: str = "2.25.1.1"
    sex: str = "F"
    age: int | None = 61
    date: str = "2019-03-04"
    modality: str = "CT"
    body_part: str = "CHEST"
    description: str = "axial 2.5 mm"
    manufacturer: str = "SIEMENS"
    thickness: float | None = 2.5
    images: int = 3
    collection: str = "main"


def cohort(count: int = 8) -> list[Scan]:
    """A varied little population: two series for each of `count` subjects."""
    makers, parts = ("SIEMENS", "GE MEDICAL SYSTEMS", "Philips"), ("CHEST", "ABDOMEN", "HEAD")
    scans = []
    for n in range(count):
        common: dict[str, Any] = {
            "subject": f"SUBJ-{n:03d}",
            "study": f"2.25.{1000 + n}",
            "sex": "FM"[n % 2],
            "age": 35 + 7 * (n % 8),
            "date": f"{2016 + n % 6}-05-1{n % 10}",
            "manufacturer": makers[n % 3],
        }
        scans.append(Scan(uid=f"2.25.{1000 + n}.1", body_part=parts[n % 3], **common))
        scans.append(
            Scan(
                uid=f"2.25.{1000 + n}.2",
                modality="MR" if n % 3 else "PT",
                description="T1 tra",
                thickness=None,
                images=2,
                **common,
            )
        )
    return scans


def content_of(uid: str) -> bytes:
    """The bytes that stand for an instance in tests."""
    return f"instance {uid} ".encode() * 20


def instances_of(scan: Scan, count: int) -> list[Instance]:
    """Instances of a series, numbered from 1."""
    made = []
    for number in range(1, count + 1):
        uid = f"{scan.uid}.{number}"
        data = content_of(uid)
        digest = hashlib.sha256(data).hexdigest()
        made.append(
            Instance(uid, SECONDARY_CAPTURE, "1.2.840.10008.1.2.1", digest, len(data), number, {})
        )
    return made


def fill_rows(connection: Connection, project_id: str, scans: Sequence[Scan]) -> None:
    """Insert subjects, studies and series of a project."""
    by_code = {
        row.code: row.collection_id
        for row in connection.execute(
            collections.select().where(collections.c.project_id == project_id)
        )
    }
    for scan in scans:
        subject_id = _ensure(
            connection, subjects, "subject_id", "su",
            {"project_id": project_id, "name": scan.subject}, {"sex": scan.sex},
        )  # fmt: skip
        study_id = _ensure(
            connection, studies, "study_id", "st",
            {"project_id": project_id, "study_uid": scan.study},
            {
                "subject_id": subject_id, "date": scan.date, "year": int(scan.date[:4]),
                "description": "Thorax", "age": scan.age, "created_at": MOMENT,
            },
        )  # fmt: skip
        held = instances_of(scan, scan.images)
        connection.execute(
            series.insert().values(
                series_id=new_id("se"),
                project_id=project_id,
                collection_id=by_code[scan.collection],
                subject_id=subject_id,
                study_id=study_id,
                series_uid=scan.uid,
                modality=scan.modality,
                body_part=scan.body_part,
                description=scan.description,
                manufacturer=scan.manufacturer,
                model="",
                number=1,
                rows=512,
                columns=512,
                slice_thickness=scan.thickness,
                instance_count=scan.images,
                byte_count=sum(item.size for item in held),
                instances=pack(held),
                created_at=MOMENT,
            )
        )


def fill(node: Node, code: str, scans: Sequence[Scan]) -> None:
    """Put series into a node's lake: rows and files."""
    with node.database.write() as connection:
        project = project_by_code(connection, code)
        assert project is not None
        fill_rows(connection, project.project_id, scans)
    store = FileSystemStore(node.home.lake)
    with store.stage(project.project_id) as staging:
        for scan in scans:
            for item in instances_of(scan, scan.images):
                with staging.write(item.instance_uid) as out:
                    out.write(content_of(item.instance_uid))
                key = InstanceKey(project.project_id, scan.uid, item.instance_uid)
                store.admit(out.seal(), key)


def grow(node: Node, scan: Scan, count: int) -> None:
    """Let a series have more instances than before, as a later ingest would."""
    held = instances_of(scan, count)
    with node.database.write() as connection:
        row = connection.execute(series.select().where(series.c.series_uid == scan.uid)).one()
        known = {item.instance_uid for item in unpack(row.instances)}
        connection.execute(
            series.update()
            .where(series.c.series_id == row.series_id)
            .values(
                instances=pack(held),
                instance_count=count,
                byte_count=sum(item.size for item in held),
            )
        )
    store = FileSystemStore(node.home.lake)
    with store.stage(row.project_id) as staging:
        for item in held:
            if item.instance_uid not in known:
                with staging.write(item.instance_uid) as out:
                    out.write(content_of(item.instance_uid))
                store.admit(out.seal(), InstanceKey(row.project_id, scan.uid, item.instance_uid))


def bare_project(database: Database, code: str = "LUNG") -> str:
    """Insert a project with collections `main` and `other`; return its id."""
    with database.write() as connection:
        project_id = new_id("pr")
        connection.execute(
            projects.insert().values(
                project_id=project_id, code=code, name=code, description="", created_at=MOMENT
            )
        )
        for name in ("main", "other"):
            connection.execute(
                collections.insert().values(
                    collection_id=new_id("co"), project_id=project_id, code=name, name=name
                )
            )
    return project_id


def _ensure(
    connection: Connection,
    table: sa.Table,
    column: str,
    prefix: str,
    key: dict[str, Any],
    rest: dict[str, Any],
) -> str:
    present = connection.execute(table.select().filter_by(**key)).one_or_none()
    if present is not None:
        return str(getattr(present, column))
    made = new_id(prefix)
    connection.execute(table.insert().values(**{column: made}, **key, **rest))
    return made

"""The packed record of a series, and indexing into it, on both databases."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from albufera.governance.records import collections, projects
from albufera.kernel.database import Database
from albufera.lake.admission import Admission
from albufera.lake.events import SeriesAdmitted
from albufera.lake.model import Arrival, Indexing, Instance
from albufera.lake.records import (
    content_digest,
    insert_missing,
    pack,
    series,
    studies,
    subjects,
    unpack,
)

MOMENT = datetime(2026, 5, 4, tzinfo=UTC)


def instance(uid: str = "2.25.1", sha256: str = "0" * 64, size: int = 10) -> Instance:
    header = {"00080060": {"vr": "CS", "Value": ["CT"]}}
    return Instance(
        uid, "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1", sha256, size, 1, header
    )


def arrival(
    uid: str = "2.25.1",
    series_uid: str = "2.25.10",
    study_uid: str = "2.25.100",
    subject: str = "SUBJ-A",
    sha256: str = "0" * 64,
) -> Arrival:
    return Arrival(
        subject=subject,
        sex="F",
        study_uid=study_uid,
        date="2020-02-03",
        study_description="",
        age=50,
        series_uid=series_uid,
        modality="CT",
        body_part="CHEST",
        description="",
        manufacturer="ACME",
        model="",
        number=1,
        rows=16,
        columns=16,
        slice_thickness=2.5,
        instance=instance(uid, sha256),
    )


@pytest.fixture
def tenant(database: Database) -> Database:
    with database.write() as connection:
        for number in ("1", "2"):
            connection.execute(
                projects.insert().values(
                    project_id=f"pr-{number}", code=f"P{number}", name="P", description="",
                    created_at=MOMENT,
                )
            )  # fmt: skip
            connection.execute(
                collections.insert().values(
                    collection_id=f"co-{number}",
                    project_id=f"pr-{number}",
                    code="main",
                    name="Main",
                )
            )
    return database


def index(
    database: Database, *arrivals: Arrival, project: str = "1"
) -> tuple[Sequence[Indexing], Sequence[SeriesAdmitted]]:
    with database.write() as connection:
        admission = Admission(connection, f"pr-{project}", f"co-{project}", MOMENT)
        return admission.index(arrivals)


def held(database: Database) -> list[tuple[str, int, int]]:
    with database.read() as connection:
        rows = connection.execute(series.select().order_by(series.c.series_uid)).all()
    for row in rows:
        assert len(unpack(row.instances)) == row.instance_count
    return [(row.series_uid, row.instance_count, row.byte_count) for row in rows]


def test_new_there_and_other_content(tenant: Database) -> None:
    answers, grown = index(tenant, arrival("2.25.1"), arrival("2.25.2"))
    assert answers == [Indexing.NEW, Indexing.NEW]
    assert [(each.added, each.instance_count) for each in grown] == [(2, 2)]
    answers, grown = index(
        tenant, arrival("2.25.2"), arrival("2.25.1", sha256="1" * 64), arrival("2.25.3")
    )
    assert answers == [Indexing.THERE, Indexing.OTHER_CONTENT, Indexing.NEW]
    assert [(each.added, each.instance_count) for each in grown] == [(1, 3)]
    assert held(tenant) == [("2.25.10", 3, 30)]


def test_nothing_new_writes_nothing(tenant: Database) -> None:
    index(tenant, arrival())
    with tenant.read() as connection:
        before = connection.execute(series.select()).one()
    answers, grown = index(tenant, arrival())
    assert (answers, grown) == ([Indexing.THERE], [])
    with tenant.read() as connection:
        assert connection.execute(series.select()).one() == before


def test_the_same_twice_in_one_batch(tenant: Database) -> None:
    answers, _ = index(tenant, arrival(), arrival(), arrival(sha256="2" * 64))
    assert answers == [Indexing.NEW, Indexing.THERE, Indexing.OTHER_CONTENT]


def test_a_study_of_two_subjects(tenant: Database) -> None:
    strange = arrival("2.25.2", subject="SUBJ-B")
    assert index(tenant, arrival(), strange)[0] == [Indexing.NEW, Indexing.OTHER_SUBJECT]
    assert index(tenant, strange)[0] == [Indexing.OTHER_SUBJECT]
    with tenant.read() as connection:
        assert connection.scalars(sa.select(subjects.c.name)).all() == ["SUBJ-A"]


def test_a_series_of_two_studies(tenant: Database) -> None:
    strange = arrival("2.25.2", study_uid="2.25.200")
    assert index(tenant, arrival(), strange)[0] == [Indexing.NEW, Indexing.OTHER_STUDY]
    assert index(tenant, strange)[0] == [Indexing.OTHER_STUDY]


def test_projects_do_not_share(tenant: Database) -> None:
    assert index(tenant, arrival())[0] == [Indexing.NEW]
    assert index(tenant, arrival(), project="2")[0] == [Indexing.NEW]
    with tenant.read() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(studies)) == 2


def test_a_few_queries_whatever_the_number(tenant: Database) -> None:
    """A set is indexed by set: the number of statements does not grow with the files."""

    def statements(count: int) -> int:
        seen = []
        listener = lambda *args: seen.append(args[2])  # noqa: E731
        sa.event.listen(tenant.engine, "before_cursor_execute", listener)
        index(
            tenant,
            *(arrival(f"2.25.{n}", f"2.25.9{n % 7}", f"2.25.8{n % 7}") for n in range(count)),
        )
        sa.event.remove(tenant.engine, "before_cursor_execute", listener)
        return len(seen)

    assert statements(200) <= statements(1) + 1


def test_insert_missing_leaves_what_is_there(tenant: Database) -> None:
    row = {"subject_id": "su-1", "project_id": "pr-1", "name": "A", "sex": "F"}
    with tenant.write() as connection:
        insert_missing(connection, subjects, [row])
        insert_missing(connection, subjects, [{**row, "subject_id": "su-2", "sex": "M"}])
        insert_missing(connection, subjects, [])
        assert connection.execute(subjects.select()).one().sex == "F"


_NUMBER = st.integers(1, 10**20)


@given(st.lists(_NUMBER, unique=True, max_size=20))
def test_pack_and_back(numbers: list[int]) -> None:
    instances = [instance(f"2.25.{n}", f"{n:064x}"[:64], n % 1000) for n in numbers]
    packed = pack(instances)
    assert unpack(packed) == sorted(instances, key=lambda item: item.instance_uid)
    assert pack(reversed(instances)) == packed


@given(st.lists(_NUMBER, unique=True, min_size=1, max_size=10), st.data())
def test_the_digest_sees_every_change(numbers: list[int], data: st.DataObject) -> None:
    instances = [instance(f"2.25.{n}", f"{n:064x}"[:64]) for n in numbers]
    at = data.draw(st.integers(0, len(instances) - 1))
    changed = replace(instances[at], sha256="f" * 64)
    others = [*instances[:at], *instances[at + 1 :]]
    whole = content_digest(instances)
    assert content_digest([*others, instances[at]]) == whole
    assert content_digest(others) != whole
    assert content_digest([*others, changed]) != whole
    assert content_digest([*others, replace(instances[at], instance_uid="9.9")]) != whole

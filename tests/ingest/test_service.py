"""Ingest through the real service: every file ends in a stated state, and a second run changes
nothing."""

import json
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from albufera.bootstrap.home import create_home
from albufera.governance.model import Role
from albufera.ingest.model import Ingest, IngestState, ItemState
from albufera.ingest.pipeline import Equipment
from albufera.ingest.records import ingests
from albufera.ingest.runs import Runs
from albufera.kernel import clock
from albufera.kernel.actor import SYSTEM, Actor
from albufera.kernel.database import metadata
from albufera.kernel.errors import Refusal
from albufera.kernel.outbox import events
from albufera.kernel.pages import PageRequest
from albufera.lake.layout import InstanceKey
from albufera.lake.model import StudyFilter
from albufera.lake.ports import StoreFull
from albufera.lake.records import series, unpack
from tests.ingest.dicoms import PATIENT_ID, ct, write, write_study
from tests.nodes import PASSWORD, Town, open_quickly, town


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Town]:
    with town(tmp_path / "home") as made:
        yield made


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def any_place(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Town]:
    if request.param == "sqlite":
        with town(tmp_path / "home") as made:
            yield made
        return
    monkeypatch.setenv("ALBUFERA_DATABASE__URL", request.getfixturevalue("postgres_url"))
    create_home(tmp_path / "home", "Test node", "http://127.0.0.1:8080")
    node = open_quickly(tmp_path / "home")
    metadata.create_all(node.database.engine)
    operator = node.identity.create_user(SYSTEM, "admin", PASSWORD, is_operator=True).actor()
    node.projects.create(operator, "LUNG")
    one = node.identity.create_user(SYSTEM, "lung.steward", PASSWORD).actor()
    node.projects.give_role(operator, "LUNG", one.username, Role.STEWARD)
    yield Town(node, operator, {("LUNG", Role.STEWARD): one})
    node.close()


def steward(place: Town, code: str = "LUNG") -> Actor:
    return place.people[code, Role.STEWARD]


def take(place: Town, *paths: Path, actor: Actor | None = None, code: str = "LUNG") -> Ingest:
    who = actor or steward(place, code)
    return place.node.ingests.ingest_paths(who, code, "main", paths, lambda done, total: None)


def counts(ingest: Ingest) -> dict[str, int]:
    return {state.value: count for state, count in ingest.counts.items() if count}


def codes(place: Town, ingest: Ingest) -> dict[str, int]:
    found = place.node.ingests.reasons(steward(place), ingest.ingest_id)
    return {reason.code: reason.count for reason in found}


def lake(place: Town) -> list[tuple[Any, ...]]:
    """What the index holds, and that each file of it is there with its digest."""
    with place.node.database.read() as connection:
        rows = connection.execute(series.select().order_by(series.c.series_uid)).all()
    for row in rows:
        for item in unpack(row.instances):
            stored = place.node.lake.store.stat(
                InstanceKey(row.project_id, row.series_uid, item.instance_uid)
            )
            assert stored is not None
            assert stored.size == item.size
    return [tuple(row) for row in rows]


def test_a_folder_twice(any_place: Town, tmp_path: Path) -> None:
    folder = write_study(tmp_path / "in", series=2, slices=5)
    (folder / "notes.txt").write_text("nothing of ours")
    first = take(any_place, folder)
    assert first.state is IngestState.FINISHED
    assert counts(first) == {"admitted": 10, "refused": 1}
    before = lake(any_place)
    assert [row.instance_count for row in _rows(any_place)] == [5, 5]
    again = take(any_place, folder)
    assert counts(again) == {"duplicate": 10, "refused": 1}
    assert lake(any_place) == before


def _rows(place: Town) -> list[Any]:
    with place.node.database.read() as connection:
        return list(connection.execute(sa.select(series)))


def test_what_is_indexed(place: Town, tmp_path: Path) -> None:
    take(place, write_study(tmp_path / "in"))
    row = _rows(place)[0]
    assert (row.modality, row.body_part, row.manufacturer) == ("CT", "CHEST", "ACME")
    assert (row.rows, row.columns, row.slice_thickness) == (16, 16, 2.5)
    (study,) = place.node.lake.list_studies(steward(place), _anything(), PageRequest()).items
    assert (study.study.age, study.study.sex, study.modalities) == (61, "F", ("CT",))
    assert study.study.date != "2019-03-04"
    assert study.study.subject.startswith("SUBJ-")


def _anything() -> StudyFilter:
    return StudyFilter()


def test_no_name_leaves_the_items(place: Town, tmp_path: Path) -> None:
    """Not in the lake, not in the index, not in the events: only stewards see the file's name."""
    ingest = take(place, write_study(tmp_path / "in"))
    row = _rows(place)[0]
    headers = json.dumps([item.header for item in unpack(row.instances)])
    with place.node.database.read() as connection:
        told = json.dumps([dict(r._mapping) for r in connection.execute(sa.select(events))],
                          default=str)  # fmt: skip
    stored = b"".join(p.read_bytes() for p in place.node.home.lake.rglob("*.dcm"))
    for secret in ("Quintero", "Amparo", PATIENT_ID):
        assert secret not in headers
        assert secret not in told
        assert secret.encode() not in stored
    ingests_ = place.node.ingests
    page = PageRequest()
    seen = ingests_.items(steward(place), ingest.ingest_id, None, page).items
    assert all("Amparo_Quintero" in item.path for item in seen)
    administrator = place.people["LUNG", Role.PROJECT_ADMINISTRATOR]
    hidden = ingests_.items(administrator, ingest.ingest_id, None, page).items
    assert [item.path for item in hidden] == ["file 1", "file 2", "file 3", "file 4"]


def test_same_uid_with_other_content(place: Town, tmp_path: Path) -> None:
    take(place, write(tmp_path / "one", ct()))
    before = lake(place)
    other = write(tmp_path / "two", ct(pixels=bytes(512)))
    for _ in range(2):
        ingest = take(place, other)
        assert counts(ingest) == {"quarantined": 1}
        assert codes(place, ingest) == {"different-content": 1}
    assert lake(place) == before
    held = list(place.node.home.quarantine.rglob("*.dcm"))
    assert [path.read_bytes() for path in held] == [other.read_bytes()]
    assert held[0].stat().st_mode & 0o777 == 0o600
    assert held[0].parent.stat().st_mode & 0o777 == 0o700


def test_same_object_in_another_file(place: Town, tmp_path: Path) -> None:
    take(place, write(tmp_path / "one", ct()))
    renamed = ct()
    renamed.PatientName = "Another^Spelling"
    ingest = take(place, write(tmp_path / "two", renamed))
    assert codes(place, ingest) == {"same-object": 1}


@pytest.mark.parametrize("together", [True, False])
def test_mixed_up_identities_are_quarantined(place: Town, tmp_path: Path, together: bool) -> None:
    whole = [
        write(tmp_path / "in" / "1", ct(number=1)),
        write(tmp_path / "in" / "2", ct("HC-2", number=2, of_patient=PATIENT_ID)),
    ]
    strayed = ct(study="b", series="9", number=3)
    strayed.SeriesInstanceUID = ct(number=1).SeriesInstanceUID
    whole.append(write(tmp_path / "in" / "3", strayed))
    runs = [take(place, *whole)] if together else [take(place, path) for path in whole]
    ended = [counts(run) for run in runs]
    found: dict[str, int] = {}
    for run in runs:
        found |= codes(place, run)
    assert found == {"different-subject": 1, "different-study": 1}
    assert sum(each.get("admitted", 0) for each in ended) == 1
    with place.node.database.read() as connection:
        held = connection.scalar(sa.select(sa.func.sum(series.c.instance_count)))
    assert held == len(list(place.node.home.lake.rglob("*.dcm"))) == 1


def test_two_projects_know_nothing_of_each_other(place: Town, tmp_path: Path) -> None:
    folder = write_study(tmp_path / "in")
    first = take(place, folder)
    assert counts(take(place, folder, code="BREAST")) == {"admitted": 4}
    names = {row.series_uid for row in _rows(place)}
    assert len(names) == 2
    for role in Role:
        other = place.people["BREAST", role]
        assert first.ingest_id not in [
            item.ingest_id for item in place.node.ingests.list(other, None, PageRequest()).items
        ]
        with pytest.raises(Refusal, match="no such ingest"):
            place.node.ingests.show(other, first.ingest_id)
        with pytest.raises(Refusal) as refused:
            take(place, folder, actor=other)
        assert refused.value.code == "project-not-found"


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.STEWARD])
def test_only_stewards_take_in(place: Town, tmp_path: Path, role: Role) -> None:
    with pytest.raises(Refusal) as refused:
        take(place, write_study(tmp_path / "in"), actor=place.people["LUNG", role])
    assert refused.value.code == "forbidden"
    assert _rows(place) == []


def test_two_runs_of_the_same_files_at_once(any_place: Town, tmp_path: Path) -> None:
    folder = write_study(tmp_path / "in", series=3, slices=20)
    ready = threading.Barrier(2)

    def run() -> dict[str, int]:
        ready.wait()
        return counts(take(any_place, folder))

    with ThreadPoolExecutor(2) as pool:
        ended = [future.result() for future in [pool.submit(run), pool.submit(run)]]
    assert sum(each.get("admitted", 0) for each in ended) == 60
    assert sum(each.get("duplicate", 0) for each in ended) == 60
    assert [row.instance_count for row in _rows(any_place)] == [20, 20, 20]
    lake(any_place)


def test_events_tell_series_not_instances(place: Town, tmp_path: Path) -> None:
    take(place, write_study(tmp_path / "in", series=2, slices=5))
    with place.node.database.read() as connection:
        rows = connection.execute(
            sa.select(events.c.verb, events.c.subjects).where(events.c.project_id.is_not(None))
        ).all()
    admitted = [row.subjects for row in rows if row.verb == "series.admitted"]
    assert [(each["added"], each["instance_count"]) for each in admitted] == [(5, 5), (5, 5)]
    assert all(len(each["digest"]) == 64 for each in admitted)
    (finished,) = [row.subjects for row in rows if row.verb == "ingest.finished"]
    assert finished["admitted"] == 10


class FullStore:
    """A double: the real store until `room` files were sealed, and a full disk from then on."""

    def __init__(self, store: Any, room: int) -> None:
        self._store = store
        self.room = room

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def admit_all(self, items: Any) -> Any:
        self.room -= len(items)
        if self.room < 0:
            raise StoreFull("The disk is full: make room, then run it again.")
        return self._store.admit_all(items)


def _with_store(place: Town, store: Any) -> Runs:
    runs = place.node.ingests.runs
    runs.kit = Equipment(runs.kit.database, store, runs.kit.quarantine)
    return runs


def test_a_full_disk_fails_the_run_and_it_can_be_run_again(place: Town, tmp_path: Path) -> None:
    folder = write_study(tmp_path / "in", slices=6)
    real = place.node.lake.store
    _with_store(place, FullStore(real, 0))
    with pytest.raises(Refusal) as refused:
        take(place, folder)
    assert refused.value.code == "ingest-failed"
    assert "disk is full" in refused.value.detail
    (failed,) = place.node.ingests.list(steward(place), None, PageRequest()).items
    assert failed.state is IngestState.FAILED
    assert failed.total == 0
    _with_store(place, real)
    assert counts(take(place, folder)) == {"admitted": 6}


def _upload(place: Town, *paths: Path) -> Ingest:
    spool = place.node.ingests.open_spool(steward(place), "LUNG", "main")
    for path in paths:
        spool.begin(path.name)
        spool.write(path.read_bytes())
    return place.node.ingests.submit(steward(place), spool)


def test_an_upload_is_taken_in_by_the_worker(place: Town, tmp_path: Path) -> None:
    files = [write(tmp_path / f"{n}.dcm", ct(number=n)) for n in range(3)]
    ingest = _upload(place, *files)
    assert ingest.state is IngestState.QUEUED
    place.drain()
    shown = place.node.ingests.show(steward(place), ingest.ingest_id)
    assert shown.ingest.state is IngestState.FINISHED
    assert counts(shown.ingest) == {"admitted": 3}
    assert list(place.node.home.uploads.iterdir()) == []


def test_a_failed_upload_resumes(place: Town, tmp_path: Path) -> None:
    ingest = _upload(place, write(tmp_path / "a.dcm", ct()))
    real = place.node.lake.store
    _with_store(place, FullStore(real, 0))
    place.drain()
    opened = place.node.ingests.show(steward(place), ingest.ingest_id)
    assert opened.ingest.state is IngestState.FAILED
    assert "disk is full" in opened.ingest.note
    assert "resume" in opened.allowed
    _with_store(place, real)
    place.node.ingests.resume(steward(place), ingest.ingest_id)
    place.drain()
    assert counts(place.node.ingests.show(steward(place), ingest.ingest_id).ingest) == {
        "admitted": 1
    }


def test_a_worker_leaves_a_run_that_another_process_has_in_hand(
    place: Town, tmp_path: Path
) -> None:
    ingest = _upload(place, write(tmp_path / "a.dcm", ct()))
    with place.node.database.write() as connection:
        connection.execute(ingests.update().values(state="running", beat_at=clock.now()))
    place.drain()
    assert _rows(place) == []
    opened = place.node.ingests.show(steward(place), ingest.ingest_id)
    assert opened.progress is not None
    assert opened.progress.note == "another process has this run in hand"


def test_a_waiting_upload_can_be_cancelled(place: Town, tmp_path: Path) -> None:
    ingest = _upload(place, write(tmp_path / "a.dcm", ct()))
    ended = place.node.ingests.cancel(steward(place), ingest.ingest_id)
    assert ended.state is IngestState.CANCELLED
    place.drain()
    assert _rows(place) == []
    with pytest.raises(Refusal) as refused:
        place.node.ingests.cancel(steward(place), ingest.ingest_id)
    assert refused.value.code == "wrong-state"


def test_the_keyboard_cancels_and_running_again_completes(place: Town, tmp_path: Path) -> None:
    folder = write_study(tmp_path / "in", slices=3)

    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(Refusal) as refused:
        place.node.ingests.ingest_paths(steward(place), "LUNG", "main", [folder], interrupt)
    assert refused.value.code == "ingest-cancelled"
    (ended,) = place.node.ingests.list(steward(place), None, PageRequest()).items
    assert ended.state is IngestState.CANCELLED
    assert counts(take(place, folder)) == {"admitted": 3}


def test_a_run_whose_process_died_is_given_up(place: Town, tmp_path: Path) -> None:
    take(place, write(tmp_path / "a", ct()))
    with place.node.database.write() as connection:
        long_ago = "2020-01-01T00:00:00.000000Z"
        connection.execute(
            ingests.update().values(
                state="running", beat_at=sa.literal_column(f"'{long_ago}'"), finished_at=None
            )
        )
    assert place.node.ingests.runs.give_up_abandoned() == 1
    (ended,) = place.node.ingests.list(steward(place), None, PageRequest()).items
    assert ended.state is IngestState.FAILED
    assert "run the same command again" in ended.note


def test_items_by_state_and_page(place: Town, tmp_path: Path) -> None:
    folder = write_study(tmp_path / "in", slices=5)
    (folder / "x.txt").write_text("x")
    ingest = take(place, folder)
    service, who = place.node.ingests, steward(place)
    first = service.items(who, ingest.ingest_id, ItemState.ADMITTED, PageRequest(limit=2))
    assert len(first.items) == 2
    rest = service.items(
        who, ingest.ingest_id, ItemState.ADMITTED, PageRequest(first.next_after, limit=10)
    )
    assert len(rest.items) == 3
    assert rest.next_after is None
    (refused,) = service.items(who, ingest.ingest_id, ItemState.REFUSED, PageRequest()).items
    assert (refused.code, refused.path) == ("not-dicom", "in/x.txt")


def test_a_file_named_twice_ends_once(place: Town, tmp_path: Path) -> None:
    path = write(tmp_path / "a", ct())
    assert counts(take(place, path, path)) == {"admitted": 1}


def test_nothing_there(place: Town, tmp_path: Path) -> None:
    for paths, code in (([], "nothing-to-ingest"), ([tmp_path / "no"], "no-such-path")):
        with pytest.raises(Refusal) as refused:
            take(place, *paths)
        assert refused.value.code == code


@pytest.mark.realdata
def test_real_images(place: Town, real_images: Path) -> None:
    """Every file of the folder ends in a stated state; the second time all that is in is known."""
    files = sum(len(names) for _, _, names in os.walk(real_images))
    first = take(place, real_images)
    print({state.value: count for state, count in first.counts.items()})
    assert first.total == files
    assert first.counts[ItemState.ADMITTED] > 100
    before = lake(place)
    again = take(place, real_images)
    assert again.counts[ItemState.ADMITTED] == 0
    assert again.counts[ItemState.DUPLICATE] == (
        first.counts[ItemState.ADMITTED] + first.counts[ItemState.DUPLICATE]
    )
    for state in (ItemState.QUARANTINED, ItemState.REFUSED):
        assert again.counts[state] == first.counts[state]
    assert lake(place) == before

"""Making a dataset in the background: select the series, write the manifest, commit.

Each step may be interrupted anywhere and done again: the selection goes on after the last series it
has, the manifest is written anew under its digest, and one transaction makes the dataset ready.
"""

import time
from dataclasses import dataclass
from operator import itemgetter

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from albufera.catalogue import records, selection
from albufera.catalogue.description import aggregate
from albufera.catalogue.events import DatasetBuilt, DatasetFailed
from albufera.catalogue.folders import Placed, folder_of
from albufera.catalogue.manifest import Entry, ManifestWriter
from albufera.catalogue.model import (
    DATASET_LIFE,
    NOTHING_SELECTED,
    Counts,
    DatasetState,
    ManifestDigest,
)
from albufera.catalogue.ports import ClinicalFacts, Draft, ManifestShelf
from albufera.catalogue.query.expression import from_json
from albufera.catalogue.records import dataset_series, datasets
from albufera.kernel.actor import SYSTEM
from albufera.kernel.crashes import crash_point
from albufera.kernel.database import Database
from albufera.kernel.outbox import Task
from albufera.kernel.unit_of_work import UnitOfWork, unit_of_work
from albufera.kernel.worker import Handler, TaskContext
from albufera.lake.records import unpack

_BUILDING = (DatasetState.CREATING, "built")
_FAILING = (DatasetState.CREATING, "fail")

BUILD = "dataset.build"
"""Kind of the task; its key is `<dataset>/<attempt>`."""

_SELECT_BATCH = 500
_WRITE_BATCH = 50
_BEAT_SECONDS = 0.5


class Superseded(Exception):
    """The draft was cancelled, or is made by another attempt: leave everything to that."""


@dataclass(frozen=True)
class Build:
    """The draft at hand."""

    dataset_id: str
    attempt: int
    project_id: str
    version: int
    condition: sa.ColumnElement[bool]


@dataclass(frozen=True)
class Written:
    """A manifest that was written, and the files and bytes that it lists."""

    digest: ManifestDigest
    files: int
    byte_count: int


class Beat:
    """Reports progress twice a second at most, so that small steps cost nothing."""

    def __init__(self, context: TaskContext) -> None:
        self._context = context
        self._next = 0.0

    def __call__(self, done: int, total: int, note: str) -> None:
        """Say how far the task is. Raises `TaskCancelled` and `LeaseLost`."""
        if time.monotonic() >= self._next or done == total:
            self._context.progress(done, total, note)
            self._next = time.monotonic() + _BEAT_SECONDS


class DatasetBuilder:
    """The handler of `dataset.build`."""

    def __init__(self, database: Database, shelf: ManifestShelf, clinical: ClinicalFacts) -> None:
        self.database = database
        self.shelf = shelf
        self.clinical = clinical

    def handler(self) -> Handler:
        """Return what the worker calls."""
        return Handler(self.run, failed=self.failed, cancelled=self.clean)

    def run(self, context: TaskContext) -> None:
        """Make the draft, or go on making it. Raises `nothing-selected`."""
        try:
            build, beat = self._begin(context.task), Beat(context)
            total = self._select(build, beat)
            written = self._write(build, beat, total)
            crash_point("catalogue.manifest.written")
            self._commit(build, written)
        except Superseded:
            self.clean(context.task)
            return
        crash_point("catalogue.build.committed")
        self.shelf.discard(build.dataset_id, but=written.digest.sha256)

    def failed(self, task: Task, note: str) -> None:
        """Remember why the draft could not be made."""
        dataset_id, attempt = task.payload["dataset_id"], task.payload["attempt"]
        with unit_of_work(self.database, SYSTEM) as work:
            row = work.connection.execute(
                datasets.update()
                .where(*_current(dataset_id, attempt))
                .values(state=DATASET_LIFE.after(*_FAILING).value, note=note[:2000])
                .returning(datasets.c.project_id)
            ).one_or_none()
            if row is not None:
                work.record(
                    DatasetFailed(project_id=row.project_id, dataset_id=dataset_id, attempt=attempt)
                )

    def clean(self, task: Task) -> None:
        """Remove what a cancelled attempt left; what another attempt has made stays."""
        dataset_id, attempt = task.payload["dataset_id"], task.payload["attempt"]
        cancelled = (
            datasets.c.dataset_id == dataset_id,
            datasets.c.attempt == attempt,
            datasets.c.state == DatasetState.CANCELLED.value,
        )
        with self.database.write() as connection:
            locked = sa.select(datasets.c.dataset_id).where(*cancelled).with_for_update()
            if connection.scalar(locked) is None:
                return
            mine = dataset_series.c.dataset_id == dataset_id
            connection.execute(dataset_series.delete().where(mine))
            self.shelf.discard(dataset_id)

    def _begin(self, task: Task) -> Build:
        dataset_id, attempt = task.payload["dataset_id"], task.payload["attempt"]
        with self.database.read() as connection:
            row = connection.execute(
                datasets.select().where(*_current(dataset_id, attempt))
            ).one_or_none()
        if row is None:
            raise Superseded
        if row.filter is not None:
            condition = selection.filtered(row.project_id, from_json(row.filter))
        else:
            condition = selection.listed(row.project_id, dataset_id)
        return Build(dataset_id, attempt, row.project_id, row.version, condition)

    def _select(self, build: Build, beat: Beat) -> int:
        """Remember the selected series; return how many there are. Goes on where it was left."""
        mine = dataset_series.c.dataset_id == build.dataset_id
        with self.database.read() as connection:
            wanted = selection.count(connection, build.condition).series
            after, done = connection.execute(
                sa.select(sa.func.max(dataset_series.c.series_id), sa.func.count()).where(mine)
            ).one()
        while True:
            with self.database.write() as connection:
                _hold(connection, build)
                batch = selection.batch_after(
                    connection, build.condition, after or "", _SELECT_BATCH
                )
                records.insert_series(connection, [_row(build, row) for row in batch])
            done += len(batch)
            crash_point("catalogue.build.selecting")
            if len(batch) < _SELECT_BATCH:
                break
            after = batch[-1].series_id
            beat(done, 2 * max(wanted, done), "selecting series")
        if done == 0:
            raise NOTHING_SELECTED("The selection contains no series any more.")
        crash_point("catalogue.build.selected")
        return int(done)

    def _write(self, build: Build, beat: Beat, total: int) -> Written:
        with self.shelf.draft(build.dataset_id) as draft:
            writer = ManifestWriter(draft, build.dataset_id, build.version)
            after, done = "", 0
            while True:
                with self.database.read() as connection:
                    batch = records.packed_after(connection, build.dataset_id, after, _WRITE_BATCH)
                if not batch:
                    break
                counted = [_add(writer, row.series_id, row.folder, row.instances) for row in batch]
                with self.database.write() as connection:
                    _hold(connection, build)
                    records.freeze_counts(connection, build.dataset_id, counted)
                after, done = batch[-1].folder, done + len(batch)
                crash_point("catalogue.manifest.writing")
                beat(total + done, 2 * total, "writing the manifest")
            return _keep(writer, draft)

    def _commit(self, build: Build, written: Written) -> None:
        digest = written.digest
        with self.database.read() as connection:
            told = aggregate(connection, self.clinical, build.dataset_id, build.project_id)
        counts = Counts(
            told["subjects"], told["studies"], told["series"], told["images"], told["bytes"]
        )
        if (counts.images, counts.byte_count) != (written.files, written.byte_count):
            raise RuntimeError("series grew while the manifest was written; it is written again")
        with unit_of_work(self.database, SYSTEM) as work:
            _hold(work.connection, build)
            _set_ready(work, build, digest, counts, told)
            work.record(
                DatasetBuilt(
                    project_id=build.project_id,
                    dataset_id=build.dataset_id,
                    root=digest.root,
                    manifest_sha256=digest.sha256,
                    series=counts.series,
                    images=counts.images,
                )
            )
            crash_point("catalogue.build.committing")


def _set_ready(
    work: UnitOfWork,
    build: Build,
    digest: ManifestDigest,
    counts: Counts,
    told: dict[str, object],
) -> None:
    work.connection.execute(
        datasets.update()
        .where(datasets.c.dataset_id == build.dataset_id)
        .values(
            state=DATASET_LIFE.after(*_BUILDING).value,
            note="",
            subject_count=counts.subjects,
            study_count=counts.studies,
            series_count=counts.series,
            image_count=counts.images,
            byte_count=counts.byte_count,
            aggregate=told,
            manifest_root=digest.root,
            manifest_sha256=digest.sha256,
            manifest_size=digest.size,
            ready_at=work.now(),
        )
    )


def _keep(writer: ManifestWriter, draft: Draft) -> Written:
    digest = writer.finish()
    draft.keep(digest.sha256)
    return Written(digest, writer.files, writer.byte_count)


def _add(
    writer: ManifestWriter, series_id: str, folder: str, packed: bytes
) -> tuple[str, int, int]:
    """Add the files of a series; return (series id, images, bytes)."""
    files = sorted(((f"{i.instance_uid}.dcm", i) for i in unpack(packed)), key=itemgetter(0))
    for name, item in files:
        writer.add(Entry(folder + name, item.size, item.sha256))
    return series_id, len(files), sum(item.size for _, item in files)


def _row(build: Build, row: sa.Row[tuple[object, ...]]) -> dict[str, object]:
    placed = Placed(
        subject=row.subject,
        study_uid=row.study_uid,
        study_date=row.date,
        study_description=row.study_description,
        series_uid=row.series_uid,
        number=row.number,
        modality=row.modality,
        description=row.description,
    )
    return {
        "dataset_id": build.dataset_id,
        "series_id": row.series_id,
        "folder": folder_of(placed),
        "instance_count": row.instance_count,
        "byte_count": row.byte_count,
    }


def _current(dataset_id: str, attempt: int) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        datasets.c.dataset_id == dataset_id,
        datasets.c.attempt == attempt,
        datasets.c.state == _BUILDING[0].value,
    )


def _hold(connection: Connection, build: Build) -> None:
    """Keep everybody else from the draft in this transaction. Raises `Superseded`."""
    mine = sa.select(datasets.c.dataset_id).where(*_current(build.dataset_id, build.attempt))
    if connection.scalar(mine.with_for_update()) is None:
        raise Superseded

"""Indexing what the store has admitted: rows of subjects, studies and series, in a few queries."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from albufera.kernel.ids import new_id
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


class Admission:
    """Arrivals of one project and collection, indexed within the caller's transaction.

    Rows are locked in one order (subjects, studies, series, each by name), so that concurrent
    admissions wait for each other and never for ever.
    """

    def __init__(
        self, connection: Connection, project_id: str, collection_id: str, moment: datetime
    ) -> None:
        self.connection = connection
        self.project_id = project_id
        self.collection_id = collection_id
        self.moment = moment
        self.series_ids: dict[str, str] = {}
        """Identifiers of the series met, by their UID."""

    def index(
        self, arrivals: Sequence[Arrival]
    ) -> tuple[Sequence[Indexing], Sequence[SeriesAdmitted]]:
        """Add the arrivals to their series; return the answer to each, and the events to record."""
        fitting = self._fitting(arrivals)
        subject_ids = self._subject_ids(fitting)
        study_ids = self._study_ids(fitting, subject_ids)
        shelves = self._shelves(fitting, subject_ids, study_ids)
        answers = [self._answer(arrival, study_ids, shelves) for arrival in arrivals]
        grown = [shelf for _, shelf in sorted(shelves.items()) if shelf.added]
        self._write(grown)
        return answers, [shelf.event(self.project_id) for shelf in grown]

    def _fitting(self, arrivals: Sequence[Arrival]) -> Sequence[Arrival]:
        """The arrivals whose study is not known as another subject's."""
        rows = self.connection.execute(
            sa.select(studies.c.study_uid, subjects.c.name)
            .join(subjects, subjects.c.subject_id == studies.c.subject_id)
            .where(studies.c.project_id == self.project_id)
            .where(studies.c.study_uid.in_({arrival.study_uid for arrival in arrivals}))
        )
        holders = {row.study_uid: row.name for row in rows}
        fitting = []
        for arrival in arrivals:
            if holders.setdefault(arrival.study_uid, arrival.subject) == arrival.subject:
                fitting.append(arrival)
        return fitting

    def _subject_ids(self, arrivals: Sequence[Arrival]) -> dict[str, str]:
        first = _first_by(arrivals, "subject")
        rows = [
            {"subject_id": new_id("su"), "project_id": self.project_id, "name": n, "sex": a.sex}
            for n, a in first
        ]
        insert_missing(self.connection, subjects, rows)
        found = self.connection.execute(
            sa.select(subjects.c.name, subjects.c.subject_id)
            .where(subjects.c.project_id == self.project_id)
            .where(subjects.c.name.in_([name for name, _ in first]))
        )
        return {row.name: row.subject_id for row in found}

    def _study_ids(
        self, arrivals: Sequence[Arrival], subject_ids: dict[str, str]
    ) -> dict[tuple[str, str], str]:
        """Study identifiers by (study UID, subject)."""
        first = _first_by(arrivals, "study_uid")
        rows = [self._study_row(a, subject_ids[a.subject]) for _, a in first]
        insert_missing(self.connection, studies, rows)
        found = self.connection.execute(
            sa.select(studies.c.study_uid, studies.c.study_id, subjects.c.name)
            .join(subjects, subjects.c.subject_id == studies.c.subject_id)
            .where(studies.c.project_id == self.project_id)
            .where(studies.c.study_uid.in_([uid for uid, _ in first]))
        )
        return {(row.study_uid, row.name): row.study_id for row in found}

    def _study_row(self, arrival: Arrival, subject_id: str) -> dict[str, Any]:
        return {
            "study_id": new_id("st"),
            "project_id": self.project_id,
            "subject_id": subject_id,
            "study_uid": arrival.study_uid,
            "date": arrival.date,
            "year": int(arrival.date[:4]) if arrival.date else None,
            "description": arrival.study_description,
            "age": arrival.age,
            "created_at": self.moment,
        }

    def _shelves(
        self,
        arrivals: Sequence[Arrival],
        subject_ids: dict[str, str],
        study_ids: dict[tuple[str, str], str],
    ) -> dict[str, "_Shelf"]:
        placed = [a for a in arrivals if (a.study_uid, a.subject) in study_ids]
        first = _first_by(placed, "series_uid")
        rows = [
            self._series_row(a, subject_ids[a.subject], study_ids[a.study_uid, a.subject])
            for _, a in first
        ]
        insert_missing(self.connection, series, rows)
        found = self.connection.execute(
            sa.select(series.c.series_uid, series.c.series_id, series.c.study_id)
            .add_columns(series.c.instances)
            .where(series.c.project_id == self.project_id)
            .where(series.c.series_uid.in_([uid for uid, _ in first]))
            .order_by(series.c.series_uid)
            .with_for_update()
        )
        shelves = {r.series_uid: _Shelf(r.series_id, r.study_id, r.instances) for r in found}
        self.series_ids = {uid: shelf.series_id for uid, shelf in shelves.items()}
        return shelves

    def _series_row(self, arrival: Arrival, subject_id: str, study_id: str) -> dict[str, Any]:
        return {
            "series_id": new_id("se"),
            "project_id": self.project_id,
            "collection_id": self.collection_id,
            "subject_id": subject_id,
            "study_id": study_id,
            "series_uid": arrival.series_uid,
            "modality": arrival.modality,
            "body_part": arrival.body_part,
            "description": arrival.description,
            "manufacturer": arrival.manufacturer,
            "model": arrival.model,
            "number": arrival.number,
            "rows": arrival.rows,
            "columns": arrival.columns,
            "slice_thickness": arrival.slice_thickness,
            "instance_count": 0,
            "byte_count": 0,
            "instances": pack([]),
            "created_at": self.moment,
        }

    @staticmethod
    def _answer(
        arrival: Arrival, study_ids: dict[tuple[str, str], str], shelves: dict[str, "_Shelf"]
    ) -> Indexing:
        study_id = study_ids.get((arrival.study_uid, arrival.subject))
        if study_id is None:
            return Indexing.OTHER_SUBJECT
        shelf = shelves[arrival.series_uid]
        if shelf.study_id != study_id:
            return Indexing.OTHER_STUDY
        return shelf.put(arrival.instance)

    def _write(self, shelves: Sequence["_Shelf"]) -> None:
        if not shelves:
            return
        self.connection.execute(
            series.update()
            .where(series.c.series_id == sa.bindparam("this_series"))
            .values(
                instances=sa.bindparam("packed"),
                instance_count=sa.bindparam("held"),
                byte_count=sa.bindparam("total"),
            ),
            [shelf.row() for shelf in shelves],
        )


class _Shelf:
    """The instances of one series while some are added."""

    def __init__(self, series_id: str, study_id: str, packed: bytes) -> None:
        self.series_id = series_id
        self.study_id = study_id
        self.added = 0
        self._held: dict[str, Instance] = {item.instance_uid: item for item in unpack(packed)}

    def put(self, instance: Instance) -> Indexing:
        """Add an instance unless its UID is taken."""
        held = self._held.setdefault(instance.instance_uid, instance)
        if held is instance:
            self.added += 1
            return Indexing.NEW
        return Indexing.THERE if held.sha256 == instance.sha256 else Indexing.OTHER_CONTENT

    def row(self) -> dict[str, Any]:
        """The columns to write."""
        return {
            "this_series": self.series_id,
            "packed": pack(self._held.values()),
            "held": len(self._held),
            "total": sum(item.size for item in self._held.values()),
        }

    def event(self, project_id: str) -> SeriesAdmitted:
        """The fact to announce."""
        return SeriesAdmitted(
            project_id=project_id,
            series_id=self.series_id,
            instance_count=len(self._held),
            added=self.added,
            digest=content_digest(self._held.values()),
        )


def _first_by(arrivals: Iterable[Arrival], field: str) -> list[tuple[str, Arrival]]:
    """The first arrival of each value of a field, ordered by that value."""
    first: dict[str, Arrival] = {}
    for arrival in arrivals:
        first.setdefault(getattr(arrival, field), arrival)
    return sorted(first.items())

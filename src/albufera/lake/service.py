"""Verbs of the lake: look at studies, series and pictures, each through the policy."""

import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from albufera.kernel import clock
from albufera.kernel.actor import Actor
from albufera.kernel.database import Database
from albufera.kernel.pages import Page, PageRequest, cut
from albufera.kernel.policy import Columns, Policy, Thing
from albufera.kernel.unit_of_work import unit_of_work
from albufera.lake import listing
from albufera.lake.events import SeriesRendered, SeriesRetrieved, StudyViewed
from albufera.lake.model import (
    INSTANCE_NOT_FOUND,
    NO_PICTURE,
    PICTURES_BUSY,
    SERIES_NOT_FOUND,
    STUDY_NOT_FOUND,
    Instance,
    Series,
    SeriesQuery,
    Slice,
    Study,
    StudyFilter,
    StudySummary,
)
from albufera.lake.pictures import PictureStudio, StudioBusy, Undrawable, Window
from albufera.lake.ports import NoSuchInstance, PosixStore
from albufera.lake.records import SERIES, STUDIES, series, studies, to_series, to_study, unpack
from albufera.lake.slices import in_order, slices_of

REMEMBERED_SERIES = 64
LOOK_TOLD_EVERY = timedelta(hours=1)
_REMEMBERED_LOOKS = 10_000

STUDY_COLUMNS = Columns(id=studies.c.study_id, project_id=studies.c.project_id)
SERIES_COLUMNS = Columns(id=series.c.series_id, project_id=series.c.project_id)


@dataclass(frozen=True)
class OpenedStudy:
    """A study, its series that the reader may see, and what the reader may do to it."""

    study: Study
    series: Sequence[Series]
    allowed: tuple[str, ...]


class LakeService:
    """What people see of the lake."""

    def __init__(
        self, database: Database, policy: Policy, store: PosixStore, studio: PictureStudio
    ) -> None:
        self.database = database
        self.policy = policy
        self.store = store
        self.studio = studio
        self._orders = _Remembered(REMEMBERED_SERIES)
        self._looks = _Looks()

    def list_studies(
        self, actor: Actor, wanted: StudyFilter, page: PageRequest
    ) -> Page[StudySummary]:
        """Return the studies that `actor` may see, newest first."""
        visible = self.policy.which(actor, "study.view", STUDY_COLUMNS)
        with self.database.read() as connection:
            found = listing.study_summaries(connection, visible, wanted, page)
        return cut(found, page, lambda item: item.study.study_id)

    def open_study(self, actor: Actor, study_id: str) -> OpenedStudy:
        """Return a study with its series, and trace that it was looked at.

        Raises `study-not-found`.
        """
        visible = self.policy.which(actor, "study.view", STUDY_COLUMNS)
        visible_series = self.policy.which(actor, "series.view", SERIES_COLUMNS)
        with unit_of_work(self.database, actor) as work:
            row = work.connection.execute(
                STUDIES.where(studies.c.study_id == study_id, visible)
            ).one_or_none()
            if row is None:
                raise STUDY_NOT_FOUND()
            study = to_study(row)
            found = listing.series_of_study(work.connection, study_id, visible_series)
            thing = Thing("study", id=study_id, project_id=study.project_id)
            allowed = self.policy.allowed(work.connection, actor, thing)
            work.record(StudyViewed(project_id=study.project_id, study_id=study_id))
        return OpenedStudy(study, found, allowed)

    def show_series(self, actor: Actor, series_id: str) -> tuple[Series, Sequence[Instance]]:
        """Return a series with its instances in scrolling order. Raises `series-not-found`."""
        with self.database.read() as connection:
            found = self._visible(connection, actor, series.c.series_id == series_id)
            return found, in_order(self.instances(connection, series_id))

    def slices(self, actor: Actor, series_id: str) -> Sequence[Slice]:
        """Return the pictures of a series in scrolling order. Raises `series-not-found`."""
        with self.database.read() as connection:
            found = self._visible(connection, actor, series.c.series_id == series_id)
            return self._slices(connection, found)

    def picture(
        self, actor: Actor, series_id: str, number: int, window: Window | None, size: int
    ) -> bytes:
        """Return slice `number` (counted from 1) of a series as PNG.

        `window` is (centre, width); `size` the longest side in pixels. Raises `series-not-found`,
        `instance-not-found`, `no-picture`, `pictures-busy`.
        """
        with self.database.read() as connection:
            found = self._permitted(connection, actor, "series.render", series_id)
            order = self._slices(connection, found)
        if not 1 <= number <= len(order):
            raise INSTANCE_NOT_FOUND(f"This series has slices 1 to {len(order)}.")
        wanted = order[number - 1]
        return self.draw(actor, found, wanted.instance_uid, wanted.frame, window, size)

    def draw(
        self,
        actor: Actor,
        of: Series,
        instance_uid: str,
        frame: int,
        window: Window | None,
        size: int,
    ) -> bytes:
        """Return a frame of a series that `actor` was already permitted to see, as PNG."""
        self._tell_look(actor, of)
        try:
            path = self.store.path(of.key(instance_uid))
            return self.studio.render(path, frame, window, size)
        except StudioBusy as busy:
            raise PICTURES_BUSY(busy.reason) from busy
        except Undrawable as refused:
            raise NO_PICTURE(refused.reason) from refused
        except NoSuchInstance as absent:
            raise INSTANCE_NOT_FOUND() from absent

    def search_studies(
        self, actor: Actor, query: SeriesQuery, limit: int, offset: int
    ) -> Sequence[StudySummary]:
        """Return the studies of which `actor` may see a matching series, for QIDO-RS."""
        visible = self.policy.which(actor, "series.view", SERIES_COLUMNS)
        with self.database.read() as connection:
            return listing.found_studies(connection, visible, query, limit, offset)

    def search_series(
        self, actor: Actor, query: SeriesQuery, limit: int, offset: int
    ) -> Sequence[tuple[Series, Study]]:
        """Return the matching series that `actor` may see, each with its study, for QIDO-RS."""
        visible = self.policy.which(actor, "series.view", SERIES_COLUMNS)
        with self.database.read() as connection:
            return listing.found_series(connection, visible, query, limit, offset)

    def permitted_series(
        self, actor: Actor, verb: str, *conditions: sa.ColumnElement[bool]
    ) -> Sequence[Series]:
        """Return the series that meet the conditions and to which `actor` may do `verb`."""
        allowed = self.policy.which(actor, verb, SERIES_COLUMNS)
        with self.database.read() as connection:
            rows = connection.execute(
                SERIES.where(allowed, *conditions).order_by(series.c.series_id)
            )
            return [to_series(row) for row in rows]

    def retrieve(
        self, actor: Actor, conditions: Sequence[sa.ColumnElement[bool]], instance_uid: str | None
    ) -> Iterator[tuple[Series, Instance]]:
        """Return the instances to send, series by series, and trace that they are sent.

        Raises `series-not-found` when there is none that `actor` may know of, `forbidden` when
        there is but `actor` may not retrieve it, `instance-not-found`.
        """
        permitted = self.permitted_series(actor, "series.retrieve", *conditions)
        if not permitted:
            seen = self.permitted_series(actor, "series.view", *conditions)
            if not seen:
                raise SERIES_NOT_FOUND()
            with self.database.read() as connection:
                thing = Thing("series", id=seen[0].series_id, project_id=seen[0].project_id)
                self.policy.require(connection, actor, "series.retrieve", thing)
        if instance_uid is not None:
            self._require_instance(permitted, instance_uid)
        with unit_of_work(self.database, actor) as work:
            for item in permitted:
                count = 1 if instance_uid is not None else item.instance_count
                work.record(
                    SeriesRetrieved(
                        project_id=item.project_id, series_id=item.series_id, instance_count=count
                    )
                )
        return self._each(permitted, instance_uid)

    @staticmethod
    def instances(connection: Connection, series_id: str) -> Sequence[Instance]:
        """Return the instances of a series by UID; of none if there is no such series."""
        packed = connection.scalar(
            sa.select(series.c.instances).where(series.c.series_id == series_id)
        )
        return unpack(packed) if packed is not None else []

    def read_instances(self, series_id: str) -> Sequence[Instance]:
        """Return the instances of a series that the caller was already permitted to see."""
        with self.database.read() as connection:
            return self.instances(connection, series_id)

    def _each(
        self, found: Sequence[Series], instance_uid: str | None
    ) -> Iterator[tuple[Series, Instance]]:
        for item in found:
            for instance in self.read_instances(item.series_id):
                if instance_uid in (None, instance.instance_uid):
                    yield item, instance

    def _require_instance(self, found: Sequence[Series], instance_uid: str) -> None:
        if next(self._each(found, instance_uid), None) is None:
            raise INSTANCE_NOT_FOUND()

    def _visible(
        self, connection: Connection, actor: Actor, condition: sa.ColumnElement[bool]
    ) -> Series:
        visible = self.policy.which(actor, "series.view", SERIES_COLUMNS)
        row = connection.execute(SERIES.where(condition, visible)).one_or_none()
        if row is None:
            raise SERIES_NOT_FOUND()
        return to_series(row)

    def _permitted(self, connection: Connection, actor: Actor, verb: str, series_id: str) -> Series:
        found = self._visible(connection, actor, series.c.series_id == series_id)
        thing = Thing("series", id=series_id, project_id=found.project_id)
        self.policy.require(connection, actor, verb, thing)
        return found

    def _slices(self, connection: Connection, found: Series) -> Sequence[Slice]:
        version = (found.series_id, found.instance_count)
        order = self._orders.get(version)
        if order is None:
            order = slices_of(self.instances(connection, found.series_id))
            self._orders.put(version, order)
        return order

    def _tell_look(self, actor: Actor, of: Series) -> None:
        if not self._looks.is_new(actor.user_id, of.series_id):
            return
        with unit_of_work(self.database, actor) as work:
            work.record(SeriesRendered(project_id=of.project_id, series_id=of.series_id))
        self._looks.remember(actor.user_id, of.series_id)


class _Remembered:
    """The scrolling orders last used: series only grow, so a count names a version."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._guard = threading.Lock()
        self._held: OrderedDict[tuple[str, int], tuple[Slice, ...]] = OrderedDict()

    def get(self, version: tuple[str, int]) -> tuple[Slice, ...] | None:
        with self._guard:
            if version in self._held:
                self._held.move_to_end(version)
            return self._held.get(version)

    def put(self, version: tuple[str, int], order: tuple[Slice, ...]) -> None:
        with self._guard:
            self._held[version] = order
            while len(self._held) > self._room:
                self._held.popitem(last=False)


class _Looks:
    """Who looked at which series lately, so that scrolling is traced once and not per slice."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._told: dict[tuple[str, str], datetime] = {}

    def is_new(self, user_id: str, series_id: str) -> bool:
        with self._guard:
            told = self._told.get((user_id, series_id))
        return told is None or clock.now() - told >= LOOK_TOLD_EVERY

    def remember(self, user_id: str, series_id: str) -> None:
        with self._guard:
            if len(self._told) >= _REMEMBERED_LOOKS:
                self._told.clear()
            self._told[user_id, series_id] = clock.now()

"""The way of a file through a run: read, cleaned, sealed, admitted, indexed, all in batches.

The order is what makes a crash harmless: bytes are durable in the lake before the one transaction
that writes the series' row, the file's state and the events. Killed before it, a file has no
state yet and is taken again; what it left in the lake is adopted then.
"""

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any

from albufera.ingest.deidentify import Deidentifier, Unclean, Unreadable
from albufera.ingest.describing import arrival_of
from albufera.ingest.found import Found, Refused
from albufera.ingest.model import ITEM_LIFE, REASONS, Ingest, IngestState, ItemState
from albufera.ingest.quarantine import Quarantine
from albufera.ingest.reading import Guarded, Loaded, Reader, SourceFailed
from albufera.ingest.records import (
    ingest_items,
    ingests,
    keys_present,
    next_ordinal,
    sources_admitted,
)
from albufera.ingest.sources import key_of
from albufera.kernel.actor import Actor
from albufera.kernel.crashes import crash_point
from albufera.kernel.database import Database
from albufera.kernel.unit_of_work import UnitOfWork, unit_of_work
from albufera.lake.admission import Admission
from albufera.lake.layout import InstanceKey
from albufera.lake.model import Arrival, Indexing
from albufera.lake.ports import Admission as Placing
from albufera.lake.ports import Staged, Staging, Store, StoreError

logger = logging.getLogger(__name__)

BATCH_FILES = 256
BATCH_BYTES = 64 * 1024 * 1024
BATCH_SECONDS = 2.0

Beat = Callable[[int], None]
"""Told the number of files that have ended; may raise to stop the run between two batches."""


class IngestStopped(Exception):
    """The run is over by somebody else's word: cancelled, or given up as abandoned."""


@dataclass(frozen=True)
class Outcome:
    """What is known of a file: how it ends, and what the lake shall take of it."""

    key: str
    path: str = field(repr=False)
    size: int
    event: str
    code: str = ""
    reason: str = ""
    digest: str = ""
    loaded: Loaded | None = field(default=None, repr=False)
    staged: Staged | None = None
    arrival: Arrival | None = field(default=None, repr=False)
    series_id: str | None = None
    instance_uid: str | None = None

    def ending(self, event: str, code: str) -> "Outcome":
        """The same file, ending otherwise, for one of `REASONS`."""
        return replace(self, event=event, code=code, reason=REASONS[code])

    @property
    def state(self) -> ItemState:
        """The terminal state."""
        return ITEM_LIFE.after(ItemState.RECEIVED, self.event)


_INDEXED = {
    Indexing.THERE: ("recognise", "same-object"),
    Indexing.OTHER_CONTENT: ("hold", "different-content"),
    Indexing.OTHER_STUDY: ("hold", "different-study"),
    Indexing.OTHER_SUBJECT: ("hold", "different-subject"),
}


@dataclass(frozen=True)
class Equipment:
    """What every run of a node works with."""

    database: Database
    store: Store
    quarantine: Quarantine


class Pipeline:
    """Takes the files of one run through."""

    def __init__(
        self,
        equipment: Equipment,
        ingest: Ingest,
        actor: Actor,
        reader: Reader,
        deidentifier: Deidentifier,
    ) -> None:
        self._kit = equipment
        self._ingest = ingest
        self._actor = actor
        self._reader = reader
        self._deidentifier = deidentifier
        self._taken = 0
        self._names = 0
        self._committed = time.monotonic()

    def run(self, found: Iterable[Found], beat: Beat) -> None:
        """Bring every file to its terminal state.

        Raises whatever `beat` raises, `IngestStopped`, and the failures of the surroundings
        (StoreError, OSError, database errors); what was committed stays.
        """
        with self._kit.store.stage(self._ingest.project_id) as staging:
            for batch in self._batches(found):
                with ExitStack() as streams:
                    for item in batch:
                        if isinstance(item, Loaded):
                            streams.enter_context(item.stream)
                    beat(self._taken)
                    self._take(batch, staging, beat)
                crash_point("ingest.between")

    def _batches(self, found: Iterable[Found]) -> Iterator[Sequence[Loaded | Refused]]:
        """Files in hand, as many as memory and patience allow."""
        batch: list[Loaded | Refused] = []
        held, begun = 0, time.monotonic()
        for item in found:
            loaded = item if isinstance(item, Refused) else self._reader.load(item)
            batch.append(loaded)
            held += loaded.held if isinstance(loaded, Loaded) else 0
            late = time.monotonic() - begun > BATCH_SECONDS
            if len(batch) >= BATCH_FILES or held >= BATCH_BYTES or late:
                yield batch
                batch, held, begun = [], 0, time.monotonic()
        if batch:
            yield batch

    def _take(self, batch: Sequence[Loaded | Refused], staging: Staging, beat: Beat) -> None:
        fresh, known = self._look_up(batch)
        outcomes: list[Outcome] = []
        for key, item in fresh.items():
            outcomes.append(self._judge(key, item, known, staging))
            if time.monotonic() - self._committed > BATCH_SECONDS:
                self._commit(outcomes)
                outcomes = []
                beat(self._taken)
        if outcomes:
            self._commit(outcomes)

    def _look_up(
        self, batch: Sequence[Loaded | Refused]
    ) -> tuple[dict[str, Loaded | Refused], dict[str, Any]]:
        """The files that have not ended yet, by key; and what is known of their sources."""
        by_key = {key_of(item.identity): item for item in batch}
        digests = [item.digest for item in batch if isinstance(item, Loaded)]
        with self._kit.database.read() as connection:
            ended = keys_present(connection, self._ingest.ingest_id, by_key)
            known = sources_admitted(connection, self._ingest.project_id, digests)
        self._taken += len(ended)
        return {key: item for key, item in by_key.items() if key not in ended}, known

    def _judge(
        self, key: str, item: Loaded | Refused, known: dict[str, Any], staging: Staging
    ) -> Outcome:
        if isinstance(item, Refused):
            reason = REASONS[item.code]
            return Outcome(key, item.path, item.size, "refuse", item.code, reason)
        base = Outcome(key, item.path, item.size, "refuse", digest=item.digest, loaded=item)
        there = known.get(item.digest)
        if there is not None:
            same = replace(base, series_id=there.series_id, instance_uid=there.instance_uid)
            return same.ending("recognise", "same-source")
        try:
            return self._clean(base, item, staging)
        except Unreadable as refused:
            return replace(base, code=refused.code, reason=refused.sentence)
        except SourceFailed:
            return base.ending("refuse", "unreadable")
        except Unclean as held:
            return self._hold(replace(base, event="hold", code=held.code, reason=held.sentence))
        except (StoreError, OSError):
            raise
        except Exception as failure:
            # The message of an exception may hold a value of the object: only its kind is told.
            logger.error("Cleaning a file failed unexpectedly: %s", type(failure).__name__)
            return self._hold(base.ending("hold", "unexpected"))

    def _clean(self, base: Outcome, item: Loaded, staging: Staging) -> Outcome:
        source = item.rewound()
        guarded = source if item.held else Guarded(source)
        self._names += 1
        with staging.write(f"f{self._names}") as target:
            cleaned = self._deidentifier.clean(guarded, target)  # type: ignore[arg-type]
            arrival = arrival_of(cleaned, target.sha256, target.size)
            crash_point("ingest.staged")
            staged = target.seal()
        crash_point("ingest.sealed")
        return replace(
            base,
            event="admit",
            staged=staged,
            arrival=arrival,
            instance_uid=cleaned.instance_uid,
        )

    def _hold(self, outcome: Outcome) -> Outcome:
        if outcome.loaded is not None:
            original = outcome.loaded.rewound()
            project_id = self._ingest.project_id
            self._kit.quarantine.keep(project_id, outcome.digest, original, outcome.code)
            crash_point("ingest.held")
        return outcome

    def _commit(self, outcomes: Sequence[Outcome]) -> None:
        """Admit what was sealed, then write all that became of these files in one transaction."""
        placed = self._place(outcomes)
        with unit_of_work(self._kit.database, self._actor) as work:
            self._still_running(work)
            ended, misplaced = self._index(work, placed)
            self._write(work, ended)
            crash_point("ingest.writing")
        crash_point("ingest.committed")
        for key in misplaced:
            self._kit.store.remove(key)
        self._taken += len(outcomes)
        self._committed = time.monotonic()

    def _place(self, outcomes: Sequence[Outcome]) -> Sequence[tuple[Outcome, Placing | None]]:
        offered = [
            (o.staged, self._key(o.arrival))
            for o in outcomes
            if o.staged is not None and o.arrival is not None
        ]
        answers = iter(self._kit.store.admit_all(offered))
        crash_point("ingest.admitted")
        placed: list[tuple[Outcome, Placing | None]] = []
        for outcome in outcomes:
            answer = next(answers) if outcome.staged is not None else None
            if answer is Placing.CONFLICT:
                outcome = self._hold(outcome.ending("hold", "different-content"))  # noqa: PLW2901
            placed.append((outcome, answer))
        return placed

    def _key(self, arrival: Arrival) -> InstanceKey:
        uid = arrival.instance.instance_uid
        return InstanceKey(self._ingest.project_id, arrival.series_uid, uid)

    def _index(
        self, work: UnitOfWork, placed: Sequence[tuple[Outcome, Placing | None]]
    ) -> tuple[Sequence[Outcome], Sequence[InstanceKey]]:
        """How each file ends after the index was asked, and what must leave the lake again."""
        admission = Admission(
            work.connection, self._ingest.project_id, self._ingest.collection_id, work.now()
        )
        arrivals = [o.arrival for o, _ in placed if o.event == "admit" and o.arrival is not None]
        answers, grown = admission.index(arrivals) if arrivals else ((), ())
        for event in grown:
            work.record(event)
        remaining = iter(answers)
        ended: list[Outcome] = []
        misplaced: list[InstanceKey] = []
        for outcome, placing in placed:
            if outcome.event != "admit" or outcome.arrival is None:
                ended.append(outcome)
                continue
            answer = next(remaining)
            series_id = admission.series_ids.get(outcome.arrival.series_uid)
            indexed = self._answered(replace(outcome, series_id=series_id), answer)
            if indexed.event == "hold" and placing is Placing.ADMITTED:
                misplaced.append(self._key(outcome.arrival))
            ended.append(indexed)
        return ended, misplaced

    def _answered(self, outcome: Outcome, answer: Indexing) -> Outcome:
        if answer is Indexing.NEW:
            return outcome
        ended = outcome.ending(*_INDEXED[answer])
        if ended.event != "hold":
            return ended
        return self._hold(replace(ended, series_id=None, instance_uid=None))

    def _still_running(self, work: UnitOfWork) -> None:
        beaten = work.connection.execute(
            ingests.update()
            .where(ingests.c.ingest_id == self._ingest.ingest_id)
            .where(ingests.c.state == IngestState.RUNNING.value)
            .values(beat_at=work.now())
        )
        if not beaten.rowcount:
            raise IngestStopped

    def _write(self, work: UnitOfWork, outcomes: Sequence[Outcome]) -> None:
        first = next_ordinal(work.connection, self._ingest.ingest_id)
        rows = [
            {
                "ingest_id": self._ingest.ingest_id,
                "ordinal": first + number,
                "project_id": self._ingest.project_id,
                "item_key": outcome.key,
                "path": outcome.path,
                "state": outcome.state.value,
                "code": outcome.code,
                "reason": outcome.reason,
                "source_digest": outcome.digest,
                "size": outcome.size,
                "series_id": outcome.series_id,
                "instance_uid": outcome.instance_uid,
                "at": work.now(),
            }
            for number, outcome in enumerate(outcomes)
        ]
        work.connection.execute(ingest_items.insert(), rows)

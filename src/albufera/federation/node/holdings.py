"""What this node has published, in the words of the federation."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import ValidationError
from sqlalchemy.engine import Connection

from albufera.catalogue.model import Dataset, DatasetState
from albufera.catalogue.records import DATASETS, datasets, to_dataset
from albufera.federation.messages import (
    MAX_VALUES,
    DatasetOffer,
    Share,
    TellCount,
    as_plain,
    first_complaint,
)
from albufera.federation.model import Told
from albufera.federation.node.disclosure import round_down
from albufera.kernel import clock

_TOLD_STATES = (DatasetState.PUBLISHED.value, DatasetState.INVALIDATED.value)
_SEXES = {"F": "Female", "M": "Male", "O": "Other"}


@dataclass(frozen=True)
class Prepared:
    """An offer, or why a dataset cannot be offered."""

    dataset_id: str
    offer: DatasetOffer | None
    complaint: str = ""


class Holdings:
    """Makes offers of published datasets: public metadata, with no count of few people."""

    def __init__(self, url: str, threshold: int) -> None:
        self.url = url.rstrip("/")
        self.threshold = threshold

    def offers(self, connection: Connection) -> Iterator[Prepared]:
        """Prepare an offer of every dataset that is, or was, published; tombstones included."""
        rows = connection.execute(
            DATASETS.add_columns(datasets.c.aggregate)
            .where(datasets.c.state.in_(_TOLD_STATES), datasets.c.published_at.is_not(None))
            .order_by(datasets.c.dataset_id)
            .execution_options(yield_per=100)
        )
        for row in rows:
            yield self._prepare(to_dataset(row), row.aggregate or {})

    def _prepare(self, dataset: Dataset, aggregate: Mapping[str, Any]) -> Prepared:
        """Make an offer, or say what is in the way: one odd dataset holds up no other."""
        try:
            return Prepared(dataset.dataset_id, self.offer(dataset, aggregate))
        except ValidationError as failure:
            return Prepared(dataset.dataset_id, None, first_complaint(failure))

    def offer(self, dataset: Dataset, aggregate: Mapping[str, Any]) -> DatasetOffer:
        """Make the offer of one dataset."""
        counts, about = dataset.counts, dataset.properties
        few = counts.subjects < self.threshold
        gone = dataset.state is DatasetState.INVALIDATED
        return DatasetOffer(
            dataset_id=dataset.dataset_id,
            title=_line(about.name, 200),
            description=as_plain(about.description, 8000),
            version=dataset.version,
            state="invalidated" if gone else "published",
            reason=as_plain(dataset.reason, 8000) if gone else "",
            licence=_line(about.licence, 300),
            contact=_line(about.contact, 300),
            pid=_line(dataset.pid or "", 300),
            landing_url=f"{self.url}/datasets/{dataset.dataset_id}",
            manifest_root=dataset.manifest.root if dataset.manifest else "0" * 64,
            published_at=_stamp(dataset.published_at) or "",
            invalidated_at=_stamp(dataset.invalidated_at),
            subjects=self._tell(counts.subjects),
            studies=None if few else self._tell(counts.studies),
            series=None if few else counts.series,
            images=None if few else counts.images,
            byte_count=None if few else counts.byte_count,
            distributions={} if gone else self._distributions(aggregate),
        )

    def _tell(self, count: int) -> TellCount:
        step = self.threshold
        if count < step:
            return TellCount.of(Told(step, fewer_than=step))
        return TellCount.of(Told(step, at_least=round_down(count, step)))

    def _distributions(self, aggregate: Mapping[str, Any]) -> dict[str, list[Share]]:
        found = {
            name: self._shares(aggregate.get(name) or ())
            for name in ("modality", "bodyPart", "diagnosis", "manufacturer", "year")
        }
        found["sex"] = self._shares(
            [{**item, "value": _SEXES.get(item["value"])} for item in aggregate.get("sex") or ()]
        )
        found["year"].sort(key=lambda share: share.value)
        bands = (aggregate.get("age") or {}).get("bands") or ()
        found["age"] = self._shares(
            [{"value": band["label"], "subjects": band["subjects"]} for band in bands]
        )
        return {name: shares for name, shares in found.items() if shares}

    def _shares(self, items: Sequence[Mapping[str, Any]]) -> list[Share]:
        """Return values with rounded counts, and the values of few people without a count."""
        shares: dict[str, Share] = {}
        for item in items:
            value, count = item["value"], int(item["subjects"])
            if value in (None, "") or count == 0:
                continue
            told = round_down(count, self.threshold) if count >= self.threshold else None
            name = _line(str(value), 200)
            shares.setdefault(name, Share(value=name, at_least=told))
        return list(shares.values())[:MAX_VALUES]


def _line(text: str, limit: int) -> str:
    return as_plain(" ".join(text.split()), limit)


def _stamp(moment: datetime | None) -> str | None:
    return None if moment is None else clock.isoformat(moment)

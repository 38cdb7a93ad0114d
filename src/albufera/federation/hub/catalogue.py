"""The hub's catalogue: what all nodes publish, as they last said it."""

from collections.abc import Mapping, Sequence

import sqlalchemy as sa
from pydantic import ValidationError
from sqlalchemy.engine import Connection

from albufera.federation.hub import records
from albufera.federation.hub.events import OfferTaken
from albufera.federation.hub.model import (
    ENTRY_NOT_FOUND,
    EnrolledNode,
    Entry,
    FacetValue,
    NodeState,
    Search,
)
from albufera.federation.messages import (
    FACETS,
    DatasetOffer,
    OfferBatch,
    OfferReceipt,
    first_complaint,
)
from albufera.kernel.canonical import digest
from albufera.kernel.database import Database
from albufera.kernel.ids import is_id, new_id
from albufera.kernel.pages import Page, PageRequest, cut
from albufera.kernel.signing import Message
from albufera.kernel.unit_of_work import UnitOfWork

MAX_WORDS = 8
MAX_FACET_VALUES = 30
SEARCH_FACETS = ("node", "state", *FACETS)
"""What a search may be narrowed by."""

_LISTED = records.nodes.c.state == NodeState.ENROLLED.value


class HubCatalogue:
    """Datasets of all enrolled nodes. Anybody may look: it holds public metadata alone."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def take(
        self, work: UnitOfWork, node: EnrolledNode, message: Message, batch: OfferBatch
    ) -> OfferReceipt:
        """Take offers in, within the desk's unit of work; each is accepted or refused by itself."""
        accepted: dict[str, str] = {}
        refused: dict[str, str] = {}
        for document in batch.offers:
            name = document.get("datasetId")
            try:
                offer = DatasetOffer.model_validate(document)
            except ValidationError as failure:
                if isinstance(name, str) and is_id(name, "ds"):
                    refused[name] = first_complaint(failure)
                continue
            accepted[offer.dataset_id] = _store(work, node, message, offer)
        return OfferReceipt(accepted=accepted, refused=refused)

    def search(self, search: Search, page: PageRequest) -> Page[Entry]:
        """Return the datasets that match, the ones listed last first."""
        table = records.entries
        query = records.ENTRIES.where(*_matches(search))
        if page.after is not None:
            if not is_id(page.after, "he"):
                return Page([], None)
            query = query.where(table.c.entry_id < page.after)
        query = query.order_by(table.c.entry_id.desc()).limit(page.limit + 1)
        with self.database.read() as connection:
            found = [records.to_entry(row) for row in connection.execute(query)]
        return cut(found, page, lambda entry: entry.entry_id)

    def count(self, search: Search) -> int:
        """Return how many datasets match."""
        query = sa.select(sa.func.count()).select_from(_JOINED).where(*_matches(search))
        with self.database.read() as connection:
            return int(connection.scalar(query) or 0)

    def facets(self, search: Search) -> Mapping[str, Sequence[FacetValue]]:
        """Count the matching datasets by each facet's values, regardless of that facet itself."""
        with self.database.read() as connection:
            return {
                "node": _node_facet(connection, search.without("node")),
                "state": _state_facet(connection, search.without("state")),
                **{name: _facet(connection, search.without(name), name) for name in FACETS},
            }

    def show(self, entry_id: str) -> Entry:
        """Return a listed dataset, a tombstone too. Raises `catalogue-entry-not-found`."""
        if is_id(entry_id, "he"):
            mine = records.entries.c.entry_id == entry_id
            with self.database.read() as connection:
                row = connection.execute(records.ENTRIES.where(mine, _LISTED)).one_or_none()
            if row is not None:
                return records.to_entry(row)
        raise ENTRY_NOT_FOUND()

    def node_count(self) -> int:
        """Return how many nodes are enrolled."""
        query = sa.select(sa.func.count()).select_from(records.nodes).where(_LISTED)
        with self.database.read() as connection:
            return int(connection.scalar(query) or 0)


_JOINED = records.entries.join(records.nodes, records.nodes.c.node_id == records.entries.c.node_id)


def _store(work: UnitOfWork, node: EnrolledNode, message: Message, offer: DatasetOffer) -> str:
    """Keep what a node says of a dataset, unless a later message said otherwise already."""
    table = records.entries
    mine = sa.and_(table.c.node_id == node.node_id, table.c.dataset_id == offer.dataset_id)
    known = work.connection.execute(table.select().where(mine)).one_or_none()
    document = offer.wire()
    fingerprint = digest(document)
    if known is not None and (known.digest == fingerprint or known.offered_at > message.at):
        return str(known.digest)
    values = {
        "state": offer.state,
        "digest": fingerprint,
        "searched": _searched(offer),
        "offer": document,
        "offered_at": message.at,
        "received_at": work.now(),
    }
    if known is None:
        entry_id = new_id("he")
        ids = {"entry_id": entry_id, "node_id": node.node_id, "dataset_id": offer.dataset_id}
        work.connection.execute(table.insert().values(**ids, **values))
    else:
        entry_id = known.entry_id
        work.connection.execute(table.update().where(mine).values(**values))
    records.replace_facets(work.connection, entry_id, _facet_rows(offer))
    work.record(
        OfferTaken(
            node_id=node.node_id,
            dataset_id=offer.dataset_id,
            digest=fingerprint,
            state=offer.state,
        )
    )
    return fingerprint


def _facet_rows(offer: DatasetOffer) -> list[tuple[str, str]]:
    """Return each (facet, value) once."""
    return sorted(
        {(name, share.value) for name, shares in offer.distributions.items() for share in shares}
    )


def _searched(offer: DatasetOffer) -> str:
    """Return the text in which words are looked for, folded."""
    values = (share.value for shares in offer.distributions.values() for share in shares)
    parts = (offer.title, offer.description, offer.pid, offer.licence, *values)
    return " ".join(parts).casefold()


def _matches(search: Search) -> list[sa.ColumnElement[bool]]:
    conditions: list[sa.ColumnElement[bool]] = [_LISTED]
    for word in search.words.replace("\x00", " ").casefold().split()[:MAX_WORDS]:
        conditions.append(records.entries.c.searched.contains(word, autoescape=True))
    for name, values in search.facets.items():
        wanted = [value for value in values if "\x00" not in value]
        if values:
            conditions.append(_has(name, wanted))
    return conditions


def _has(name: str, values: Sequence[str]) -> sa.ColumnElement[bool]:
    if name == "node":
        return records.nodes.c.node_id.in_(values)
    if name == "state":
        return records.entries.c.state.in_(values)
    table = records.facets
    matching = sa.select(table.c.entry_id).where(table.c.facet == name, table.c.value.in_(values))
    return records.entries.c.entry_id.in_(matching)


def _facet(connection: Connection, search: Search, name: str) -> list[FacetValue]:
    table, count = records.facets, sa.func.count().label("datasets")
    query = (
        sa.select(table.c.value, count)
        .select_from(_JOINED.join(table, table.c.entry_id == records.entries.c.entry_id))
        .where(table.c.facet == name, *_matches(search))
        .group_by(table.c.value)
        .order_by(count.desc(), table.c.value)
        .limit(MAX_FACET_VALUES)
    )
    return [FacetValue(value, value, number) for value, number in connection.execute(query)]


def _node_facet(connection: Connection, search: Search) -> list[FacetValue]:
    table, count = records.nodes, sa.func.count().label("datasets")
    query = (
        sa.select(table.c.node_id, table.c.name, count)
        .select_from(_JOINED)
        .where(*_matches(search))
        .group_by(table.c.node_id, table.c.name)
        .order_by(count.desc(), table.c.name)
        .limit(MAX_FACET_VALUES)
    )
    return [FacetValue(*row) for row in connection.execute(query)]


def _state_facet(connection: Connection, search: Search) -> list[FacetValue]:
    table, count = records.entries, sa.func.count().label("datasets")
    query = (
        sa.select(table.c.state, count)
        .select_from(_JOINED)
        .where(*_matches(search))
        .group_by(table.c.state)
        .order_by(table.c.state.desc())
    )
    return [FacetValue(state, state, number) for state, number in connection.execute(query)]

"""The tables of runs and items, on both databases."""

from datetime import UTC, datetime

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from albufera.governance.records import collections, projects
from albufera.ingest.model import (
    INGEST_LIFE,
    ITEM_LIFE,
    OVER,
    REASONS,
    TERMINAL,
    IngestState,
    ItemState,
)
from albufera.ingest.records import (
    counts_of,
    ingest_by_id,
    ingest_items,
    ingests,
    keys_present,
    next_ordinal,
    reasons_of,
    sources_admitted,
)
from albufera.kernel.database import Database
from albufera.kernel.errors import Refusal

MOMENT = datetime(2026, 5, 4, tzinfo=UTC)


@pytest.fixture
def filled(database: Database) -> Database:
    with database.write() as connection:
        connection.execute(
            projects.insert().values(
                project_id="pr-1", code="P1", name="", description="", created_at=MOMENT
            )
        )
        connection.execute(
            collections.insert().values(
                collection_id="co-1", project_id="pr-1", code="main", name=""
            )
        )
        for number in ("1", "2"):
            connection.execute(
                ingests.insert().values(
                    ingest_id=f"in-{number}", project_id="pr-1", collection_id="co-1",
                    submitted_by="us-1", username="x", origin="files", state="finished",
                    submitted_at=MOMENT,
                )
            )  # fmt: skip
        ends = [("admitted", ""), ("admitted", ""), ("refused", "not-dicom"), ("refused", "empty"),
                ("refused", "empty"), ("quarantined", "unexpected")]  # fmt: skip
        connection.execute(ingest_items.insert(), [item(n, *end) for n, end in enumerate(ends)])
    return database


def item(number: int, state: str, code: str, ingest_id: str = "in-1") -> dict[str, object]:
    return {
        "ingest_id": ingest_id, "ordinal": number, "project_id": "pr-1", "item_key": f"k{number}",
        "path": f"in/{number}", "state": state, "code": code, "reason": REASONS.get(code, ""),
        "source_digest": f"d{number}", "size": number, "series_id": "se-1", "instance_uid": "1.2",
        "at": MOMENT,
    }  # fmt: skip


def test_counts_name_every_terminal_state(filled: Database) -> None:
    with filled.read() as connection:
        counts = counts_of(connection, ["in-1", "in-2"])
        assert [counts["in-1"][state] for state in TERMINAL] == [2, 0, 1, 3]
        assert [counts["in-2"][state] for state in TERMINAL] == [0, 0, 0, 0]
        found = ingest_by_id(connection, "in-1")
        assert found is not None
        assert found.total == 6
        assert ingest_by_id(connection, "in-9") is None
        assert counts_of(connection, []) == {}


def test_reasons_most_frequent_first(filled: Database) -> None:
    with filled.read() as connection:
        found = [(each.code, each.count) for each in reasons_of(connection, "in-1")]
    assert found == [("empty", 2), ("unexpected", 1), ("not-dicom", 1)]


def test_what_is_known_of_files(filled: Database) -> None:
    with filled.read() as connection:
        assert keys_present(connection, "in-1", ["k1", "k9"]) == {"k1"}
        assert keys_present(connection, "in-2", ["k1"]) == set()
        assert set(sources_admitted(connection, "pr-1", ["d0", "d2", "d9"])) == {"d0"}
        assert sources_admitted(connection, "pr-2", ["d0"]) == {}
        assert (next_ordinal(connection, "in-1"), next_ordinal(connection, "in-2")) == (6, 0)


def test_no_file_ends_twice_in_a_run(filled: Database) -> None:
    again = {**item(7, "admitted", ""), "item_key": "k0"}
    with pytest.raises(sa.exc.IntegrityError), filled.write() as connection:
        connection.execute(ingest_items.insert(), [again])


@given(st.sampled_from(IngestState), st.lists(st.sampled_from(["start", "cancel", "finish"])))
def test_a_run_that_is_over_stays_so(state: IngestState, events: list[str]) -> None:
    for event in events:
        if state in OVER:
            with pytest.raises(Refusal):
                INGEST_LIFE.after(state, event)
            return
        try:
            state = INGEST_LIFE.after(state, event)
        except Refusal:
            assert (state, event) == (IngestState.QUEUED, "finish")


def test_a_file_in_hand_ends_in_one_of_four_states() -> None:
    assert set(ITEM_LIFE.table.values()) == set(TERMINAL)
    assert all(before is ItemState.RECEIVED for before, _ in ITEM_LIFE.table)
    for state in TERMINAL:
        assert ITEM_LIFE.allowed(state) == ()

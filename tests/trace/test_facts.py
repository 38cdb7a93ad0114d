"""Every event becomes an entry, whatever its values."""

from dataclasses import dataclass
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from albufera.kernel.canonical import digest
from albufera.trace.facts import entry_of, identifiers
from albufera.trace.model import Entry

AT = datetime(2026, 11, 23, 12, 0, 0, 123456, tzinfo=UTC)


@dataclass(frozen=True)
class Fact:
    event_id: str
    at: datetime
    actor_id: str
    verb: str
    project_id: str | None
    subjects: dict[str, object]


def test_an_event_of_identifiers_is_told_as_it_is() -> None:
    fact = Fact("ev-1", AT, "us-1", "job.done", "pr-1", {"dataset_ids": "ds-1,ds-2", "files": 3})
    entry = entry_of(7, fact)
    assert entry == Entry(
        7, "ev-1", "job.done", "2026-11-23T12:00:00.123Z", "us-1", "pr-1",
        {"dataset_ids": "ds-1,ds-2", "files": 3},
    )  # fmt: skip
    assert list(identifiers(entry)) == [("dataset_ids", "ds-1"), ("dataset_ids", "ds-2")]


def test_a_text_is_told_by_its_digest() -> None:
    fact = Fact("ev-1", AT, "", "x", None, {"note": "a lesion", "long": "x" * 257, "empty": ""})
    subjects = entry_of(0, fact).subjects
    assert all(str(value).startswith("sha256:") for value in subjects.values())
    assert "lesion" not in entry_of(0, fact).leaf_bytes().decode()


texts = st.text(max_size=300)
values = st.one_of(texts, st.integers(), st.booleans(), st.none(), st.floats(), st.lists(texts))


@given(texts, texts, texts, st.none() | texts, st.dictionaries(texts, values, max_size=70))
def test_no_event_is_refused(
    event: str, actor: str, verb: str, project: str | None, subjects: dict[str, object]
) -> None:
    fact = Fact(event, AT, actor, verb, project, subjects)
    entry = entry_of(3, fact)
    assert entry == entry_of(3, fact)
    assert len(digest(entry.document())) == 64
    assert len(entry.leaf_bytes()) < 2**16
    assert all(value and len(value) <= 256 for _, value in identifiers(entry))

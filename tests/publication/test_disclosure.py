"""No small group is counted in public, nor can one be computed from what is."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from albufera.publication.disclosure import SMALL, hide_small, public_aggregate, shown
from tests.publication.library import AGGREGATE

COUNTS = st.lists(st.integers(0, 60), max_size=12)


def test_a_small_count_is_hidden_together_with_the_next_smallest() -> None:
    assert hide_small([27, 3, 9]) == [27, None, None]


def test_counts_that_are_large_enough_stay() -> None:
    assert hide_small([27, 5, 0]) == [27, 5, 0]


def test_two_small_counts_of_one_person_each_do_not_give_each_other_away() -> None:
    assert hide_small([1, 1, 20, 30]) == [None, None, None, 30]


@given(COUNTS)
def test_nothing_small_is_shown_and_nothing_shown_is_wrong(counts: list[int]) -> None:
    hidden = hide_small(counts)
    for count, public in zip(counts, hidden, strict=True):
        assert public in (None, count)
        assert public is None or public == 0 or public >= SMALL


@given(COUNTS)
def test_subtraction_from_the_total_gives_no_single_group(counts: list[int]) -> None:
    """Whoever knows the whole learns the sum of the hidden parts: never that of a small group."""
    hidden = [c for c, public in zip(counts, hide_small(counts), strict=True) if public is None]
    if hidden and any(c >= SMALL for c in counts):
        assert len(hidden) >= 2
        assert sum(hidden) >= SMALL or all(c == 0 or c in hidden for c in counts)


def test_the_public_aggregate_has_no_breakdown_and_no_exact_age() -> None:
    public = public_aggregate(AGGREGATE)
    assert (public["age"]["min"], public["age"]["max"]) == (50, None)
    assert [band["subjects"] for band in public["age"]["bands"]] == [20, None, 0, None, None]
    assert public["manufacturer"] == [
        {"value": "SIEMENS", "subjects": None},
        {"value": "unknown", "subjects": None},
    ]
    text = json.dumps(public)
    assert "51" not in text
    assert "93" not in text
    assert all(set(item) == {"value", "subjects"} for item in public["modality"])


def test_a_dataset_of_few_people_is_not_counted() -> None:
    few = {**AGGREGATE, "subjects": 4}
    assert public_aggregate(few)["subjects"] is None
    assert public_aggregate({})["subjects"] == 0
    assert shown(None) == "fewer than 5, or hidden"


@given(st.dictionaries(st.text(max_size=3), st.integers(1, 40), max_size=6))
def test_any_facet_keeps_its_values_in_order(values: dict[str, int]) -> None:
    facet: list[dict[str, Any]] = [{"value": v, "subjects": n} for v, n in values.items()]
    public = public_aggregate({**AGGREGATE, "diagnosis": facet})["diagnosis"]
    assert [item["value"] for item in public] == [value or "unknown" for value in values]

"""Counts leave a node so that nobody is revealed, alone or by differences."""

import itertools
import random

from hypothesis import given
from hypothesis import strategies as st

from albufera.federation.model import Told
from albufera.federation.node.disclosure import Anchor, Measured, measure, tell

KEY = b"k" * 32
T = 5
SUBJECTS = st.sets(st.integers(0, 400), max_size=60)


def pairs(subjects: set[int], studies: int = 1) -> list[tuple[str, str]]:
    """Each subject with its studies, in the order of the database."""
    return sorted(
        (f"su-{subject:04d}", f"st-{subject:04d}-{n}")
        for subject in subjects
        for n in range(studies)
    )


def measured(subjects: set[int]) -> Measured:
    return measure(KEY, pairs(subjects))[0]


class Node:
    """The state of a node that answers about sets, as the answering service keeps it."""

    def __init__(self, key: bytes = KEY) -> None:
        self.key = key
        self.told: list[Anchor] = []

    def ask(self, subjects: set[int]) -> Told:
        found = measure(self.key, pairs(subjects))[0]
        told = tell(self.key, found, T, self.told)
        if told.at_least is not None and all(anchor.told is not told for anchor in self.told):
            self.told.append(Anchor(found.sketch, told))
        return told


@given(SUBJECTS)
def test_fewer_than_the_threshold_is_told_as_just_that(subjects: set[int]) -> None:
    told = tell(KEY, measured(subjects), T, [])
    if len(subjects) < T:
        assert told == Told(T, fewer_than=T)
    else:
        assert told.fewer_than is None


@given(SUBJECTS)
def test_a_first_answer_is_a_true_lower_bound_and_rounded(subjects: set[int]) -> None:
    told = tell(KEY, measured(subjects), T, [])
    if told.at_least is not None:
        assert told.at_least <= len(subjects)
        assert told.at_least % T == 0
        assert len(subjects) - told.at_least <= 2 * T - 2


def test_none_at_all_is_not_told_apart_from_few() -> None:
    assert tell(KEY, measured(set()), T, []) == tell(KEY, measured({1, 2}), T, [])


@given(SUBJECTS, st.randoms())
def test_the_same_people_give_the_same_number_however_asked(
    subjects: set[int], chance: random.Random
) -> None:
    shuffled = list(subjects)
    chance.shuffle(shuffled)
    assert Node().ask(subjects) == Node().ask(set(shuffled))


@given(SUBJECTS, SUBJECTS)
def test_sketches_differ_in_no_more_buckets_than_people(first: set[int], second: set[int]) -> None:
    differing = measured(first).sketch.differing_buckets(measured(second).sketch)
    assert differing <= len(first ^ second)
    assert (differing == 0) == (first == second)


@given(SUBJECTS.filter(lambda s: len(s) >= 2 * T), st.integers(0, 400), st.integers(1, T - 1))
def test_two_answers_do_not_differ_for_fewer_people_than_the_threshold(
    subjects: set[int], start: int, count: int
) -> None:
    others = subjects ^ set(range(start, start + count))
    node = Node()
    assert node.ask(subjects) == node.ask(others)


def test_whether_one_person_is_among_them_cannot_be_seen_at_any_size() -> None:
    """The classic attack: ask with and without one person, at sizes that cross the rounding."""
    for size in range(T, 80):
        group = set(range(size))
        with_one, without = Node(), Node()
        assert with_one.ask(group) == with_one.ask(group | {999})
        assert without.ask(group) == without.ask(group)


def test_without_the_rule_of_nearness_the_attack_would_succeed() -> None:
    """The test above can fail: plain answers do differ by one person."""
    plain = [tell(KEY, measured(set(range(size))), T, []) for size in range(T, 80)]
    assert any(a != b for a, b in itertools.pairwise(plain))


def test_sets_that_differ_by_many_are_told_apart() -> None:
    node = Node()
    first, second = node.ask(set(range(100))), node.ask(set(range(200)))
    assert (first.at_least or 0) < (second.at_least or 0)


def test_nearness_does_not_drift_along_a_chain() -> None:
    """Only computed answers are compared with: a chain of small steps arrives at a true number."""
    node = Node()
    told = [node.ask(set(range(size))) for size in range(20, 120)]
    assert (told[-1].at_least or 0) >= 120 - 3 * T


def test_the_offset_depends_on_the_key() -> None:
    group = set(range(52))
    offsets = {Node(bytes([n]) * 32).ask(group).at_least for n in range(20)}
    assert len(offsets) > 1


def test_studies_are_compared_by_whose_they_are() -> None:
    """All studies of one person more or less change one bucket, however many they are."""
    base = pairs(set(range(30)), studies=2)
    more = sorted(base + [("su-0003", f"st-0003-x{n}") for n in range(9)])
    first, second = measure(KEY, base)[1], measure(KEY, more)[1]
    assert (first.count, second.count) == (60, 69)
    assert first.sketch.differing_buckets(second.sketch) == 1


def test_of_few_people_no_studies_are_told() -> None:
    studies = measure(KEY, pairs({1, 2}, studies=30))[1]
    assert tell(KEY, studies, T, []) == Told(T, fewer_than=T)

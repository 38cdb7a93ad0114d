"""Looking at studies, series and pictures: what each person sees, and what is traced."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from albufera.governance.model import Role
from albufera.kernel.actor import ANONYMOUS, Actor
from albufera.kernel.errors import Refusal
from albufera.kernel.outbox import events
from albufera.kernel.pages import PageRequest
from albufera.lake.model import Instance, SeriesQuery, StudyFilter
from albufera.lake.slices import frame_count, in_order, slices_of
from tests.ingest.dicoms import ct, write, write_study
from tests.nodes import Town, town

PAGE = PageRequest()
ALL = StudyFilter()
INDOORS = (Role.STEWARD, Role.PROJECT_ADMINISTRATOR)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    folder = tmp_path_factory.mktemp("lake")
    write_study(folder / "in", series=2, slices=5)
    for number in range(3):
        write(folder / "in" / f"p{number}", ct(f"HC-{number}", f"study {number}"))
    with town(folder / "home") as made:
        made.node.ingests.ingest_paths(
            made.people["LUNG", Role.STEWARD], "LUNG", "main", [folder / "in"], lambda a, b: None
        )
        yield made


@pytest.fixture
def steward(place: Town) -> Actor:
    return place.people["LUNG", Role.STEWARD]


def series_ids(place: Town) -> list[str]:
    """All series, those with most images first."""
    operator = place.operator
    found = place.node.lake.search_series(operator, SeriesQuery(), 100, 0)
    ordered = sorted(found, key=lambda pair: -pair[0].instance_count)
    return [series.series_id for series, _ in ordered]


def told(place: Town, verb: str) -> int:
    with place.node.database.read() as connection:
        query = sa.select(sa.func.count()).where(events.c.verb == verb)
        return int(connection.scalar(query) or 0)


def test_studies_are_listed_newest_first_by_pages(place: Town, steward: Actor) -> None:
    whole = place.node.lake.list_studies(steward, ALL, PAGE).items
    assert len(whole) == 4
    ids = [item.study.study_id for item in whole]
    assert ids == sorted(ids, reverse=True)
    first = place.node.lake.list_studies(steward, ALL, PageRequest(limit=3))
    rest = place.node.lake.list_studies(steward, ALL, PageRequest(first.next_after, 3))
    assert [*first.items, *rest.items] == whole
    assert rest.next_after is None


def test_filters(place: Town, steward: Actor) -> None:
    lake = place.node.lake
    whole = lake.list_studies(steward, ALL, PAGE).items
    subject = whole[0].study.subject
    mine = lake.list_studies(steward, StudyFilter(subject=subject), PAGE).items
    assert {item.study.subject for item in mine} == {subject}
    assert len(lake.list_studies(steward, StudyFilter(modality="CT"), PAGE).items) == 4
    assert not lake.list_studies(steward, StudyFilter(modality="MR"), PAGE).items
    assert len(lake.list_studies(steward, StudyFilter(text="chest"), PAGE).items) == 4
    for hostile in ("%", "_", "'; DROP TABLE series; --", "\\"):
        assert not lake.list_studies(steward, StudyFilter(text=hostile), PAGE).items
    assert not lake.list_studies(steward, StudyFilter(project_id="pr-x"), PAGE).items
    assert not lake.list_studies(steward, StudyFilter(collection_id="co-x"), PAGE).items


def test_a_study_with_its_series(place: Town, steward: Actor) -> None:
    whole = place.node.lake.list_studies(steward, ALL, PAGE).items
    largest = max(whole, key=lambda item: item.instance_count)
    before = told(place, "study.viewed")
    opened = place.node.lake.open_study(steward, largest.study.study_id)
    assert [series.instance_count for series in opened.series] == [5, 5]
    assert (largest.series_count, largest.instance_count) == (2, 10)
    assert told(place, "study.viewed") == before + 1


def test_slices_lie_in_the_order_of_the_body(place: Town, steward: Actor) -> None:
    """Instance Numbers of the files run against the positions: the positions count."""
    series = max(
        place.node.lake.search_series(steward, SeriesQuery(), 100, 0),
        key=lambda pair: pair[0].instance_count,
    )[0]
    _, instances = place.node.lake.show_series(steward, series.series_id)
    heights = [item.header["00200032"]["Value"][2] for item in instances]
    assert heights == [0, 2.5, 5, 7.5, 10]
    order = place.node.lake.slices(steward, series.series_id)
    assert [one.instance_uid for one in order] == [item.instance_uid for item in instances]


def test_pictures_are_drawn_and_traced_once_an_hour(place: Town, steward: Actor) -> None:
    series_id = series_ids(place)[0]
    before = told(place, "series.rendered")
    for number in (1, 2, 1):
        png = place.node.lake.picture(steward, series_id, number, (40, 400), 64)
        assert png.startswith(b"\x89PNG")
    assert told(place, "series.rendered") == before + 1
    for number in (0, 6, 10**6):
        with pytest.raises(Refusal) as refused:
            place.node.lake.picture(steward, series_id, number, None, 64)
        assert refused.value.code == "instance-not-found"


@pytest.mark.parametrize("role", Role)
def test_a_second_tenant_sees_nothing(place: Town, steward: Actor, role: Role) -> None:
    other, lake = place.people["BREAST", role], place.node.lake
    assert not lake.list_studies(other, ALL, PAGE).items
    assert not lake.search_studies(other, SeriesQuery(), 100, 0)
    assert not lake.search_series(other, SeriesQuery(), 100, 0)
    assert not lake.permitted_series(other, "series.view")
    study_id = lake.list_studies(steward, ALL, PAGE).items[0].study.study_id
    for series_id in series_ids(place):
        for look in (
            lambda s=series_id: lake.show_series(other, s),
            lambda s=series_id: lake.slices(other, s),
            lambda s=series_id: lake.picture(other, s, 1, None, 64),
            lambda: lake.open_study(other, study_id),
            lambda: lake.retrieve(other, [], None),
        ):
            with pytest.raises(Refusal) as refused:
                look()
            assert refused.value.error.status == 404


@pytest.mark.parametrize("role", Role)
def test_in_its_own_project_each_role_sees_its_part(place: Town, role: Role) -> None:
    actor, lake = place.people["LUNG", role], place.node.lake
    assert len(lake.list_studies(actor, ALL, PAGE).items) == (4 if role in INDOORS else 0)
    assert len(lake.permitted_series(actor, "series.view")) == (5 if role in INDOORS else 0)
    may_retrieve = role is Role.STEWARD
    assert len(lake.permitted_series(actor, "series.retrieve")) == (5 if may_retrieve else 0)


def test_retrieving_is_forbidden_to_who_may_only_look(place: Town) -> None:
    administrator = place.people["LUNG", Role.PROJECT_ADMINISTRATOR]
    with pytest.raises(Refusal) as refused:
        place.node.lake.retrieve(administrator, [], None)
    assert refused.value.code == "forbidden"


def test_anonymous_sees_nothing(place: Town) -> None:
    assert not place.node.lake.search_series(ANONYMOUS, SeriesQuery(), 100, 0)
    assert not place.node.lake.list_studies(ANONYMOUS, ALL, PAGE).items


def test_retrieving_is_traced_by_series(place: Town, steward: Actor) -> None:
    before = told(place, "series.retrieved")
    sent = list(place.node.lake.retrieve(steward, [], None))
    assert len(sent) == 13
    assert told(place, "series.retrieved") == before + 5


def _instance(uid: str, number: int | None, **header: list[object]) -> Instance:
    tags = {"position": "00200032", "orientation": "00200037", "frames": "00280008"}
    content = {tags[key]: {"vr": "DS", "Value": value} for key, value in header.items()}
    return Instance(uid, "c", "t", "0" * 64, 1, number, content)


def test_without_positions_the_instance_number_counts() -> None:
    mixed = [
        _instance("1.1", 3, position=[0, 0, 0], orientation=[1, 0, 0, 0, 1, 0]),
        _instance("1.2", 1),
        _instance("1.3", 2, position=["x"], orientation=[]),
    ]
    assert [item.number for item in in_order(mixed)] == [1, 2, 3]


def test_sagittal_slices_are_ordered_along_their_own_normal() -> None:
    planes = [
        _instance(f"1.{n}", None, position=[float(x), 50 - x, 9], orientation=[0, 1, 0, 0, 0, -1])
        for n, x in enumerate((5, -3, 1))
    ]
    ordered = [item.header["00200032"]["Value"][0] for item in in_order(planes)]
    assert ordered in ([-3, 1, 5], [5, 1, -3])


def test_every_frame_is_a_slice() -> None:
    order = slices_of([_instance("1.1", 1, frames=[3]), _instance("1.2", 2)])
    assert [(one.instance_uid, one.frame) for one in order] == [
        ("1.1", 0), ("1.1", 1), ("1.1", 2), ("1.2", 0),
    ]  # fmt: skip
    assert frame_count(_instance("1", 1, frames=[-5])) == 1
    assert frame_count(_instance("1", 1, frames=["many"])) == 1
    assert frame_count(_instance("1", 1, frames=[10**12])) == 100_000


_ANY = st.one_of(st.none(), st.integers(), st.floats(), st.text(max_size=5))


@given(st.lists(st.tuples(st.lists(_ANY, max_size=7), st.lists(_ANY, max_size=7)), max_size=6))
def test_any_header_can_be_ordered(headers: list[tuple[list[object], list[object]]]) -> None:
    instances = [
        _instance(f"1.{n}", None, position=position, orientation=orientation)
        for n, (position, orientation) in enumerate(headers)
    ]
    assert len(in_order(instances)) == len(instances)


def test_files_are_where_the_index_says(place: Town, steward: Actor) -> None:
    assert isinstance(place.node.home.lake, Path)
    for series, instance in place.node.lake.retrieve(steward, [], None):
        with place.node.lake.store.open(series.key(instance.instance_uid)) as file:
            assert len(file.read()) == instance.size

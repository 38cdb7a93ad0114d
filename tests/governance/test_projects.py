"""Projects, collections and roles, on both databases."""

import pytest

from albufera.governance.model import Role
from albufera.governance.policy import TablePolicy
from albufera.governance.projects import ProjectService
from albufera.identity.records import users
from albufera.kernel import clock
from albufera.kernel.actor import SYSTEM, Actor
from albufera.kernel.database import Database
from albufera.kernel.errors import Refusal
from albufera.kernel.outbox import events

ANNA, BERT = Actor("us-anna", "anna"), Actor("us-bert", "bert")


@pytest.fixture
def service(database: Database) -> ProjectService:
    for actor in (ANNA, BERT):
        with database.write() as connection:
            connection.execute(
                users.insert().values(
                    user_id=actor.user_id, username=actor.username, name="", email="",
                    organisation="", password_hash="", created_at=clock.now(), disabled=False,
                    is_operator=False,
                )
            )  # fmt: skip
    made = ProjectService(database, TablePolicy())
    made.create(SYSTEM, "LUNG", "Lung", "Cohort")
    made.create(SYSTEM, "BREAST")
    return made


def code_of(caught: pytest.ExceptionInfo[Refusal]) -> str:
    return caught.value.code


def test_a_new_project_has_a_main_collection(service: ProjectService) -> None:
    assert [c.code for c in service.collections(SYSTEM, "LUNG")] == ["main"]
    assert service.show(SYSTEM, "BREAST").name == "BREAST"
    with pytest.raises(Refusal) as caught:
        service.create(SYSTEM, "LUNG")
    assert code_of(caught) == "conflict"


@pytest.mark.parametrize(
    "code", ["", "l", "lung", "LUNG CANCER", "1A", "A" * 40, "LÚNG", "A\0B", "LUNG2\n"]
)
def test_codes_are_checked(service: ProjectService, code: str) -> None:
    with pytest.raises(Refusal) as caught:
        service.create(SYSTEM, code)
    assert code_of(caught) == "invalid-input"


def test_only_members_know_a_project(service: ProjectService) -> None:
    service.give_role(SYSTEM, "LUNG", "anna", Role.RESEARCHER)
    assert [p.code for p in service.list(ANNA)] == ["LUNG"]
    assert [p.code for p in service.list(SYSTEM)] == ["BREAST", "LUNG"]
    assert service.open(ANNA, "LUNG")[1] == ("view",)
    for code in ("BREAST", "NOWHERE"):
        with pytest.raises(Refusal) as caught:
            service.show(ANNA, code)
        assert code_of(caught) == "project-not-found"
    with pytest.raises(Refusal) as caught:
        service.members(ANNA, "LUNG")
    assert code_of(caught) == "forbidden"


def test_roles_are_given_and_taken_with_events(service: ProjectService) -> None:
    service.give_role(SYSTEM, "LUNG", "anna", Role.PROJECT_ADMINISTRATOR)
    service.give_role(ANNA, "LUNG", "bert", Role.STEWARD)
    service.give_role(ANNA, "LUNG", "bert", Role.STEWARD)
    assert [(m.username, m.role) for m in service.members(ANNA, "LUNG")] == [
        ("anna", Role.PROJECT_ADMINISTRATOR),
        ("bert", Role.STEWARD),
    ]
    assert service.roles_of(BERT) == [("LUNG", Role.STEWARD)]
    service.take_role(ANNA, "LUNG", "bert", Role.STEWARD)
    assert service.roles_of(BERT) == []
    with pytest.raises(Refusal) as caught:
        service.take_role(ANNA, "LUNG", "bert", Role.STEWARD)
    assert code_of(caught) == "not-found"
    with service.database.read() as connection:
        verbs = [row.verb for row in connection.execute(events.select())]
    assert verbs.count("project.role-given") == 2
    assert verbs.count("project.role-taken") == 1


def test_an_administrator_rules_their_own_project_only(service: ProjectService) -> None:
    service.give_role(SYSTEM, "LUNG", "anna", Role.PROJECT_ADMINISTRATOR)
    service.add_collection(ANNA, "LUNG", "screening")
    attempts = (
        lambda: service.give_role(ANNA, "BREAST", "anna", Role.STEWARD),
        lambda: service.add_collection(ANNA, "BREAST", "more"),
        lambda: service.collections(ANNA, "BREAST"),
        lambda: service.members(ANNA, "BREAST"),
    )
    for attempt in attempts:
        with pytest.raises(Refusal) as caught:
            attempt()
        assert code_of(caught) == "project-not-found"
    with pytest.raises(Refusal) as caught:
        service.create(ANNA, "MINE")
    assert code_of(caught) == "forbidden"


def test_unknown_people_and_collections(service: ProjectService) -> None:
    with pytest.raises(Refusal) as caught:
        service.give_role(SYSTEM, "LUNG", "nobody", Role.STEWARD)
    assert code_of(caught) == "user-not-found"
    for code in ("main", "Main", "", "x" * 40):
        with pytest.raises(Refusal):
            service.add_collection(SYSTEM, "LUNG", code)
    with service.database.read() as connection:
        project = service.show(SYSTEM, "LUNG")
        with pytest.raises(Refusal) as caught:
            service.resolve_collection(connection, project, "none")
    assert code_of(caught) == "collection-not-found"

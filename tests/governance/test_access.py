"""Applications, decisions and grants, on both databases."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest
from sqlalchemy.engine import Connection

from albufera.governance.access import AccessService, Terms
from albufera.governance.model import ApplicationState, Role
from albufera.governance.policy import TablePolicy
from albufera.governance.projects import ProjectService
from albufera.identity.records import users
from albufera.kernel import clock
from albufera.kernel.actor import ANONYMOUS, SYSTEM, Actor
from albufera.kernel.database import Database
from albufera.kernel.errors import Refusal
from albufera.kernel.outbox import events
from albufera.kernel.pages import PageRequest
from albufera.kernel.policy import Thing

ALL = PageRequest(None, 100)


class Shelf:
    """A double of the catalogue: three datasets of LUNG, by their state."""

    def __init__(self, project_id: str) -> None:
        self.project_id = project_id

    def dataset_thing(self, connection: Connection, dataset_id: str) -> Thing | None:
        states = {"ds-draft": "ready", "ds-open": "released", "ds-public": "published"}
        state = states.get(dataset_id)
        if state is None:
            return None
        return Thing("dataset", dataset_id, self.project_id, None, state)


@dataclass
class Office:
    """The service, and the people who come to it."""

    service: AccessService
    people: dict[str, Actor]

    def __getitem__(self, name: str) -> Actor:
        return self.people[name]

    def refused(self, what: object, code: str) -> None:
        assert callable(what)
        with pytest.raises(Refusal) as caught:
            what()
        assert caught.value.code == code, caught.value

    def may_use(self, name: str, dataset_id: str) -> bool:
        with self.service.database.read() as connection:
            thing = self.service.datasets.dataset_thing(connection, dataset_id)
            assert thing is not None
            return self.service.policy.may(connection, self.people[name], "dataset.use", thing)

    def verbs(self) -> list[str]:
        with self.service.database.read() as connection:
            return [row.verb for row in connection.execute(events.select())]


@pytest.fixture
def office(database: Database) -> Office:
    policy = TablePolicy()
    projects = ProjectService(database, policy)
    lung = projects.create(SYSTEM, "LUNG")
    projects.create(SYSTEM, "BREAST")
    roles = {
        "researcher": ("LUNG", Role.RESEARCHER),
        "committee": ("LUNG", Role.COMMITTEE_MEMBER),
        "second": ("LUNG", Role.COMMITTEE_MEMBER),
        "auditor": ("LUNG", Role.AUDITOR),
        "stranger": ("BREAST", Role.COMMITTEE_MEMBER),
    }
    people = {}
    for name, (code, role) in roles.items():
        with database.write() as connection:
            connection.execute(
                users.insert().values(
                    user_id=f"us-{name}", username=name, name=name, email="", organisation="",
                    password_hash="", is_operator=False, disabled=False, created_at=clock.now(),
                )
            )  # fmt: skip
        projects.give_role(SYSTEM, code, name, role)
        people[name] = Actor(f"us-{name}", name)
    return Office(AccessService(database, policy, Shelf(lung.project_id)), people)


def test_from_application_to_use_and_back(office: Office) -> None:
    service, researcher, committee = office.service, office["researcher"], office["committee"]
    made = service.apply(researcher, "ds-open", "  To learn.  ")
    assert (made.state, made.purpose) == (ApplicationState.SUBMITTED, "To learn.")
    assert not office.may_use("researcher", "ds-open")
    assert service.count_to_decide(committee) == 1
    terms = Terms(clock.now() + timedelta(days=30), "Cite it.")
    grant = service.approve(committee, made.application_id, "Sound.", terms)
    assert grant.active(clock.now())
    assert office.may_use("researcher", "ds-open")
    assert service.count_to_decide(committee) == 0
    found, allowed = service.application(researcher, made.application_id)
    assert (found.state, found.reason, allowed) == (ApplicationState.APPROVED, "Sound.", ("view",))
    service.revoke(committee, grant.grant_id)
    assert not office.may_use("researcher", "ds-open")
    office.refused(lambda: service.revoke(committee, grant.grant_id), "conflict")
    told = ["application.submitted", "application.decided", "grant.given", "grant.revoked"]
    assert [verb for verb in office.verbs() if verb in told] == told


def test_a_grant_ends_on_its_day(office: Office) -> None:
    service = office.service
    service.grant(office["committee"], "ds-open", "researcher", Terms())
    assert office.may_use("researcher", "ds-open")
    later = clock.now() + timedelta(days=366)

    class Later(clock.SystemClock):
        def now(self) -> datetime:
            return later

    with clock.installed(Later()):
        assert not office.may_use("researcher", "ds-open")


@pytest.mark.parametrize("days", [-1, 0, 5 * 366 + 2, 300_000])
def test_a_grant_ends_within_five_years(office: Office, days: int) -> None:
    terms = Terms(clock.now() + timedelta(days=days))
    office.refused(
        lambda: office.service.grant(office["committee"], "ds-open", "researcher", terms),
        "invalid-input",
    )
    assert office.service.grants(office["committee"], ALL).items == []


def test_nobody_decides_or_grants_for_themselves(office: Office) -> None:
    service, committee = office.service, office["committee"]
    made = service.apply(committee, "ds-open", "Mine").application_id
    assert service.count_to_decide(committee) == 0
    assert service.count_to_decide(office["second"]) == 1
    office.refused(lambda: service.approve(committee, made, "", Terms()), "forbidden")
    office.refused(lambda: service.reject(committee, made, "No"), "forbidden")
    office.refused(lambda: service.grant(committee, "ds-open", "committee", Terms()), "forbidden")
    service.approve(office["second"], made, "", Terms())
    assert office.may_use("committee", "ds-open")


def test_a_decision_is_made_once(office: Office) -> None:
    service, committee = office.service, office["committee"]
    made = service.apply(office["researcher"], "ds-open", "To learn")
    office.refused(lambda: service.apply(office["researcher"], "ds-open", "Again"), "conflict")
    office.refused(lambda: service.reject(committee, made.application_id, " "), "invalid-input")
    service.reject(committee, made.application_id, "Too vague")
    for again in (
        lambda: service.approve(committee, made.application_id, "", Terms()),
        lambda: service.reject(committee, made.application_id, "No"),
        lambda: service.withdraw(office["researcher"], made.application_id),
    ):
        office.refused(again, "wrong-state")
    assert service.apply(office["researcher"], "ds-open", "Better").state.value == "submitted"


def test_withdrawing_is_the_applicants_own(office: Office) -> None:
    service = office.service
    made = service.apply(office["researcher"], "ds-open", "To learn")
    office.refused(lambda: service.withdraw(office["committee"], made.application_id), "forbidden")
    assert service.withdraw(office["researcher"], made.application_id).state.value == "withdrawn"


def test_an_approval_with_wrong_terms_decides_nothing(office: Office) -> None:
    service = office.service
    made = service.apply(office["researcher"], "ds-open", "To learn")
    late = Terms(clock.now() - timedelta(days=1))
    office.refused(
        lambda: service.approve(office["committee"], made.application_id, "", late), "invalid-input"
    )
    found, _ = service.application(office["researcher"], made.application_id)
    assert found.state is ApplicationState.SUBMITTED


def test_who_may_ask_for_which_dataset(office: Office) -> None:
    service = office.service
    office.refused(lambda: service.apply(office["stranger"], "ds-open", "x"), "not-found")
    office.refused(lambda: service.apply(office["researcher"], "ds-draft", "x"), "not-found")
    office.refused(lambda: service.apply(office["researcher"], "ds-none", "x"), "not-found")
    office.refused(lambda: service.apply(ANONYMOUS, "ds-public", "x"), "not-signed-in")
    assert service.apply(office["stranger"], "ds-public", "x").state.value == "submitted"


def test_strangers_see_nothing_and_others_what_is_theirs(office: Office) -> None:
    service, stranger = office.service, office["stranger"]
    made = service.apply(office["researcher"], "ds-open", "To learn").application_id
    grant = service.grant(office["committee"], "ds-open", "auditor", Terms())
    assert service.applications(stranger, ALL).items == []
    assert service.grants(stranger, ALL).items == []
    office.refused(lambda: service.application(stranger, made), "application-not-found")
    office.refused(lambda: service.grant_of(stranger, grant.grant_id), "grant-not-found")
    office.refused(lambda: service.revoke(stranger, grant.grant_id), "grant-not-found")
    office.refused(lambda: service.approve(stranger, made, "", Terms()), "application-not-found")
    assert len(service.applications(office["auditor"], ALL).items) == 1
    assert [g.grant_id for g in service.own_grants(office["auditor"], ALL).items] == [
        grant.grant_id
    ]
    assert service.own_grants(office["researcher"], ALL).items == []
    assert service.grant_of(office["auditor"], grant.grant_id)[1] == ("view",)
    assert len(service.own_applications(office["researcher"], ALL).items) == 1


def test_lists_come_in_pages(office: Office) -> None:
    service = office.service
    for name in ("researcher", "auditor", "second"):
        service.apply(office[name], "ds-open", "x")
    first = service.applications(office["committee"], PageRequest(None, 2))
    rest = service.applications(office["committee"], PageRequest(first.next_after, 2))
    ids = [a.application_id for a in (*first.items, *rest.items)]
    assert len(ids) == 3
    assert ids == sorted(ids, reverse=True)
    assert rest.next_after is None

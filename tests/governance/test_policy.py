"""The policy against a second, naive reading of its table: every role × verb × state."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import product

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from albufera.governance.model import Role
from albufera.governance.policy import TablePolicy
from albufera.governance.records import grants, memberships, projects
from albufera.governance.rules import RULES, VERBS, VIEW_VERBS, Relation, Rule, Who
from albufera.identity.records import users
from albufera.kernel import clock
from albufera.kernel.actor import ANONYMOUS, SYSTEM, Actor
from albufera.kernel.database import Database
from albufera.kernel.errors import Refusal
from albufera.kernel.policy import Columns, Thing

HOME, AWAY = "pr-home", "pr-away"
STATES = tuple(sorted({state for rule in RULES for state in rule.states} | {"creating", "other"}))
GRANTED = ("th-granted",)
STALE = ("th-revoked", "th-expired", "th-not-begun")


@dataclass(frozen=True)
class Somebody:
    """An actor, and what the naive reading knows of them: roles at home, an active grant."""

    actor: Actor
    roles: frozenset[Role] = frozenset()
    has_grant: bool = False


PEOPLE = (
    *(Somebody(Actor(f"us-{role.value}", role.value), frozenset({role})) for role in Role),
    Somebody(Actor("us-two", "two"), frozenset({Role.STEWARD, Role.COMMITTEE_MEMBER})),
    Somebody(Actor("us-none", "none")),
    Somebody(Actor("us-grantee", "grantee"), has_grant=True),
    Somebody(Actor("us-operator", "operator", is_operator=True)),
    Somebody(ANONYMOUS),
)

things = sa.Table(
    "things_of_the_policy_test",
    sa.MetaData(),
    sa.Column("id", sa.String(80), primary_key=True),
    sa.Column("project_id", sa.String(40)),
    sa.Column("owner_id", sa.String(40)),
    sa.Column("state", sa.String(40)),
)
COLUMNS = Columns(things.c.id, things.c.project_id, things.c.owner_id, things.c.state)


def all_things(kind: str) -> list[Thing]:
    """Every combination of project, owner and state, and things that were granted."""
    owners = ("us-somebody", *(person.actor.user_id for person in PEOPLE if person.actor.user_id))
    combined = product((HOME, AWAY), owners, STATES)
    plain = [
        Thing(kind, f"th-{project}-{owner}-{state}", project, owner, state)
        for project, owner, state in combined
    ]
    granted = [
        Thing(kind, f"{name}-{state}", AWAY, "us-somebody", state)
        for name, state in product((*GRANTED, *STALE), STATES)
    ]
    return plain + granted


def naive_may(person: Somebody, verb: str, thing: Thing) -> bool:
    """Read the table as a person would, rule by rule, without SQL."""
    kind, _, name = verb.partition(".")
    rules = [rule for rule in RULES if rule.kind == kind and name in rule.verbs]
    return any(_applies(rule, person, thing) for rule in rules)


def _applies(rule: Rule, person: Somebody, thing: Thing) -> bool:
    if rule.states and thing.state not in rule.states:
        return False
    if rule.never_owner and thing.owner_id == person.actor.user_id:
        return False
    return any(_is(who, rule, person, thing) for who in rule.who)


def _is(who: Who, rule: Rule, person: Somebody, thing: Thing) -> bool:
    if who is Relation.ANYONE:
        return True
    if person.actor is ANONYMOUS:
        return False
    at_home = thing.project_id == HOME
    if isinstance(who, Role):
        return at_home and who in person.roles
    granted = rule.kind == "dataset" and thing.id.startswith(GRANTED[0])
    return {
        Relation.SIGNED_IN: True,
        Relation.MEMBER: at_home and bool(person.roles),
        Relation.OWNER: thing.owner_id == person.actor.user_id,
        Relation.GRANTEE: granted and person.has_grant,
        Relation.OPERATOR: person.actor.is_operator,
        Relation.ANYONE: True,
    }[who]


@pytest.fixture
def populated(database: Database) -> Iterator[Database]:
    now = clock.now()
    with database.write() as connection:
        things.create(connection)
        for project in (HOME, AWAY):
            connection.execute(
                projects.insert().values(
                    project_id=project, code=project.upper(), name="", description="",
                    created_at=now,
                )
            )  # fmt: skip
        for person in PEOPLE:
            if person.actor is ANONYMOUS:
                continue
            connection.execute(
                users.insert().values(
                    user_id=person.actor.user_id, username=person.actor.username, name="",
                    email="", organisation="", password_hash="", created_at=now, disabled=False,
                    is_operator=person.actor.is_operator,
                )
            )  # fmt: skip
            for role in person.roles:
                row = {"project_id": HOME, "user_id": person.actor.user_id, "role": role.value}
                connection.execute(memberships.insert().values(**row))
        _insert_grants(connection)
    yield database
    with database.write() as connection:
        things.drop(connection)


def _insert_grants(connection: sa.Connection) -> None:
    now, day = clock.now(), timedelta(days=1)
    periods = {
        "th-granted": (now - day, now + day, None),
        "th-revoked": (now - day, now + day, now),
        "th-expired": (now - 2 * day, now - day, None),
        "th-not-begun": (now + day, now + 2 * day, None),
    }
    for (name, (begin, end, revoked)), state in product(periods.items(), STATES):
        connection.execute(
            grants.insert().values(
                grant_id=f"gr-{name}-{state}"[:40], project_id=AWAY, user_id="us-grantee",
                dataset_id=f"{name}-{state}", conditions="", granted_by="us-operator",
                starts_at=begin, ends_at=end, revoked_at=revoked,
            )
        )  # fmt: skip


def test_which_rows_is_the_naive_reading_for_every_role_verb_and_state(populated: Database) -> None:
    policy = TablePolicy()
    rows = [
        {"id": t.id, "project_id": t.project_id, "owner_id": t.owner_id, "state": t.state}
        for t in all_things("any")
    ]
    with populated.write() as connection:
        connection.execute(things.insert(), rows)
    with populated.read() as connection:
        for verb, person in product(sorted(VERBS), PEOPLE):
            condition = policy.which(person.actor, verb, COLUMNS)
            found = set(connection.scalars(sa.select(things.c.id).where(condition)))
            kind = verb.partition(".")[0]
            expected = {t.id for t in all_things(kind) if naive_may(person, verb, t)}
            assert found == expected, (verb, person.actor.username)


@given(
    st.sampled_from(sorted(VERBS)),
    st.sampled_from(PEOPLE),
    st.sampled_from([HOME, AWAY, None]),
    st.sampled_from([p.actor.user_id for p in PEOPLE if p.actor.user_id] + ["us-somebody"]),
    st.sampled_from(STATES),
    st.sampled_from(["th-x", *(f"{n}-{s}" for n in (*GRANTED, *STALE) for s in STATES)]),
)
@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_may_and_which_agree(
    populated: Database,
    verb: str,
    person: Somebody,
    project: str | None,
    owner: str,
    state: str,
    name: str,
) -> None:
    policy = TablePolicy()
    thing = Thing(verb.partition(".")[0], name, project, owner, state)
    row = {"id": name, "project_id": project, "owner_id": owner, "state": state}
    with populated.write() as connection:
        connection.execute(things.delete())
        connection.execute(things.insert().values(**row))
        condition = policy.which(person.actor, verb, COLUMNS)
        listed = connection.scalars(sa.select(things.c.id).where(condition)).all() == [name]
        may = policy.may(connection, person.actor, verb, thing)
        allowed = verb.partition(".")[2] in policy.allowed(connection, person.actor, thing)
    assert listed == may == allowed == naive_may(person, verb, thing)


def test_refusals_hide_what_may_not_be_known(populated: Database) -> None:
    policy = TablePolicy()
    draft = Thing("dataset", "ds-1", HOME, "us-somebody", "ready")
    published = Thing("dataset", "ds-2", HOME, "us-somebody", "published")
    people = {person.actor.username: person.actor for person in PEOPLE}
    expected = {
        ("researcher", draft): "not-found",
        ("none", draft): "not-found",
        ("anonymous", draft): "not-signed-in",
        ("researcher", published): "forbidden",
        ("none", published): "forbidden",
        ("anonymous", published): "not-signed-in",
    }
    with populated.read() as connection:
        for (name, thing), code in expected.items():
            with pytest.raises(Refusal) as caught:
                policy.require(connection, people[name], "dataset.release", thing)
            assert caught.value.code == code, (name, thing.state)
        policy.require(connection, people["steward"], "dataset.release", draft)
        policy.require(connection, SYSTEM, "dataset.release", draft)


def test_an_unknown_verb_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(KeyError):
        TablePolicy().which(ANONYMOUS, "dataset.destroy", COLUMNS)


def test_every_verb_of_the_table_can_be_done_by_somebody_and_seen_by_all_who_do() -> None:
    for verb in VERBS:
        kind = verb.partition(".")[0]
        assert any(naive_may(p, verb, t) for p in PEOPLE for t in all_things(kind)), verb
        assert VIEW_VERBS.get(kind, f"{kind}.view") in VERBS or kind in {"user", "node"}, kind


def who_may(verb: str) -> set[Who]:
    kind, _, name = verb.partition(".")
    return {who for rule in RULES if rule.kind == kind and name in rule.verbs for who in rule.who}


def test_what_must_never_be_in_the_table() -> None:
    """Sentences of the product about who may not, held against the table itself."""
    public = {verb for verb in VERBS if Relation.ANYONE in who_may(verb)}
    assert public == {"dataset.view"}
    assert Role.RESEARCHER not in {who for rule in RULES for who in rule.who}
    assert who_may("series.retrieve") == {Role.STEWARD, Relation.OPERATOR}
    assert who_may("job.logs") == {Relation.OWNER}
    deciding = {"application.decide", "egress.review", "egress.inspect"}
    for rule in RULES:
        decides = deciding & {f"{rule.kind}.{verb}" for verb in rule.verbs}
        assert rule.never_owner == bool(decides), rule
    everywhere = {Relation.SIGNED_IN, Relation.ANYONE}
    open_to_all = {verb for verb in VERBS if who_may(verb) & everywhere}
    assert open_to_all <= {"dataset.view", "dataset.apply", "hub.query"}

"""Accounts and sessions: passwords, the rate limit of sign-ins, expiry, idling, decoys."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from albufera.governance.policy import TablePolicy
from albufera.identity import records
from albufera.identity.backends.argon2 import Argon2Hasher
from albufera.identity.model import (
    LOGIN_TRIES_PER_ADDRESS,
    LOGIN_TRIES_PER_NAME,
    LOGIN_WINDOW,
    SESSION_IDLE,
    SESSION_LIFETIME,
)
from albufera.identity.service import IdentityService
from albufera.kernel import clock
from albufera.kernel.actor import SYSTEM
from albufera.kernel.database import Database
from albufera.kernel.errors import Refusal
from albufera.kernel.outbox import events

PASSWORD = "correct horse battery"


@dataclass
class HandClock(clock.SystemClock):
    """A clock whose hands the test moves."""

    moment: datetime = field(default_factory=lambda: datetime(2026, 1, 1, tzinfo=UTC))

    def now(self) -> datetime:
        return self.moment


class CountingHasher(Argon2Hasher):
    """The real hasher, cheap, counting how often a password was verified."""

    def __init__(self) -> None:
        super().__init__(memory_kibibytes=64, passes=1)
        self.verified: list[str] = []

    def verify(self, stored: str, password: str) -> bool:
        self.verified.append(stored)
        return super().verify(stored, password)


@pytest.fixture
def hands() -> Iterator[HandClock]:
    made = HandClock()
    with clock.installed(made):
        yield made


@pytest.fixture
def service(database: Database, hands: HandClock) -> IdentityService:
    made = IdentityService(database, TablePolicy(), CountingHasher())
    made.create_user(SYSTEM, "anna", PASSWORD, name="Anna")
    return made


def refused(what: object, code: str) -> None:
    assert callable(what)
    with pytest.raises(Refusal) as caught:
        what()
    assert caught.value.code == code


def test_signing_in_opens_a_session_that_only_its_token_finds(service: IdentityService) -> None:
    token, session = service.sign_in("anna", PASSWORD, "192.0.2.1")
    found = service.session(token)
    assert found is not None
    assert (found.user.username, found.csrf_token) == ("anna", session.csrf_token)
    for wrong in ("", token[:-1], token.upper() + "x", "0" * 64):
        assert service.session(wrong) is None
    with service.database.read() as connection:
        stored = repr(connection.execute(records.sessions.select()).all())
        told = repr(connection.execute(events.select()).all())
    assert token not in stored + told
    assert PASSWORD not in stored + told


def test_a_session_ends_after_its_lifetime_however_busy(
    service: IdentityService, hands: HandClock
) -> None:
    token, _ = service.sign_in("anna", PASSWORD, "a")
    end = hands.moment + SESSION_LIFETIME
    while hands.moment + timedelta(hours=1) < end:
        hands.moment += timedelta(hours=1)
        assert service.session(token) is not None
    hands.moment = end + timedelta(seconds=1)
    assert service.session(token) is None


def test_a_session_ends_when_it_idles(service: IdentityService, hands: HandClock) -> None:
    token, _ = service.sign_in("anna", PASSWORD, "a")
    hands.moment += SESSION_IDLE - timedelta(seconds=1)
    assert service.session(token) is not None
    hands.moment += SESSION_IDLE - timedelta(seconds=1)
    assert service.session(token) is not None
    hands.moment += SESSION_IDLE + timedelta(seconds=1)
    assert service.session(token) is None


def test_signing_out_ends_the_session(service: IdentityService) -> None:
    token, _ = service.sign_in("anna", PASSWORD, "a")
    other, _ = service.sign_in("anna", PASSWORD, "a")
    service.sign_out(token)
    assert service.session(token) is None
    assert service.session(other) is not None
    service.sign_out("not a token")


@pytest.mark.parametrize("change", ["disable", "password"])
def test_closing_an_account_or_a_new_password_ends_all_sessions(
    service: IdentityService, change: str
) -> None:
    token, _ = service.sign_in("anna", PASSWORD, "a")
    if change == "disable":
        service.disable_user(SYSTEM, "anna")
        refused(lambda: service.sign_in("anna", PASSWORD, "a"), "bad-credentials")
    else:
        service.set_password(SYSTEM, "anna", "another long password")
        refused(lambda: service.sign_in("anna", PASSWORD, "a"), "bad-credentials")
        service.sign_in("anna", "another long password", "a")
    assert service.session(token) is None


def test_too_many_failures_close_the_name_for_a_while(
    service: IdentityService, hands: HandClock
) -> None:
    for n in range(LOGIN_TRIES_PER_NAME):
        refused(lambda n=n: service.sign_in("anna", "wrong", f"192.0.2.{n}"), "bad-credentials")
    refused(lambda: service.sign_in("anna", PASSWORD, "198.51.100.1"), "too-many-requests")
    hands.moment += LOGIN_WINDOW + timedelta(seconds=1)
    service.sign_in("anna", PASSWORD, "198.51.100.1")


def test_too_many_failures_close_the_address_for_every_name(service: IdentityService) -> None:
    for n in range(LOGIN_TRIES_PER_ADDRESS):
        refused(lambda n=n: service.sign_in(f"user{n}", "wrong", "192.0.2.1"), "bad-credentials")
    refused(lambda: service.sign_in("anna", PASSWORD, "192.0.2.1"), "too-many-requests")
    service.sign_in("anna", PASSWORD, "198.51.100.1")


def test_an_unknown_name_costs_a_verification_like_a_known_one(service: IdentityService) -> None:
    hasher = service.hasher
    assert isinstance(hasher, CountingHasher)
    hasher.verified.clear()
    refused(lambda: service.sign_in("anna", "wrong", "a"), "bad-credentials")
    refused(lambda: service.sign_in("nobody", "wrong", "a"), "bad-credentials")
    known, decoy = hasher.verified
    assert known != decoy
    assert known.split("$")[1:4] == decoy.split("$")[1:4], "the decoy must cost the same"


@pytest.mark.parametrize(
    ("username", "password"),
    [
        ("anna2", "short"), ("anna2", "x" * 11), ("anna2", "x" * 257), ("a", PASSWORD),
        ("Anna", PASSWORD), ("an na", PASSWORD), ("x" * 41, PASSWORD), ("ann\0a", PASSWORD),
        ("änna", PASSWORD), ("anna\n", PASSWORD),
    ],
)  # fmt: skip
def test_names_and_passwords_are_checked(
    service: IdentityService, username: str, password: str
) -> None:
    refused(lambda: service.create_user(SYSTEM, username, password), "invalid-input")


def test_accounts_are_the_operators(service: IdentityService) -> None:
    anna = service.user_named("anna").actor()
    bert = service.create_user(SYSTEM, "bert", PASSWORD).actor()
    refused(lambda: service.create_user(anna, "carl", PASSWORD), "forbidden")
    refused(lambda: service.list_users(anna), "forbidden")
    refused(lambda: service.disable_user(anna, "bert"), "forbidden")
    refused(lambda: service.set_password(anna, "bert", "taken over by anna"), "not-found")
    service.set_password(bert, "bert", "my own new password")
    refused(lambda: service.create_user(SYSTEM, "anna", PASSWORD), "username-taken")
    refused(lambda: service.user_named("nobody"), "user-not-found")
    assert [user.username for user in service.list_users(SYSTEM)] == ["anna", "bert"]


def test_the_hasher_salts_and_never_raises() -> None:
    hasher = Argon2Hasher(memory_kibibytes=64, passes=1)
    assert hasher.hash("x") != hasher.hash("x")
    assert hasher.verify(hasher.hash("x"), "x")
    assert not hasher.verify(hasher.hash("x"), "y")
    assert not hasher.verify("not a hash", "x")

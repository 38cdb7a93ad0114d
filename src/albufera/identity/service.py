"""Verbs of identity: accounts, signing in and out."""

import functools
import hashlib
from collections.abc import Collection, Sequence

import sqlalchemy as sa

from albufera.identity import records
from albufera.identity.events import (
    PasswordChanged,
    SignedIn,
    SignedOut,
    UserCreated,
    UserDisabled,
)
from albufera.identity.model import (
    BAD_CREDENTIALS,
    LOGIN_TRIES_PER_ADDRESS,
    LOGIN_TRIES_PER_NAME,
    SESSION_IDLE,
    SESSION_LIFETIME,
    USER_NOT_FOUND,
    USERNAME_TAKEN,
    Session,
    User,
    check_password,
    check_username,
)
from albufera.identity.ports import PasswordHasher
from albufera.kernel import clock
from albufera.kernel.actor import Actor
from albufera.kernel.database import Database
from albufera.kernel.errors import TOO_MANY_REQUESTS
from albufera.kernel.ids import new_id
from albufera.kernel.policy import Policy, Thing
from albufera.kernel.unit_of_work import UnitOfWork, unit_of_work

_NODE = Thing("user")


class IdentityService:
    """Accounts of this node, and who holds which session."""

    def __init__(self, database: Database, policy: Policy, hasher: PasswordHasher) -> None:
        self.database = database
        self.policy = policy
        self.hasher = hasher

    @functools.cached_property
    def _decoy(self) -> str:
        """A hash that no password fits: an unknown name costs the time of a known one."""
        return self.hasher.hash(clock.random_token())

    def create_user(
        self,
        actor: Actor,
        username: str,
        password: str,
        *,
        name: str = "",
        email: str = "",
        organisation: str = "",
        is_operator: bool = False,
    ) -> User:
        """Make an account. Raises `username-taken`, `invalid-input`."""
        check_username(username)
        check_password(password)
        hashed = self.hasher.hash(password)
        with unit_of_work(self.database, actor) as work:
            self.policy.require(work.connection, actor, "user.create", _NODE)
            if records.user_by_name(work.connection, username):
                raise USERNAME_TAKEN(f"The user name “{username}” is taken.")
            values = {
                "user_id": new_id("us"),
                "username": username,
                "name": name or username,
                "email": email,
                "organisation": organisation,
                "password_hash": hashed,
                "is_operator": is_operator,
                "disabled": False,
                "created_at": work.now(),
            }
            row = work.connection.execute(
                records.users.insert().values(**values).returning(records.users)
            ).one()
            work.record(UserCreated(user_id=row.user_id))
        return records.to_user(row)

    def set_password(self, actor: Actor, username: str, password: str) -> None:
        """Set a new password and end all sessions of that account."""
        check_password(password)
        hashed = self.hasher.hash(password)
        with unit_of_work(self.database, actor) as work:
            user = self._resolve(work, username)
            thing = Thing("user", id=user.user_id, owner_id=user.user_id)
            self.policy.require(work.connection, actor, "user.set-password", thing)
            table = records.users
            work.connection.execute(
                table.update().where(table.c.user_id == user.user_id).values(password_hash=hashed)
            )
            self._end_sessions(work, user.user_id)
            work.record(PasswordChanged(user_id=user.user_id))

    def disable_user(self, actor: Actor, username: str) -> None:
        """Close an account; its sessions end at once."""
        with unit_of_work(self.database, actor) as work:
            user = self._resolve(work, username)
            self.policy.require(work.connection, actor, "user.disable", _NODE)
            table = records.users
            work.connection.execute(
                table.update().where(table.c.user_id == user.user_id).values(disabled=True)
            )
            self._end_sessions(work, user.user_id)
            work.record(UserDisabled(user_id=user.user_id))

    def list_users(self, actor: Actor) -> Sequence[User]:
        """Return all accounts, by name."""
        with self.database.read() as connection:
            self.policy.require(connection, actor, "user.list", _NODE)
            rows = connection.execute(records.users.select().order_by(records.users.c.username))
            return [records.to_user(row) for row in rows]

    def user_named(self, username: str) -> User:
        """Return an account by name, for callers that have asked the policy. `user-not-found`."""
        with self.database.read() as connection:
            row = records.user_by_name(connection, username)
        if row is None:
            raise USER_NOT_FOUND(f"There is no user “{username}” here.")
        return records.to_user(row)

    def names_of(self, user_ids: Collection[str]) -> dict[str, str]:
        """Return the user names of accounts by identifier, for callers that asked the policy."""
        with self.database.read() as connection:
            return records.usernames(connection, user_ids)

    def sign_in(self, username: str, password: str, address: str) -> tuple[str, Session]:
        """Check a password and open a session; return its token and the session.

        Raises `bad-credentials`, or `too-many-requests` after repeated failures for the name or
        from the address. An unknown name costs the same time as a wrong password.
        """
        username = username[:64]
        with self.database.read() as connection:
            tries = records.recent_tries(connection, username, address, clock.now())
            row = records.user_by_name(connection, username)
        if tries[0] >= LOGIN_TRIES_PER_NAME or tries[1] >= LOGIN_TRIES_PER_ADDRESS:
            raise TOO_MANY_REQUESTS("Too many failed sign-ins. Wait ten minutes, then try again.")
        decoy = self._decoy
        stored = row.password_hash if row is not None else decoy
        matches = self.hasher.verify(stored, password)
        if row is None or row.disabled or not matches:
            self._remember_failure(username, address)
            raise BAD_CREDENTIALS()
        return self.open_session(records.to_user(row))

    def open_session(self, user: User) -> tuple[str, Session]:
        """Open a session for a person whose identity has been established."""
        token, csrf = clock.random_token(), clock.random_token()
        with unit_of_work(self.database, user.actor()) as work:
            expires = work.now() + SESSION_LIFETIME
            work.connection.execute(
                records.sessions.insert().values(
                    token_hash=_hash(token),
                    user_id=user.user_id,
                    csrf_token=csrf,
                    created_at=work.now(),
                    seen_at=work.now(),
                    expires_at=expires,
                )
            )
            work.record(SignedIn(user_id=user.user_id))
        return token, Session(user, csrf, expires)

    def session(self, token: str) -> Session | None:
        """Return the live session of a token, or None. Keeps the session from going idle."""
        if not token:
            return None
        moment = clock.now()
        with self.database.read() as connection:
            row = records.session_with_user(connection, _hash(token))
        if row is None or row.disabled or row.expires_at < moment:
            return None
        if row.seen_at < moment - SESSION_IDLE:
            return None
        if (moment - row.seen_at).total_seconds() > 60:  # noqa: PLR2004 - a minute's grain
            self._touch(_hash(token))
        return Session(records.to_user(row), row.csrf_token, row.expires_at)

    def sign_out(self, token: str) -> None:
        """End a session."""
        session = self.session(token)
        if session is None:
            return
        with unit_of_work(self.database, session.user.actor()) as work:
            table = records.sessions
            work.connection.execute(table.delete().where(table.c.token_hash == _hash(token)))
            work.record(SignedOut(user_id=session.user.user_id))

    def _touch(self, token_hash: str) -> None:
        table = records.sessions
        with self.database.write() as connection:
            connection.execute(
                table.update().where(table.c.token_hash == token_hash).values(seen_at=clock.now())
            )

    def _remember_failure(self, username: str, address: str) -> None:
        with self.database.write() as connection:
            connection.execute(
                records.login_tries.insert().values(
                    try_id=new_id("lt"), at=clock.now(), username=username, address=address[:64]
                )
            )

    def _resolve(self, work: UnitOfWork, username: str) -> User:
        row = records.user_by_name(work.connection, username)
        if row is None:
            raise USER_NOT_FOUND(f"There is no user “{username}” here.")
        return records.to_user(row)

    @staticmethod
    def _end_sessions(work: UnitOfWork, user_id: str) -> None:
        mine: sa.ColumnElement[bool] = records.sessions.c.user_id == user_id
        work.connection.execute(records.sessions.delete().where(mine))


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()

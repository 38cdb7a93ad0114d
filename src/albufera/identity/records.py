"""Tables of accounts and sessions."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from albufera.identity.model import LOGIN_WINDOW, User
from albufera.kernel.database import Instant, metadata

users = sa.Table(
    "users",
    metadata,
    sa.Column("user_id", sa.String(40), primary_key=True),
    sa.Column("username", sa.String(40), nullable=False, unique=True),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("email", sa.String(200), nullable=False),
    sa.Column("organisation", sa.String(200), nullable=False),
    sa.Column("password_hash", sa.String(200), nullable=False),
    sa.Column("is_operator", sa.Boolean, nullable=False),
    sa.Column("disabled", sa.Boolean, nullable=False),
    sa.Column("created_at", Instant, nullable=False),
)

sessions = sa.Table(
    "sessions",
    metadata,
    sa.Column("token_hash", sa.String(64), primary_key=True),
    sa.Column("user_id", sa.ForeignKey("users.user_id"), nullable=False, index=True),
    sa.Column("csrf_token", sa.String(64), nullable=False),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("seen_at", Instant, nullable=False),
    sa.Column("expires_at", Instant, nullable=False),
)

login_tries = sa.Table(
    "login_tries",
    metadata,
    sa.Column("try_id", sa.String(40), primary_key=True),
    sa.Column("at", Instant, nullable=False, index=True),
    sa.Column("username", sa.String(64), nullable=False),
    sa.Column("address", sa.String(64), nullable=False),
)


def to_user(row: Row[Any]) -> User:
    """Make a user of a row of `users`."""
    return User(
        user_id=row.user_id,
        username=row.username,
        name=row.name,
        email=row.email,
        organisation=row.organisation,
        is_operator=row.is_operator,
        disabled=row.disabled,
        created_at=row.created_at,
    )


def user_by_name(connection: Connection, username: str) -> Row[Any] | None:
    """Return the row of a user by name."""
    return connection.execute(users.select().where(users.c.username == username)).one_or_none()


def user_by_id(connection: Connection, user_id: str) -> Row[Any] | None:
    """Return the row of a user by id."""
    return connection.execute(users.select().where(users.c.user_id == user_id)).one_or_none()


def usernames(connection: Connection, user_ids: Collection[str]) -> dict[str, str]:
    """Return the names of users by id; unknown ids are left out."""
    wanted = sa.select(users.c.user_id, users.c.username).where(users.c.user_id.in_(user_ids))
    return {row.user_id: row.username for row in connection.execute(wanted)}


def recent_tries(
    connection: Connection, username: str, address: str, now: datetime
) -> tuple[int, int]:
    """Count the failed sign-ins of the window: (for this name, from this address)."""
    recent = login_tries.c.at > now - LOGIN_WINDOW
    count = sa.func.count()
    by_name = sa.select(count).where(recent, login_tries.c.username == username)
    by_address = sa.select(count).where(recent, login_tries.c.address == address)
    row = connection.execute(
        sa.select(by_name.scalar_subquery(), by_address.scalar_subquery())
    ).one()
    return row[0], row[1]


def session_with_user(connection: Connection, token_hash: str) -> Row[Any] | None:
    """Return a session joined with its user."""
    return connection.execute(
        sa.select(sessions, users)
        .join(users, users.c.user_id == sessions.c.user_id)
        .where(sessions.c.token_hash == token_hash)
    ).one_or_none()

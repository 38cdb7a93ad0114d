"""Users, sessions and the rules of their names and passwords."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from albufera.kernel.actor import Actor
from albufera.kernel.errors import INVALID, define

USERNAME = re.compile(r"^[a-z][a-z0-9._-]{1,39}\Z")
MIN_PASSWORD = 12
MAX_PASSWORD = 256
SESSION_LIFETIME = timedelta(hours=12)
SESSION_IDLE = timedelta(hours=2)

LOGIN_WINDOW = timedelta(minutes=10)
LOGIN_TRIES_PER_NAME = 8
LOGIN_TRIES_PER_ADDRESS = 40

BAD_CREDENTIALS = define(
    "bad-credentials",
    401,
    "User name and password do not match.",
    "Check both; an operator can set a new password with `albufera user password`.",
)
USER_NOT_FOUND = define(
    "user-not-found", 404, "There is no such user here.", "`albufera user list` shows the users."
)
USERNAME_TAKEN = define(
    "username-taken", 409, "That user name is taken.", "Choose another user name."
)


@dataclass(frozen=True)
class User:
    """A person with an account on this node."""

    user_id: str
    username: str
    name: str
    email: str
    organisation: str
    is_operator: bool
    disabled: bool
    created_at: datetime

    def actor(self) -> Actor:
        """Return this person as the actor of a call."""
        return Actor(self.user_id, self.username, is_operator=self.is_operator)


@dataclass(frozen=True)
class Session:
    """A signed-in browser or program. The token itself is known to the caller alone."""

    user: User
    csrf_token: str
    expires_at: datetime


def check_username(username: str) -> None:
    """Raise `invalid-input` unless the name is 2–40 characters a–z, 0–9, dot, dash, underscore."""
    if not USERNAME.match(username):
        raise INVALID(
            "A user name has 2 to 40 characters: it begins with a letter a–z and goes on with "
            "letters, digits, dots, dashes or underscores.",
            field="username",
        )


def check_password(password: str) -> None:
    """Raise `invalid-input` unless the password is 12–256 characters long."""
    if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
        raise INVALID(
            f"A password has {MIN_PASSWORD} to {MAX_PASSWORD} characters.", field="password"
        )

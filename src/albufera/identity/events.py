"""What identity announces."""

from dataclasses import dataclass
from typing import ClassVar

from albufera.kernel.events import Event


@dataclass(frozen=True, kw_only=True)
class UserCreated(Event):
    """An account was made."""

    verb: ClassVar[str] = "user.created"
    user_id: str


@dataclass(frozen=True, kw_only=True)
class PasswordChanged(Event):
    """An account got a new password."""

    verb: ClassVar[str] = "user.password-changed"
    user_id: str


@dataclass(frozen=True, kw_only=True)
class UserDisabled(Event):
    """An account was closed; its sessions ended."""

    verb: ClassVar[str] = "user.disabled"
    user_id: str


@dataclass(frozen=True, kw_only=True)
class SignedIn(Event):
    """Somebody signed in."""

    verb: ClassVar[str] = "user.signed-in"
    user_id: str


@dataclass(frozen=True, kw_only=True)
class SignedOut(Event):
    """Somebody signed out."""

    verb: ClassVar[str] = "user.signed-out"
    user_id: str

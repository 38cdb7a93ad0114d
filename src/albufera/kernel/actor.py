"""Who is acting."""

from dataclasses import dataclass
from enum import StrEnum


class ActorKind(StrEnum):
    """What sort of actor makes a call."""

    PERSON = "person"
    ANONYMOUS = "anonymous"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class Actor:
    """The caller of a verb. What the actor may do is the policy's answer, never the actor's.

    `is_operator` is the one node-wide power; every other role is held in a project.
    """

    user_id: str
    username: str
    kind: ActorKind = ActorKind.PERSON
    is_operator: bool = False


ANONYMOUS = Actor(user_id="", username="anonymous", kind=ActorKind.ANONYMOUS)
"""Somebody who has not signed in."""

SYSTEM = Actor(user_id="system", username="system", kind=ActorKind.SYSTEM)
"""The node itself, finishing in the background what a person has asked for."""

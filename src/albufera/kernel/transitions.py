"""State machines as tables: state × event → state."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Generic, TypeVar

from albufera.kernel.errors import WRONG_STATE

S = TypeVar("S", bound=StrEnum)


class Transitions(Generic[S]):
    """A transition table of one kind of thing.

    >>> Transitions("door", {(Door.SHUT, "open"): Door.OPEN}).after(Door.SHUT, "open")
    """

    def __init__(self, thing: str, table: Mapping[tuple[S, str], S]) -> None:
        self.thing = thing
        self.table = dict(table)

    def allowed(self, state: S) -> tuple[str, ...]:
        """Return the events that this state takes, in the order of the table."""
        return tuple(event for (before, event) in self.table if before == state)

    def after(self, state: S, event: str) -> S:
        """Return the state after `event`. Raises `wrong-state`, saying what would be allowed."""
        if (state, event) in self.table:
            return self.table[state, event]
        options = ", ".join(self.allowed(state)) or "nothing more"
        raise WRONG_STATE(
            f"This {self.thing} is {state.value}: it cannot be changed by “{event}”. "
            f"In this state it allows: {options}.",
            state=state.value,
            allowed=list(self.allowed(state)),
        )

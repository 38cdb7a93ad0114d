"""Events: facts that a domain announces, made of identifiers, digests and counts only.

An event class is a frozen dataclass with a `verb`; it is recorded in the unit of work that did
what it says, and from there it reaches the trace. Clinical values, names and free text have no
place in one: fields are strings (identifiers, digests, codes) and integers (counts, sizes).
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import ClassVar

MAX_SUBJECT = 256
MAX_NUMBER = 2**53 - 1

_registry: dict[str, type["Event"]] = {}
REGISTRY: Mapping[str, type["Event"]] = MappingProxyType(_registry)
"""Every event class of the product by its verb."""


@dataclass(frozen=True, kw_only=True)
class Event:
    """Base of all events. `project_id` is None for what concerns the whole node."""

    verb: ClassVar[str] = ""
    project_id: str | None = None

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        if not cls.verb:
            raise TypeError(f"{cls.__name__} has no verb")
        if _registry.setdefault(cls.verb, cls).__qualname__ != cls.__qualname__:
            raise TypeError(f"two events have the verb {cls.verb!r}")

    def subjects(self) -> dict[str, str | int]:
        """Return what the event is about: every field but the project, Nones left out."""
        pairs = ((field.name, getattr(self, field.name)) for field in fields(self))
        found = {k: v for k, v in pairs if k != "project_id" and v is not None}
        for name, value in found.items():
            _check_subject(self.verb, name, value)
        return found


def _check_subject(verb: str, name: str, value: object) -> None:
    """Raise ValueError for what the log could not take: only visible ASCII and whole numbers."""
    if isinstance(value, str):
        fine = len(value) <= MAX_SUBJECT and value.isascii() and (value + "x").isprintable()
        fine = fine and " " not in value
    else:
        fine = type(value) is int and abs(value) <= MAX_NUMBER
    if not fine:
        raise ValueError(f"the event {verb} carries in {name!r} what is no identifier or count")

"""Events: facts that a domain announces, made of identifiers, digests and counts only.

An event class is a frozen dataclass with a `verb`; it is recorded in the unit of work that did
what it says, and from there it reaches the trace. Clinical values, names and free text have no
place in one: fields are strings (identifiers, digests, codes) and integers (counts, sizes).
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import ClassVar

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
        return {k: v for k, v in pairs if k != "project_id" and v is not None}

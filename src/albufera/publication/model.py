"""What the public may know of a dataset, and the life of its identifier."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from urllib.parse import quote

from albufera.kernel.errors import define
from albufera.kernel.transitions import Transitions

MAX_IDENTIFIER = 200
_IDENTIFIER = re.compile(r"^[A-Za-z0-9][A-Za-z0-9:/._-]{2,199}$")
_SPDX_PAGE = "https://spdx.org/licenses/"


class IdentifierState(StrEnum):
    """Where an identifier is in its life."""

    RESERVED = "reserved"
    REGISTERED = "registered"
    TOMBSTONED = "tombstoned"


IDENTIFIER_LIFE = Transitions(
    "identifier",
    {
        (IdentifierState.RESERVED, "register"): IdentifierState.REGISTERED,
        (IdentifierState.REGISTERED, "update"): IdentifierState.REGISTERED,
        (IdentifierState.REGISTERED, "tombstone"): IdentifierState.TOMBSTONED,
    },
)
"""Reserved → registered → tombstoned. None is ever deleted, or given to another dataset."""

IDENTIFIER_NOT_FOUND = define(
    "identifier-not-found",
    404,
    "This node has not registered such an identifier.",
    "Compare it with the citation, letter by letter.",
)
CITATION_NOT_READY = define(
    "citation-not-ready",
    409,
    "The dataset's identifier is not in the log yet.",
    "Wait some seconds, then ask again: the worker registers it and the log takes it in.",
)
CITATION_INVALID = define(
    "citation-invalid",
    422,
    "The citation does not prove what it says.",
    "Fetch the bundle again from the node, and compare the key's fingerprint with its operator.",
)


class CitationError(Exception):
    """A citation bundle is malformed, was changed, or contradicts itself."""


@dataclass(frozen=True)
class Publisher:
    """The node that publishes: its name, and the address under which others reach it."""

    name: str
    url: str

    def page(self, dataset_id: str) -> str:
        """Return the address of a dataset's landing page."""
        return f"{self.url.rstrip('/')}/datasets/{dataset_id}"

    def resolver(self, identifier: str) -> str:
        """Return the address that leads from an identifier to the landing page."""
        return f"{self.url.rstrip('/')}/id/{identifier}"


@dataclass(frozen=True)
class PublicVersion:
    """One version of a dataset that the public may know of."""

    dataset_id: str
    version: int
    state: str
    identifier: str | None
    url: str
    published_at: datetime


@dataclass(frozen=True)
class PublicDataset:
    """A published dataset, or the tombstone of one that was, as anybody may see it.

    `aggregate` went through `disclosure.public_aggregate`; it is empty on a tombstone. `versions`
    are those that were published, the first first. `identifier` is None until it is registered,
    and `resolver` is the address that it resolves under.
    """

    dataset_id: str
    project_id: str
    project: str
    project_name: str
    publisher: Publisher
    version: int
    state: str
    name: str
    description: str
    purpose: str
    licence: str
    contact: str
    aggregate: Mapping[str, Any]
    root: str
    manifest_sha256: str
    manifest_size: int
    identifier: str | None
    released_at: datetime
    published_at: datetime
    invalidated_at: datetime | None
    reason: str
    versions: tuple[PublicVersion, ...]

    @property
    def is_tombstone(self) -> bool:
        """Whether the dataset was invalidated after it had been published."""
        return self.invalidated_at is not None

    @property
    def url(self) -> str:
        """The address of the landing page."""
        return self.publisher.page(self.dataset_id)

    @property
    def resolver(self) -> str:
        """The address to cite: the identifier's if there is one, else the landing page's."""
        return self.publisher.resolver(self.identifier) if self.identifier else self.url

    @property
    def creator(self) -> str:
        """Whose dataset it is: the project, by its name."""
        return self.project_name or self.project

    @property
    def licence_url(self) -> str | None:
        """The licence's address, in ASCII: its own, or its page at SPDX."""
        return licence_url(self.licence)

    @property
    def previous(self) -> PublicVersion | None:
        """The version before, if the public knows one."""
        return max(
            (v for v in self.versions if v.version < self.version), key=_number, default=None
        )

    @property
    def next(self) -> PublicVersion | None:
        """The version after, if the public knows one."""
        return min(
            (v for v in self.versions if v.version > self.version), key=_number, default=None
        )

    @property
    def successor(self) -> PublicVersion | None:
        """The newest later version that is still valid: what to use instead."""
        valid = (v for v in self.versions if v.version > self.version and v.state == "published")
        return max(valid, key=_number, default=None)


def licence_url(licence: str) -> str | None:
    """Return the address of a licence given as an SPDX identifier or an address; None for none."""
    if not licence:
        return None
    if licence.startswith(("http://", "https://")):
        return quote(licence, safe=":/?#[]@!$&'()*+,;=%-._~")
    return f"{_SPDX_PAGE}{quote(licence)}.html"


def is_identifier(text: str) -> bool:
    """Tell whether a text has the form of an identifier (whoever registered it)."""
    return _IDENTIFIER.match(text) is not None


def _number(version: PublicVersion) -> int:
    return version.version

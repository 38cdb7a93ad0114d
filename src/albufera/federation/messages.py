"""What nodes and hub say to each other: the forms of their signed messages, and nothing else.

Every field is listed here, bounded and typed; a message with any other field is refused. So a node
cannot send rows about subjects even by mistake: there is no field for them.
"""

import re
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)
from pydantic.alias_generators import to_camel

from albufera.federation.model import (
    BAD_MESSAGE,
    FRESHNESS,
    STALE_MESSAGE,
    WRONG_ADDRESSEE,
    Told,
)
from albufera.kernel.ids import is_id
from albufera.kernel.signing import Message

PROTOCOL = "albufera-federation/1"
MAX_MESSAGE_BYTES = 1024 * 1024
MAX_OFFERS = 25
MAX_QUESTIONS = 20
MAX_VALUES = 200
"""Most values of one distribution."""

Kind = Literal["enrolments", "offers", "polls", "answers", "departures"]
KINDS: tuple[Kind, ...] = ("enrolments", "offers", "polls", "answers", "departures")
FACETS = ("modality", "bodyPart", "sex", "age", "diagnosis", "manufacturer", "year")
"""The distributions that an offer may hold, in the order in which pages show them."""

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_MARKUP = re.compile(r"<(?=[A-Za-z/!?])")


def plain(text: str) -> str:
    """Return the text. Raises ValueError for control characters and for markup."""
    if _CONTROL.search(text):
        raise ValueError("contains characters that are not text")
    if _MARKUP.search(text):
        raise ValueError("contains markup; plain text is expected")
    return text


def _line(text: str) -> str:
    if "\n" in text or "\r" in text:
        raise ValueError("is one line")
    return plain(text)


def as_plain(text: str, limit: int) -> str:
    """Make any text one that `plain` accepts, at most `limit` characters long."""
    return _MARKUP.sub("< ", _CONTROL.sub(" ", text))[:limit]


def _dataset_id(text: str) -> str:
    if not is_id(text, "ds"):
        raise ValueError("is no identifier of a dataset")
    return text


Short = Annotated[str, StringConstraints(max_length=300), AfterValidator(_line)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(_line)]
LongText = Annotated[str, StringConstraints(max_length=8000), AfterValidator(plain)]
Url = Annotated[str, StringConstraints(max_length=300, pattern=r"^https?://[^\s<>\"'\\]{3,290}$")]
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Stamp = Annotated[str, StringConstraints(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")]
Identifier = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,4}-[0-9a-z]{26}$")]
DatasetId = Annotated[str, AfterValidator(_dataset_id)]
Threshold = Annotated[int, Field(ge=2, le=1000)]
Count = Annotated[int, Field(ge=0, le=2**53 - 1)]


class Wire(BaseModel):
    """Base of what a message holds: strict types, camelCase names, nothing beyond the fields."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="forbid",
        frozen=True,
        strict=True,
        hide_input_in_errors=True,
    )

    def wire(self) -> dict[str, Any]:
        """Return the JSON form."""
        return self.model_dump(mode="json", by_alias=True)


class Enrolment(Wire):
    """A node asks to be enrolled. The token proves that the hub's operator invited it."""

    token: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32,128}$")]
    name: Name
    url: Url
    contact: Short
    vkey: Annotated[str, StringConstraints(min_length=40, max_length=400)]
    threshold: Threshold


class Enrolled(Wire):
    """The hub's answer: what the node is called there."""

    node_id: Identifier
    name: Name
    hub_name: Name


class TellCount(Wire):
    """A count as it may leave a node."""

    resolution: Threshold
    at_least: Count | None
    fewer_than: Count | None

    @model_validator(mode="after")
    def _rounded(self) -> "TellCount":
        """Whatever the sender's code does, nothing finer than its resolution is taken in."""
        if (self.at_least is None) == (self.fewer_than is None):
            raise ValueError("a count is told either as at least, or as fewer than")
        if self.at_least is not None and (
            self.at_least < self.resolution or self.at_least % self.resolution
        ):
            raise ValueError("a count is a multiple of its resolution")
        if self.fewer_than not in {None, self.resolution}:
            raise ValueError("few are told by the threshold alone")
        return self

    @classmethod
    def of(cls, told: Told) -> "TellCount":
        """Make the wire form."""
        return cls(resolution=told.resolution, at_least=told.at_least, fewer_than=told.fewer_than)

    def told(self) -> Told:
        """Return the noun."""
        return Told(self.resolution, self.at_least, self.fewer_than)


class Share(Wire):
    """How many subjects have a value; `at_least` none means too few to be told."""

    value: Name
    at_least: Count | None


class DatasetOffer(Wire):
    """The public metadata of one dataset. Nothing else about it ever reaches the hub."""

    dataset_id: DatasetId
    title: Name
    description: LongText
    version: Annotated[int, Field(ge=1, le=1_000_000)]
    state: Literal["published", "invalidated"]
    reason: LongText
    licence: Short
    contact: Short
    pid: Short
    landing_url: Url
    manifest_root: Digest
    published_at: Stamp
    invalidated_at: Stamp | None
    subjects: TellCount
    studies: TellCount | None
    series: Count | None
    images: Count | None
    byte_count: Count | None
    distributions: dict[
        Annotated[str, StringConstraints(max_length=40)],
        Annotated[list[Share], Field(max_length=MAX_VALUES)],
    ]

    @model_validator(mode="after")
    def _known_and_rounded(self) -> "DatasetOffer":
        unknown = set(self.distributions) - set(FACETS)
        if unknown:
            raise ValueError(f"distributions are of {', '.join(FACETS)}")
        step = self.subjects.resolution
        for shares in self.distributions.values():
            told = [share.at_least for share in shares if share.at_least is not None]
            if any(count < step or count % step for count in told):
                raise ValueError("a distribution's counts are multiples of the resolution")
        if self.subjects.at_least is None and (self.series, self.images) != (None, None):
            raise ValueError("of a dataset of few subjects no other count is told")
        return self


class OfferBatch(Wire):
    """Some offers; each is checked by itself, so that one bad offer holds up no other."""

    offers: Annotated[list[dict[str, Any]], Field(max_length=MAX_OFFERS)]


class OfferReceipt(Wire):
    """What the hub holds now, by digest, and what it refused, with the reason."""

    accepted: dict[DatasetId, Digest]
    refused: dict[DatasetId, Short]


class Poll(Wire):
    """A node asks whether there are questions, and says by what threshold it answers."""

    threshold: Threshold


class Question(Wire):
    """A question of a user of the hub. `asker` is a pseudonym that only the hub can resolve."""

    query_id: Identifier
    expression: dict[str, Any]
    digest: Digest
    asker: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16,64}$")]
    asked_at: Stamp
    deadline: Stamp


class QuestionBatch(Wire):
    """The questions that wait for this node."""

    questions: Annotated[list[Question], Field(max_length=MAX_QUESTIONS)]


class Answer(Wire):
    """A node's answer to one question."""

    query_id: Identifier
    digest: Digest
    outcome: Literal["answered", "not-understood", "refused"]
    subjects: TellCount | None
    studies: TellCount | None
    note: Short

    @model_validator(mode="after")
    def _complete(self) -> "Answer":
        if (self.outcome == "answered") != (self.subjects is not None):
            raise ValueError("an answer has a count; what is no answer has none")
        return self


class AnswerBatch(Wire):
    """Some answers."""

    answers: Annotated[list[Answer], Field(max_length=MAX_QUESTIONS)]


class AnswerReceipt(Wire):
    """The queries whose answers need not be sent again."""

    taken: Annotated[list[Identifier], Field(max_length=MAX_QUESTIONS)]


class Departure(Wire):
    """A node leaves the federation."""


class Done(Wire):
    """Nothing more to say."""


class Introduction(Wire):
    """What a hub says of itself, unsigned: the fingerprint is for a person to compare."""

    protocol: Literal["albufera-federation/1"]
    name: Name
    url: Url
    vkey: Annotated[str, StringConstraints(min_length=40, max_length=400)]
    fingerprint: Annotated[str, StringConstraints(max_length=60)]


def compose(kind: Kind, to: str, body: Wire, *, re: str = "") -> dict[str, object]:
    """Return the payload to sign: `to` is the addressee's fingerprint, `re` the nonce answered."""
    return {"protocol": PROTOCOL, "kind": kind, "to": to, "re": re, "body": body.wire()}


def check_payload(
    message: Message, kind: Kind, to: str, now: datetime, *, re: str = ""
) -> dict[str, Any]:
    """Return the body of a verified message that is for us, of this kind, and fresh.

    Raises `federation-bad-message`, `federation-wrong-addressee`, `federation-stale-message`.
    """
    payload = message.payload
    if set(payload) != {"protocol", "kind", "to", "re", "body"}:
        raise BAD_MESSAGE("The payload has other fields than the protocol's.")
    if payload["protocol"] != PROTOCOL:
        raise BAD_MESSAGE(f"This side speaks {PROTOCOL}.")
    if payload["to"] != to:
        raise WRONG_ADDRESSEE()
    if payload["kind"] != kind or payload["re"] != re:
        raise BAD_MESSAGE("The message was meant for another place in the conversation.")
    if abs(message.at - now) > FRESHNESS:
        minutes = int(FRESHNESS.total_seconds() // 60)
        raise STALE_MESSAGE(
            f"The message was signed at {message.at:%Y-%m-%d %H:%M:%S} UTC; here it is "
            f"{now:%H:%M:%S}. More than {minutes} minutes apart is not accepted."
        )
    body = payload["body"]
    if not isinstance(body, dict):
        raise BAD_MESSAGE("The body of a message is an object.")
    return body


def first_complaint(failure: ValidationError) -> str:
    """Say what is wrong with a message, without repeating what it held."""
    error = failure.errors(include_url=False, include_context=False, include_input=False)[0]
    place = ".".join(str(part) for part in error["loc"])[:120]
    return as_plain(f"{place or 'the message'}: {error['msg']}", 280)

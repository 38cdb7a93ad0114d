"""One catalogue of errors: a stable code, an HTTP status, a human sentence and a remedy.

A domain defines its errors beside its nouns:

    NOT_READY = define("dataset-not-ready", 409, "The dataset is not ready.", "Wait until …")

and raises them: `raise NOT_READY(f"{name} is still being created.")`. The reference page of all
errors is generated from `CATALOGUE`, and on the wire they are RFC 9457 problem details.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class ErrorCode:
    """An entry of the catalogue. Calling it makes the exception to raise."""

    code: str
    status: int
    sentence: str
    remedy: str

    def __call__(self, detail: str = "", **facts: object) -> "Refusal":
        """Return a `Refusal` of this code; `detail` says what happened in this case."""
        return Refusal(self, detail, facts)


class Refusal(Exception):
    """A request that was understood and not carried out, with the reason and the remedy."""

    def __init__(self, error: ErrorCode, detail: str, facts: Mapping[str, object]) -> None:
        super().__init__(detail or error.sentence)
        self.error = error
        self.detail = detail or error.sentence
        self.facts = dict(facts)

    @property
    def code(self) -> str:
        """The stable code, for programs."""
        return self.error.code


_catalogue: dict[str, ErrorCode] = {}
CATALOGUE: Mapping[str, ErrorCode] = MappingProxyType(_catalogue)
"""Every error of the product by its code."""


def define(code: str, status: int, sentence: str, remedy: str) -> ErrorCode:
    """Add an error to the catalogue. The code must be new."""
    if code in _catalogue:
        raise ValueError(f"the error code {code!r} is defined twice")
    _catalogue[code] = ErrorCode(code, status, sentence, remedy)
    return _catalogue[code]


NOT_SIGNED_IN = define(
    "not-signed-in", 401, "This needs a signed-in user.", "Sign in, then try again."
)
FORBIDDEN = define(
    "forbidden",
    403,
    "You may see this, but not do that to it.",
    "Ask the administrator of the project for the role that may.",
)
NOT_FOUND = define(
    "not-found",
    404,
    "There is no such thing here, or none that you may know of.",
    "Check the address, or ask the project's administrator for access.",
)
INVALID = define(
    "invalid-input",
    422,
    "The request is not well formed.",
    "Correct the fields that the message names and send it again.",
)
WRONG_STATE = define(
    "wrong-state",
    409,
    "In its present state this cannot be done.",
    "The message says what can be done in this state.",
)
CONFLICT = define(
    "conflict",
    409,
    "This collides with something that is already there.",
    "Choose another name, or use what is there.",
)
CHANGED_MEANWHILE = define(
    "changed-meanwhile",
    412,
    "Somebody changed this since you read it.",
    "Read it again, then repeat the change on the new version.",
)
TOO_LARGE = define(
    "too-large",
    413,
    "What was sent is larger than this node takes in one request.",
    "Send it in parts, or use the command line on the node.",
)
TOO_MANY_REQUESTS = define(
    "too-many-requests", 429, "Too many tries in a short time.", "Wait a little, then try again."
)
METHOD_NOT_ALLOWED = define(
    "method-not-allowed",
    405,
    "This address does not take that method.",
    "The `Allow` header lists the methods that it takes.",
)
UNAVAILABLE = define(
    "unavailable",
    503,
    "A part that this needs is not available now.",
    "The message names the part; `albufera doctor` says how to mend it.",
)

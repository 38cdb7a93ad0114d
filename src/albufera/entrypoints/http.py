"""What every HTTP entrypoint shares: who calls, problem details, response headers."""

import logging
from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any, Protocol

from fastapi import Request
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from sqlalchemy.exc import DataError
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from albufera.identity.model import Session
from albufera.identity.service import IdentityService
from albufera.kernel import clock
from albufera.kernel.actor import ANONYMOUS, Actor
from albufera.kernel.errors import (
    CATALOGUE,
    FORBIDDEN,
    INVALID,
    METHOD_NOT_ALLOWED,
    NOT_FOUND,
    TOO_LARGE,
    ErrorCode,
    Refusal,
)
from albufera.settings import Settings

logger = logging.getLogger(__name__)

SESSION_COOKIE = "albufera_session"
CSRF_HEADER = "x-csrf-token"
LOCAL_ACTOR = "albufera.local_actor"
"""Key of the ASGI scope under which the command line, in its own process, names the caller."""

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
PROBLEM_TYPE = "https://albufera.dev/problems/"

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
SECURITY_HEADERS = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}


class HasIdentity(Protocol):
    """A wired node or hub, as far as finding the caller needs it."""

    @property
    def identity(self) -> IdentityService:
        """Who holds which session."""
        ...

    @property
    def settings(self) -> Settings:
        """The settings of the home."""
        ...


@dataclass(frozen=True)
class Caller:
    """Who makes a request, and by what session (None: anonymous, or the local command line)."""

    actor: Actor
    session: Session | None = None
    by_cookie: bool = False


def caller_of(request: Request) -> Caller:
    """Find the caller of a request: the local command line, a bearer token, or a cookie."""
    if LOCAL_ACTOR in request.scope:
        return Caller(request.scope[LOCAL_ACTOR])
    identity = services_of(request).identity
    scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        session = identity.session(bearer.strip())
        return Caller(session.user.actor(), session) if session else Caller(ANONYMOUS)
    session = identity.session(request.cookies.get(SESSION_COOKIE, ""))
    if session is None:
        return Caller(ANONYMOUS)
    return Caller(session.user.actor(), session, by_cookie=True)


def refuse_cross_site(request: Request) -> None:
    """Raise `forbidden` for a changing request that another site's page makes."""
    site = request.headers.get("sec-fetch-site", "same-origin")
    if request.method not in SAFE_METHODS and site not in {"same-origin", "none"}:
        raise FORBIDDEN("This request comes from another site's page and is not carried out.")


def check_csrf(request: Request, caller: Caller, presented: str | None) -> None:
    """Raise `forbidden` unless a changing request by cookie carries its session's token."""
    refuse_cross_site(request)
    if request.method in SAFE_METHODS or not caller.by_cookie or caller.session is None:
        return
    if presented != caller.session.csrf_token:
        raise FORBIDDEN("The page was open too long or is not ours: load it again and repeat.")


def problem(error: ErrorCode, detail: str, facts: MutableMapping[str, Any]) -> JSONResponse:
    """Return problem details (RFC 9457) for an error."""
    body = {
        "type": PROBLEM_TYPE + error.code,
        "title": error.sentence,
        "status": error.status,
        "detail": detail,
        "code": error.code,
        "remedy": error.remedy,
        **facts,
    }
    headers = {"www-authenticate": 'Bearer realm="albufera"'} if error.status == 401 else None  # noqa: PLR2004
    return JSONResponse(
        jsonable_encoder(body), error.status, headers, media_type="application/problem+json"
    )


def problem_of(failure: Exception) -> JSONResponse:
    """Return problem details for any exception that a request may end with."""
    match failure:
        case Refusal():
            return problem(failure.error, failure.detail, failure.facts)
        case RequestValidationError():
            return problem(INVALID, _first_complaint(failure), {"errors": _complaints(failure)})
        case HTTPException():
            return _problem_of_status(failure)
        case DataError():  # PostgreSQL keeps no NUL in a text, and no number beyond its type
            return problem(INVALID, "A value holds what cannot be kept, such as a NUL.", {})
        case _:
            reference = clock.random_token(4)
            logger.error("Failure %s", reference, exc_info=failure)
            return problem(
                _INTERNAL, f"The node's log tells more under {reference}.", {"reference": reference}
            )


_INTERNAL = CATALOGUE.get("internal") or ErrorCode(
    "internal", 500, "Something went wrong inside the node.", "Tell its operator the reference."
)


def _problem_of_status(failure: HTTPException) -> JSONResponse:
    by_status = {404: NOT_FOUND, 405: METHOD_NOT_ALLOWED, 413: TOO_LARGE, 403: FORBIDDEN}
    error = by_status.get(failure.status_code, INVALID)
    shown = ErrorCode(error.code, failure.status_code, error.sentence, error.remedy)
    response = problem(shown, str(failure.detail or error.sentence), {})
    response.headers.update(failure.headers or {})
    return response


def _complaints(failure: RequestValidationError) -> list[dict[str, str]]:
    return [
        {"field": ".".join(str(part) for part in item["loc"][1:]), "message": str(item["msg"])}
        for item in failure.errors()[:50]
    ]


def _first_complaint(failure: RequestValidationError) -> str:
    complaints = _complaints(failure)
    if not complaints:
        return INVALID.sentence
    return f"{complaints[0]['field'] or 'The request'}: {complaints[0]['message']}"


def services_of(request: Request) -> HasIdentity:
    """Return what serves this request: a node or a hub."""
    services: HasIdentity = request.app.state.services
    return services


class SecurityHeaders:
    """Adds the security headers to every response that does not set its own."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and complete the response's headers."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                present = {name.lower() for name, _ in message["headers"]}
                extra = [(k.encode(), v.encode()) for k, v in SECURITY_HEADERS.items()]
                message["headers"] = [
                    *message["headers"],
                    *(pair for pair in extra if pair[0] not in present),
                ]
            await send(message)

        await self.app(scope, receive, send_with_headers)


MAX_DOCUMENT = 64 * 1024 * 1024
"""The largest body that is not a multipart of files: it is held in memory as a whole."""


class BodyLimit:
    """Refuses request bodies over a number of bytes, by their announced or their real length.

    Multipart bodies, whose files go to disk as they arrive, may have `limit` bytes.
    """

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self.app = app
        self.limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on while its body keeps within the limit."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        is_multipart = headers.get(b"content-type", b"").lower().startswith(b"multipart/")
        limit = self.limit if is_multipart else min(self.limit, MAX_DOCUMENT)
        announced = headers.get(b"content-length", b"0")
        if not announced.isdigit() or int(announced) > limit:
            response: Response = problem(TOO_LARGE, f"The limit is {limit} bytes.", {})
            await response(scope, receive, send)
            return
        seen = 0

        async def receive_within_limit() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > limit:
                raise HTTPException(413, f"The limit is {limit} bytes.")
            return message

        await self.app(scope, receive_within_limit, send)

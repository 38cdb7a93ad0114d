"""`Idempotency-Key` on creations: the same key again gives the first answer, and does nothing.

After the IETF draft *The Idempotency-Key HTTP Header Field*: the key is the caller's own, bound to
the caller, the address and the body; another body under the same key is refused; a repetition while
the first is still at work is refused for the moment.
"""

import hashlib
from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from albufera.entrypoints.http import LOCAL_ACTOR, SESSION_COOKIE, problem
from albufera.kernel import clock
from albufera.kernel.database import Database, Instant, metadata
from albufera.kernel.errors import INVALID, define

MAX_KEY = 200
MAX_KEPT = 1024 * 1024
LIFETIME = timedelta(hours=24)

KEY_REUSED = define(
    "idempotency-key-reused",
    422,
    "This Idempotency-Key was used for another request.",
    "Use a new key for a new request.",
)
STILL_AT_WORK = define(
    "idempotency-in-progress",
    409,
    "The first request with this Idempotency-Key is still at work.",
    "Wait a moment, then repeat the same request.",
)

answers = sa.Table(
    "idempotent_answers",
    metadata,
    sa.Column("key_hash", sa.String(64), primary_key=True),
    sa.Column("request_hash", sa.String(64), nullable=False),
    sa.Column("created_at", Instant, nullable=False, index=True),
    sa.Column("status", sa.Integer),
    sa.Column("media_type", sa.String(100), nullable=False, default=""),
    sa.Column("body", sa.LargeBinary),
)


class Idempotency:
    """Remembers the answers of JSON creations that carry an `Idempotency-Key`, for a day."""

    def __init__(self, app: ASGIApp, database: Database) -> None:
        self.app = app
        self.database = database

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer from memory, or pass the request on and remember its answer."""
        headers = Headers(scope=scope) if scope["type"] == "http" else Headers()
        key = headers.get("idempotency-key")
        is_json = headers.get("content-type", "").startswith("application/json")
        if key is None or scope.get("method") != "POST" or not is_json:
            await self.app(scope, receive, send)
            return
        if not 0 < len(key) <= MAX_KEY:
            answer: Response = problem(INVALID, f"A key has 1 to {MAX_KEY} characters.", {})
            await answer(scope, receive, send)
            return
        body = await _whole_body(receive)
        known = self._begin(_key_hash(key, scope, headers), hashlib.sha256(body).hexdigest())
        if known is not None:
            await known(scope, receive, send)
            return
        recorder = _Recorder(send)
        try:
            await self.app(scope, _replay(body, receive), recorder)
        finally:
            self._end(_key_hash(key, scope, headers), recorder)

    def _begin(self, key_hash: str, request_hash: str) -> Response | None:
        """Reserve the key, or return the answer to give instead."""
        values = {"key_hash": key_hash, "request_hash": request_hash, "created_at": clock.now()}
        try:
            with self.database.write() as connection:
                old = answers.c.created_at < clock.now() - LIFETIME
                connection.execute(answers.delete().where(old))
                connection.execute(answers.insert().values(**values))
            return None
        except IntegrityError:
            pass
        with self.database.read() as connection:
            row = connection.execute(
                answers.select().where(answers.c.key_hash == key_hash)
            ).one_or_none()
        if row is None or (row.status is None and row.request_hash == request_hash):
            return problem(STILL_AT_WORK, STILL_AT_WORK.sentence, {})
        if row.request_hash != request_hash:
            return problem(KEY_REUSED, KEY_REUSED.sentence, {})
        replayed = {"idempotency-replayed": "true"}
        return Response(row.body, row.status, replayed, row.media_type or None)

    def _end(self, key_hash: str, recorder: "_Recorder") -> None:
        """Keep the answer; forget the key when there is none worth keeping."""
        mine = answers.c.key_hash == key_hash
        with self.database.write() as connection:
            if recorder.status is None or recorder.status >= 500 or recorder.too_large:  # noqa: PLR2004
                connection.execute(answers.delete().where(mine))
                return
            connection.execute(
                answers.update()
                .where(mine)
                .values(
                    status=recorder.status,
                    media_type=recorder.media_type,
                    body=bytes(recorder.body),
                )
            )


class _Recorder:
    """Passes a response on and keeps a copy of it."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status: int | None = None
        self.media_type = ""
        self.body = bytearray()
        self.too_large = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.media_type = Headers(raw=message["headers"]).get("content-type", "")
        elif message["type"] == "http.response.body" and not self.too_large:
            self.body += message.get("body", b"")
            self.too_large = len(self.body) > MAX_KEPT
        await self._send(message)


async def _whole_body(receive: Receive) -> bytes:
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


def _replay(body: bytes, receive: Receive) -> Receive:
    sent = False

    async def replayed() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed


def _key_hash(key: str, scope: Scope, headers: Headers) -> str:
    actor = scope.get(LOCAL_ACTOR)
    caller = actor.user_id if actor else headers.get("authorization", "")
    cookies = [part for part in headers.get("cookie", "").split(";") if SESSION_COOKIE in part]
    parts = (key, scope["path"], caller, *cookies)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()

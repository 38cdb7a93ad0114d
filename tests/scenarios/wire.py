"""Puts requests to an ASGI application byte for byte, as a socket would, with no client's manners.

HTTP clients tidy what they send: they quote paths, drop invalid headers, refuse lone surrogates. A
fuzzer wants the application to see exactly what was found.
"""

import asyncio
import json
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from starlette.types import ASGIApp, Message

from albufera.entrypoints.http import LOCAL_ACTOR
from albufera.kernel.actor import Actor

_OURS = "/albufera/"
MAX_KEPT = 4 * 1024 * 1024

Headers = Sequence[tuple[bytes, bytes]]


@dataclass
class Answer:
    """What came back; `failure` is the traceback of what the application raised."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    failure: str = ""

    @property
    def media_type(self) -> str:
        """The media type without its parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


class Wire:
    """An application, and the event loop on which it answers one request after another."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._runner = asyncio.Runner()

    def close(self) -> None:
        """End the event loop."""
        self._runner.close()

    def send(
        self,
        method: str,
        target: bytes,
        headers: Headers = (),
        body: bytes = b"",
        actor: Actor | None = None,
    ) -> Answer:
        """Put a request for `target` (path and query, percent-encoded) and take the answer.

        With `actor` the request is the local command line's for that person.
        """
        return self._runner.run(self._send(method, target, headers, body, actor))

    async def _send(
        self, method: str, target: bytes, headers: Headers, body: bytes, actor: Actor | None
    ) -> Answer:
        scope = _scope(method, target, headers)
        if actor is not None:
            scope[LOCAL_ACTOR] = actor
        answer = Answer()
        waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> Message:
            if waiting:
                return waiting.pop()
            await asyncio.Event().wait()  # the client stays
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer.status = message["status"]
                answer.headers = {
                    name.decode("latin-1").lower(): value.decode("latin-1")
                    for name, value in message["headers"]
                }
            elif message["type"] == "http.response.body" and len(answer.body) < MAX_KEPT:
                answer.body += message.get("body", b"")

        try:
            await self.app(scope, receive, send)
        except Exception as failure:
            answer.failure = _told(failure)
        return answer


def _told(failure: BaseException) -> str:
    """The exception, and the places in the product that it came through."""
    chain: list[BaseException] = [failure]
    while chain[-1].__context__ is not None:
        chain.append(chain[-1].__context__)
    lines = []
    for each in reversed(chain):
        frames = traceback.extract_tb(each.__traceback__)
        lines += [f"  {f.filename}:{f.lineno} {f.line}" for f in frames if _OURS in f.filename]
        lines.append(f"{type(each).__name__}: {each}"[:1000])
    return "\n".join(lines)


def _scope(method: str, target: bytes, headers: Headers) -> dict[str, Any]:
    path, _, query = target.partition(b"?")
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(path.decode("ascii")),
        "raw_path": path,
        "query_string": query,
        "root_path": "",
        "headers": [(b"host", b"localhost"), *((n.lower(), v) for n, v in headers)],
        "client": ("127.0.0.1", 50000),
        "server": ("localhost", 80),
    }

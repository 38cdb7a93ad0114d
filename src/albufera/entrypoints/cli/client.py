"""How commands reach a node: in this process over a local home, or over HTTP as a signed-in user.

Either way a command makes the same REST calls, so the command line can do nothing that the API
could not, and both go through the policy.
"""

import asyncio
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
from starlette.types import ASGIApp, Receive, Scope, Send

from albufera.bootstrap.node import Node
from albufera.entrypoints.http import LOCAL_ACTOR
from albufera.entrypoints.node_app import create_node_app
from albufera.kernel.actor import Actor
from albufera.kernel.errors import CATALOGUE, INVALID, UNAVAILABLE, ErrorCode, Refusal

LOGIN_FILE = "login.json"


class LocalTransport(httpx.BaseTransport):
    """Serves requests by a node's application in this process, for one actor."""

    def __init__(self, app: ASGIApp, actor: Actor) -> None:
        async def as_actor(scope: Scope, receive: Receive, send: Send) -> None:
            scope[LOCAL_ACTOR] = actor
            await app(scope, receive, send)

        self._transport = httpx.ASGITransport(as_actor, raise_app_exceptions=False)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Serve one request and return the whole response."""
        return asyncio.run(self._serve(request))

    async def _serve(self, request: httpx.Request) -> httpx.Response:
        inner = httpx.Request(
            request.method, request.url, headers=request.headers, content=request.read()
        )
        response = await self._transport.handle_async_request(inner)
        content = await response.aread()
        return httpx.Response(response.status_code, headers=response.headers, content=content)


class Client:
    """REST calls to a node; problems become `Refusal`."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    @classmethod
    def local(cls, node: Node, actor: Actor) -> "Client":
        """Return a client of a local home, acting as `actor`."""
        return cls.of_app(create_node_app(node), actor)

    @classmethod
    def of_app(cls, app: ASGIApp, actor: Actor) -> "Client":
        """Return a client of an application in this process, acting as `actor`."""
        transport = LocalTransport(app, actor)
        return cls(httpx.Client(transport=transport, base_url="http://localhost/api/v1"))

    @classmethod
    def remote(cls, url: str, token: str) -> "Client":
        """Return a client of a node elsewhere, as the user whose token it is."""
        headers = {"authorization": f"Bearer {token}"}
        return cls(
            httpx.Client(base_url=f"{url.rstrip('/')}/api/v1", headers=headers, timeout=60.0)
        )

    def close(self) -> None:
        """Let go of the connections."""
        self._http.close()

    def get(self, path: str, **params: Any) -> Any:
        """GET a resource; parameters that are None are left out."""
        return self._call("GET", path, params={k: v for k, v in params.items() if v is not None})

    def items(self, path: str, **params: Any) -> list[Any]:
        """GET all pages of a list."""
        found: list[Any] = []
        after: str | None = None
        while True:
            page = self.get(path, after=after, limit=500, **params)
            found += page["items"]
            after = page.get("nextAfter")
            if after is None:
                return found

    def post(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """POST a JSON document."""
        return self._call("POST", path, json=body or {})

    def put(self, path: str, body: Mapping[str, Any]) -> Any:
        """PUT a JSON document."""
        return self._call("PUT", path, json=body)

    def patch(self, path: str, body: Mapping[str, Any]) -> Any:
        """PATCH with a JSON document."""
        return self._call("PATCH", path, json=body)

    def delete(self, path: str) -> Any:
        """DELETE a resource."""
        return self._call("DELETE", path)

    def send_files(self, path: str, files: Mapping[str, Path], fields: Mapping[str, str]) -> Any:
        """POST files as a multipart form."""
        opened = {name: (file.name, file.open("rb")) for name, file in files.items()}
        try:
            return self._call("POST", path, files=opened, data=dict(fields))
        finally:
            for _, handle in opened.values():
                handle.close()

    def content(self, path: str, **params: Any) -> bytes:
        """GET the bytes behind an address."""
        return self._request("GET", path, params=params).content

    def wait(self, look: Callable[[], Any], over: Callable[[Any], bool], rest: Any) -> Any:
        """Call `look` until `over` accepts what it sees; between looks, call `rest`."""
        while not over(seen := look()):
            rest(seen)
        return seen

    def _call(self, method: str, path: str, **arguments: Any) -> Any:
        response = self._request(method, path, **arguments)
        return response.json() if response.content else None

    def _request(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        try:
            response = self._http.request(method, path.lstrip("/"), **arguments)
        except UnicodeEncodeError as failure:
            raise INVALID("A word of the command is not UTF-8 text.") from failure
        except httpx.TransportError as failure:
            raise UNAVAILABLE(f"The node does not answer: {failure}.") from failure
        if response.is_error:
            raise refusal_of(response)
        return response


def refusal_of(response: httpx.Response) -> Refusal:
    """Make a refusal of a response with problem details."""
    try:
        body = response.json()
    except json.JSONDecodeError:
        body = {}
    code = str(body.get("code", "http-error"))
    known = CATALOGUE.get(code)
    remedy = str(body.get("remedy") or (known.remedy if known else "Try again later."))
    sentence = str(body.get("title", f"The node answered {response.status_code}."))
    error = ErrorCode(code, response.status_code, sentence, remedy)
    return Refusal(error, str(body.get("detail", sentence)), {"errors": body.get("errors", [])})


def save_login(home: Path, url: str, token: str) -> None:
    """Remember a remote node and the session there, readable by this account only."""
    home.mkdir(parents=True, exist_ok=True)
    path = home / LOGIN_FILE
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump({"url": url, "token": token}, file)


def read_login(home: Path) -> tuple[str, str] | None:
    """Return the remote node signed in to, as (url, token), or None."""
    try:
        content = json.loads((home / LOGIN_FILE).read_text(encoding="utf-8"))
        return content["url"], content["token"]
    except (OSError, ValueError, KeyError):
        return None

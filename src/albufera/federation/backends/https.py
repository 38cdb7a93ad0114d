"""A hub over HTTPS. The connection is always opened by the node."""

import json
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import httpx
from pydantic import ValidationError

from albufera.federation.messages import (
    MAX_MESSAGE_BYTES,
    Introduction,
    Kind,
    as_plain,
    first_complaint,
)
from albufera.federation.model import BAD_MESSAGE, HUB_UNREACHABLE, PLAIN_HTTP
from albufera.kernel.canonical import CanonicalError, canonical_bytes, read_json
from albufera.kernel.errors import CATALOGUE, ErrorCode, Refusal

_TIMEOUT = httpx.Timeout(15.0, connect=5.0)


class HttpsPeers:
    """Hubs by their addresses. Plain HTTP is accepted to this machine only, or if so configured."""

    def __init__(self, *, allow_plain: bool = False) -> None:
        self._allow_plain = allow_plain
        self._client = httpx.Client(
            timeout=_TIMEOUT, follow_redirects=False, headers={"accept": "application/json"}
        )

    def at(self, url: str) -> "HttpsPeer":
        """Return the peer at an address. Raises `hub-plain-http`."""
        try:
            parts = urlsplit(url)
            scheme, host = parts.scheme, parts.hostname or ""
        except ValueError:
            scheme, host = "", ""
        plain_is_fine = self._allow_plain or _is_loopback(host)
        if not host or (scheme != "https" and not (scheme == "http" and plain_is_fine)):
            raise PLAIN_HTTP(f"{url[:200]!r} is not an https:// address.")
        return HttpsPeer(self._client, url.rstrip("/"))

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


class HttpsPeer:
    """One hub."""

    def __init__(self, client: httpx.Client, url: str) -> None:
        self._client = client
        self._base = f"{url}/federation/v1"

    def introduction(self) -> Introduction:
        """Ask the hub who it is."""
        answer = self._request("GET", "hub", None)
        try:
            return Introduction.model_validate(answer)
        except ValidationError as failure:
            raise BAD_MESSAGE(f"There is no hub there. {first_complaint(failure)}") from None

    def send(self, kind: Kind, envelope: Mapping[str, Any]) -> object:
        """Deliver an envelope and return the hub's."""
        return self._request("POST", kind, canonical_bytes(dict(envelope)))

    def _request(self, method: str, path: str, content: bytes | None) -> object:
        headers = {"content-type": "application/json"} if content is not None else {}
        url = f"{self._base}/{path}"
        try:
            with self._client.stream(method, url, content=content, headers=headers) as response:
                body = _bounded(response)
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as failure:
            raise HUB_UNREACHABLE(f"{self._base}: {type(failure).__name__}.") from failure
        if response.status_code != httpx.codes.OK:
            raise _refusal(response.status_code, body)
        try:
            return read_json(body, MAX_MESSAGE_BYTES)
        except CanonicalError as problem:
            raise BAD_MESSAGE(f"The hub's answer cannot be read. {problem}") from None


def _bounded(response: httpx.Response) -> bytes:
    body = bytearray()
    for part in response.iter_bytes():
        body += part
        if len(body) > MAX_MESSAGE_BYTES:
            raise BAD_MESSAGE(f"The hub's answer is larger than {MAX_MESSAGE_BYTES} bytes.")
    return bytes(body)


def _refusal(status: int, body: bytes) -> Refusal:
    """Make the hub's refusal ours: a known code with its words, or *unreachable* for a gateway."""
    try:
        problem = json.loads(body[:65536])
        code, detail = str(problem["code"]), as_plain(str(problem.get("detail", "")), 500)
    except (ValueError, KeyError, TypeError):
        return HUB_UNREACHABLE(f"What answers there is no hub in order (status {status}).")
    known = CATALOGUE.get(code)
    if known is None:
        sentence = "The hub refused the message."
        known = ErrorCode(as_plain(code, 60), status, sentence, "Ask the hub's operator.")
    return known(detail)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False

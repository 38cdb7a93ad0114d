"""A rude caller: random requests for the addresses that no OpenAPI document describes.

Everything is drawn from a seeded generator, so that a run can be repeated.
"""

import random
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, FastAPI

import albufera.entrypoints
from albufera.kernel.actor import Actor
from tests.scenarios.hostile import RAW, WORDS

BOUNDARY = "edge"
_NAMES_READ = re.compile(
    r"(?:field\(form, |form\.get(?:list)?\(|(?:query|query_params|params)\.get(?:list)?\()"
    r"\"(\w+)\""
)
_ACCEPTS = (
    b"text/html,application/xhtml+xml;q=0.9,*/*;q=0.8",
    b"*/*",
    b"application/json",
    b"application/dicom+json",
    b'multipart/related; type="application/dicom"; transfer-syntax=*',
    b"image/png",
    b"text/turtle",
    b"application/ld+json",
    b"text/html;q=x",
    b";;;,,,/",
    b"",
    b"*",
    b"a/b;" * 500,
    b'multipart/related; type="',
    b"\xff\xfe",
)
_METHODS = ("GET", "POST", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND")


@dataclass(frozen=True)
class Address:
    """An address of the application, with what it is known to read."""

    method: str
    path: str
    queries: tuple[str, ...]


@dataclass(frozen=True)
class Request:
    """A request as it goes over the wire."""

    method: str
    target: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    actor: Actor | None

    def __str__(self) -> str:
        who = self.actor.username if self.actor else "nobody"
        shown = [(name.decode(), value[:200]) for name, value in self.headers]
        return f"{self.method} {self.target[:400]!r} by {who}\n{shown}\n{self.body[:600]!r}"


def addresses_of(routers: Iterable[APIRouter]) -> list[Address]:
    """List what routers serve, by way of an OpenAPI document made for the purpose."""
    app = FastAPI()
    for router in routers:
        app.include_router(router)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # two pages may share a function's name
        return addresses_of_document(app.openapi())


def addresses_of_document(document: Mapping[str, Any]) -> list[Address]:
    """List the addresses that an OpenAPI document describes."""
    found = []
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            parameters = operation.get("parameters", [])
            queries = tuple(item["name"] for item in parameters if item["in"] == "query")
            found.append(Address(method.upper(), path, queries))
    return found


def names_read() -> list[str]:
    """The names of form fields and query parameters that the pages' sources read."""
    folder = Path(str(albufera.entrypoints.__file__)).parent
    sources = (path.read_text(encoding="utf-8") for path in folder.rglob("*.py"))
    return sorted({name for source in sources for name in _NAMES_READ.findall(source)})


class RudeCaller:
    """Draws requests."""

    def __init__(
        self,
        seed: int,
        ids: Mapping[str, Sequence[str]],
        actors: Sequence[Actor | None],
        cookies: Sequence[tuple[str, str]] = (),
        files: Sequence[bytes] = (),
    ) -> None:
        """`cookies` are sessions with their CSRF tokens; `files` what may be uploaded."""
        self._random = random.Random(seed)
        self._ids = ids
        self._every_id = sorted({value for values in ids.values() for value in values})
        self._actors = actors
        self._cookies = cookies
        self._files = (b"", b"\x00" * 200, b"\x00" * 128 + b"DICM" + b"\xff" * 40, *files)
        self._names = names_read()

    def request(self, address: Address) -> Request:
        """Draw a request for an address."""
        pick = self._random
        method = address.method if pick.random() < 0.93 else pick.choice(_METHODS)
        target = self._path(address.path) + self._query(address.queries)
        headers = [(b"accept", pick.choice(_ACCEPTS[:2] if pick.random() < 0.6 else _ACCEPTS))]
        fields, actor = [], pick.choice(list(self._actors))
        if self._cookies and pick.random() < 0.4:
            actor = None
            token, csrf = pick.choice(list(self._cookies))
            headers.append((b"cookie", f"albufera_session={token}".encode()))
            if pick.random() < 0.7:
                fields.append(("csrf_token", csrf.encode()))
        headers += self._odd_headers()
        body = b""
        if method in {"POST", "PUT", "PATCH"}:
            content_type, body = self._body(fields)
            headers.append((b"content-type", content_type))
            headers.append((b"content-length", str(len(body)).encode()))
        return Request(method, target, tuple(headers), body, actor)

    def _value(self) -> str:
        roll = self._random.random()
        if roll < 0.3 and self._every_id:
            return self._random.choice(self._every_id)
        if roll < 0.8:
            return self._random.choice(WORDS)
        if roll < 0.9:
            return str(self._random.randint(-5, 2**70))
        return "".join(chr(self._random.randint(0, 0xD7FF)) for _ in range(8))

    def _path(self, path: str) -> bytes:
        def fill(match: re.Match[str]) -> str:
            name = match.group(1)
            known = self._ids.get(name) or self._every_id
            roll = self._random.random()
            if known and roll < 0.75:
                return quote(self._random.choice(known), safe="/:")
            if roll < 0.9:
                return quote(self._value()[:2000], safe="")
            return self._random.choice(RAW).decode()

        return re.sub(r"{(\w+)}", fill, path).encode("ascii")

    def _query(self, declared: Sequence[str]) -> bytes:
        parts = []
        for _ in range(self._random.choice((0, 0, 1, 1, 2, 4))):
            likely = declared if declared and self._random.random() < 0.8 else self._names
            name = self._random.choice([*likely, "after", "limit", "offset", "StudyDate"])
            if self._random.random() < 0.15:
                parts.append(name.encode() + b"=" + self._random.choice(RAW))
            else:
                parts.append(f"{quote(name)}={quote(self._value(), safe='')}".encode())
        return b"?" + b"&".join(parts) if parts else b""

    def _odd_headers(self) -> list[tuple[bytes, bytes]]:
        pick = self._random
        odd = (
            (b"range", pick.choice((b"bytes=0-", b"bytes=9-1", b"bytes=" + b"1" * 99, b"x"))),
            (b"if-none-match", pick.choice((b"*", b'"', b"\xff", b'W/"x"'))),
            (b"if-modified-since", pick.choice((b"yesterday", b"\xff", b"0"))),
            (b"if-match", pick.choice((b"*", b'""', b"\xff"))),
            (b"authorization", pick.choice((b"Bearer", b"Bearer \xff\x00", b"Basic ====", b""))),
            (b"cookie", b"albufera_flash=" + pick.choice((b"x", b"W10=", b"bnVsbA==", b"\xff"))),
            (b"cookie", b"albufera_session=\xff; =;;"),
            (b"idempotency-key", pick.choice((b"k", b"", b"\xff\xfe", b"k" * 300))),
            (b"sec-fetch-site", pick.choice((b"cross-site", b"none", b"?"))),
            (b"x-csrf-token", b"\xff"),
            (b"host", pick.choice((b"", b"evil.invalid", b"[::1", b"a b", b"\xff"))),
            (b"accept-language", b"*;q=zz"),
            (b"accept-encoding", b"gzip;q=\xff"),
        )
        return [pick.choice(odd) for _ in range(pick.choice((0, 0, 1, 2)))]

    def _body(self, fields: list[tuple[str, bytes]]) -> tuple[bytes, bytes]:
        pick = self._random
        for _ in range(pick.choice((0, 2, 5, 9))):
            value = self._value().encode("utf-8", "surrogatepass")
            fields.append((pick.choice(self._names), value))
        roll = pick.random()
        if roll < 0.5:
            return b"application/x-www-form-urlencoded", _encoded(fields)
        if roll < 0.75:
            return self._multipart(fields, b"form-data")
        if roll < 0.85:
            return self._multipart([], b'related; type="application/dicom"')
        if roll < 0.93:
            return b"application/json", pick.choice((b"{", b"[]", b'{"a":"\\ud800"}', b"\xff"))
        kinds = (b"", b"multipart/form-data", b"text/plain; charset=x", b"a;" * 99, b"\xff/\xfe")
        return pick.choice(kinds), pick.choice(self._files)

    def _multipart(self, fields: Sequence[tuple[str, bytes]], kind: bytes) -> tuple[bytes, bytes]:
        pick = self._random
        edge = BOUNDARY.encode()
        parts = [
            b'content-disposition: form-data; name="%s"\r\n\r\n%s' % (name.encode(), value)
            for name, value in fields
        ]
        for _ in range(pick.choice((0, 1, 2))):
            name = pick.choice((b"files", b"file", b"table", b"form", b"", b"\xff"))
            file_name = pick.choice((b"a.dcm", b"", b"../../x", b"\x00", b"\xff\xfe", b"n" * 999))
            head = b'content-disposition: form-data; name="%s"; filename="%s"' % (name, file_name)
            kind_of = pick.choice((b"application/dicom", b"text/csv", b"application/zip", b"\xff"))
            content = pick.choice(self._files)
            parts.append(head + b"\r\ncontent-type: " + kind_of + b"\r\n\r\n" + content)
        body = b"".join(b"--" + edge + b"\r\n" + part + b"\r\n" for part in parts)
        body += b"--" + edge + b"--\r\n"
        if pick.random() < 0.25:
            body = body[: pick.randint(0, len(body))]
        return b"multipart/" + kind + b"; boundary=" + edge, body


def _encoded(fields: Sequence[tuple[str, bytes]]) -> bytes:
    return b"&".join(quote(k).encode() + b"=" + quote(v, safe="").encode() for k, v in fields)


def hostile_reflections(headers: Mapping[str, str], body: bytes, media_type: str) -> list[str]:
    """What an answer must never hold, whatever was sent."""
    found = []
    if media_type == "text/html" and b"<script>alert(1)</script>" in body:
        found.append("the page repeats a script that was sent")
    for name, value in headers.items():
        if any(ord(character) < 32 and character != "\t" for character in name + value):
            found.append(f"the header {name} holds a control character")
    location = headers.get("location", "/")
    away = location.startswith(("//", "/\\")) or "evil.invalid" in location.split("?")[0]
    if away or (not location.startswith(("/", "http://"))):
        found.append(f"the answer leads away: {location}")
    return found

"""Media types: what a client accepts, and multipart/related bodies (PS3.18 §8.7, RFC 2387)."""

from collections.abc import Iterable, Iterator
from typing import BinaryIO

from albufera.entrypoints.uploads import parse_media_type
from albufera.kernel.clock import random_token
from albufera.kernel.errors import define

NOT_ACCEPTABLE = define(
    "not-acceptable",
    406,
    "The node cannot answer in the form that was asked for.",
    "The message says which forms it gives: name one of them in the Accept header.",
)
DICOM = "application/dicom"
DICOM_JSON = "application/dicom+json"
PNG = "image/png"
WHOLE_BYTES = 4 * 1024 * 1024
_CHUNK = 1024 * 1024


def accepted(header: str) -> list[tuple[str, dict[str, str]]]:
    """The media ranges of an Accept header in its order; everything when it is absent."""
    ranges = [parse_media_type(part.strip()) for part in _split(header) if part.strip()]
    wanted = [(name, values) for name, values in ranges if values.get("q", "1") not in ("0", "0.0")]
    return wanted if ranges else [("*/*", {})]


def require_json(header: str) -> None:
    """Raise `not-acceptable` unless the client takes DICOM JSON."""
    if not _takes(header, (DICOM_JSON, "application/json")):
        raise NOT_ACCEPTABLE(f"Here the node answers with {DICOM_JSON}.")


def require_png(header: str) -> None:
    """Raise `not-acceptable` unless the client takes PNG."""
    if not _takes(header, (PNG,)):
        raise NOT_ACCEPTABLE(f"Here the node answers with {PNG}.")


def wants_single(header: str) -> bool:
    """Whether the first acceptable form of one object is the bare object.

    Raises `not-acceptable` when neither it nor multipart/related is taken.
    """
    for name, values in accepted(header):
        inner = values.get("type", DICOM).lower()
        if name == DICOM:
            return True
        if name in ("*/*", "multipart/*") or (name == "multipart/related" and inner == DICOM):
            return False
    raise NOT_ACCEPTABLE(
        f'Here the node answers with multipart/related; type="{DICOM}", as stored.'
    )


def transfer_syntaxes(header: str) -> frozenset[str]:
    """The transfer syntaxes that are asked for; empty when any will do."""
    named = [values.get("transfer-syntax", "*") for _, values in accepted(header)]
    return frozenset() if "*" in named else frozenset(named)


def new_boundary() -> str:
    """A boundary that no part can hold by chance."""
    return f"albufera-{random_token(16)}"


def multipart(parts: Iterable[tuple[str, int, BinaryIO]], boundary: str) -> Iterator[bytes]:
    """A multipart/related body of (media type, length, open file) parts, one file at a time."""
    for media_type, length, file in parts:
        with file:
            head = f"--{boundary}\r\nContent-Type: {media_type}\r\nContent-Length: {length}\r\n\r\n"
            yield head.encode("latin-1")
            yield from chunks(file)
            yield b"\r\n"
    yield f"--{boundary}--\r\n".encode("latin-1")


def chunks(file: BinaryIO) -> Iterator[bytes]:
    """A file's content: in one piece when it is small, for speed."""
    first = file.read(WHOLE_BYTES)
    yield first
    if len(first) == WHOLE_BYTES:
        while chunk := file.read(_CHUNK):
            yield chunk


def _takes(header: str, offered: tuple[str, ...]) -> bool:
    mains = {f"{name.partition('/')[0]}/*" for name in offered}
    return any(name == "*/*" or name in offered or name in mains for name, _ in accepted(header))


def _split(header: str) -> list[str]:
    """Split at commas that are not inside quotes."""
    parts, quoted, start = [], False, 0
    for at, character in enumerate(header):
        if character == '"':
            quoted = not quoted
        elif character == "," and not quoted:
            parts.append(header[start:at])
            start = at + 1
    return [*parts, header[start:]]

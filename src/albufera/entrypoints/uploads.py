"""Receiving files over HTTP: parsed as they arrive and written straight to where they wait.

No part is held in memory, and none is written twice. The same reader serves browser forms
(multipart/form-data, RFC 7578) and STOW-RS (multipart/related, PS3.18 §8.6.1.2).
"""

from collections.abc import Callable
from email.message import Message
from typing import Protocol

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser
from starlette.concurrency import run_in_threadpool

from albufera.kernel.errors import INVALID, define

NOT_MULTIPART = define(
    "not-multipart",
    415,
    "The request does not carry files in the form that this address takes.",
    "Send them as the documentation of the address says.",
)
MAX_FIELD_BYTES = 2000
MAX_FIELDS = 50
MAX_HEADER_BYTES = 8192


class FileSink(Protocol):
    """Where received files go, one after the other."""

    def begin(self, name: str) -> None:
        """Start a file."""
        ...

    def write(self, data: bytes) -> None:
        """Add to it."""
        ...

    def end(self) -> None:
        """End it."""
        ...

    def discard(self) -> None:
        """Forget all of them."""
        ...


class Upload:
    """Parses one multipart body.

    `open_sink` is called with the fields that came before the first file; what it raises ends
    the request before the file is taken.
    """

    def __init__(
        self, content_type: str, subtype: str, open_sink: Callable[[dict[str, str]], FileSink]
    ) -> None:
        main, parameters = parse_media_type(content_type)
        boundary = parameters.get("boundary", "")
        if main != f"multipart/{subtype}" or not 1 <= len(boundary) <= 70:  # noqa: PLR2004
            raise NOT_MULTIPART(f"This address takes multipart/{subtype} with a boundary.")
        self.fields: dict[str, str] = {}
        self.sink: FileSink | None = None
        self._every_part_is_a_file = subtype == "related"
        self._open_sink = open_sink
        self._headers: dict[str, str] = {}
        self._name = self._value = b""
        self._field: str | None = None
        self._text = b""
        self._in_file = self._ended = False
        self._parser = MultipartParser(
            boundary.encode("latin-1", "replace"),
            {
                "on_part_begin": self._on_part_begin,
                "on_header_field": self._on_header_field,
                "on_header_value": self._on_header_value,
                "on_header_end": self._on_header_end,
                "on_headers_finished": self._on_headers_finished,
                "on_part_data": self._on_part_data,
                "on_part_end": self._on_part_end,
                "on_end": self._on_end,
            },
        )

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the body. Raises `invalid-input`."""
        try:
            self._parser.write(data)
        except FormParserError as failure:
            raise INVALID("The multipart body is not well formed.") from failure

    def finish(self) -> None:
        """End the body. Raises `invalid-input` when it was cut off."""
        try:
            self._parser.finalize()
        except FormParserError as failure:
            raise INVALID("The multipart body is not well formed.") from failure
        if not self._ended:
            raise INVALID("The multipart body ends before its closing boundary.")

    def _on_part_begin(self) -> None:
        self._headers = {}
        self._name = self._value = b""

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]
        self._check_header()

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]
        self._check_header()

    def _check_header(self) -> None:
        if len(self._name) + len(self._value) > MAX_HEADER_BYTES or len(self._headers) > MAX_FIELDS:
            raise INVALID("The headers of a part are too long.")

    def _on_header_end(self) -> None:
        name = self._name.decode("latin-1").lower()
        self._headers[name] = self._value.decode("utf-8", "replace")
        self._name = self._value = b""

    def _on_headers_finished(self) -> None:
        parameters = _disposition(self._headers.get("content-disposition", ""))
        name, file_name = parameters.get("name", ""), parameters.get("filename")
        self._field, self._in_file, self._text = None, False, b""
        if self._every_part_is_a_file or file_name:
            if self.sink is None:
                self.sink = self._open_sink(self.fields)
            self.sink.begin(_last_part(file_name or ""))
            self._in_file = True
        elif file_name is None:
            if len(self.fields) >= MAX_FIELDS:
                raise INVALID("The form has too many fields.")
            self._field = name

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._in_file and self.sink is not None:
            self.sink.write(data[start:end])
        elif self._field is not None:
            self._text += data[start:end]
            if len(self._text) > MAX_FIELD_BYTES:
                raise INVALID(f"The field “{self._field[:50]}” is too long.")

    def _on_part_end(self) -> None:
        if self._in_file and self.sink is not None:
            self.sink.end()
        elif self._field is not None:
            self.fields[self._field] = self._text.decode("utf-8", "replace").strip()

    def _on_end(self) -> None:
        self._ended = True


async def receive(
    request: Request, subtype: str, open_sink: Callable[[dict[str, str]], FileSink]
) -> Upload:
    """Read a request's multipart body to its end, off the event loop; discard it on a failure.

    Raises `not-multipart`, `invalid-input`, and what `open_sink` raises.
    """
    upload = Upload(request.headers.get("content-type", ""), subtype, open_sink)
    try:
        async for chunk in request.stream():
            if chunk:
                await run_in_threadpool(upload.feed, chunk)
        await run_in_threadpool(upload.finish)
    except BaseException:
        if upload.sink is not None:
            upload.sink.discard()
        raise
    return upload


def parse_media_type(text: str) -> tuple[str, dict[str, str]]:
    """Split a media type (RFC 9110 §8.3.1) into its name and its parameters, in lowercase names."""
    message = Message()
    message["content-type"] = text.replace("\r", "").replace("\n", "")
    parameters = message.get_params(failobj=[], header="content-type")
    values = {str(k).lower(): str(v) for k, v in parameters[1:]}
    name = str(parameters[0][0]).lower() if parameters else ""
    return name, values


def _disposition(text: str) -> dict[str, str]:
    message = Message()
    message["content-disposition"] = text.replace("\r", "").replace("\n", "")
    parameters = message.get_params(failobj=[], header="content-disposition")
    found: dict[str, str] = {}
    for key, value in parameters[1:]:
        found[str(key).lower()] = value if isinstance(value, str) else str(value[-1])
    return found


def _last_part(name: str) -> str:
    """A browser may send the path of a file inside a chosen folder: no leading separators."""
    return name.replace("\\", "/").strip("/")[-500:]

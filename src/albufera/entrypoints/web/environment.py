"""What the pages of a node and of a hub share: templates, flash messages, forms, who looks."""

import base64
import hashlib
import json
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Depends, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.datastructures import FormData

from albufera.entrypoints.http import Caller, caller_of, check_csrf
from albufera.kernel.actor import Actor, ActorKind
from albufera.kernel.errors import NOT_SIGNED_IN

FLASH_COOKIE = "albufera_flash"
STATIC = Path(__file__).parent / "static"
PROGRAM_PATHS = (
    "/api/", "/dicomweb/", "/federation/v1/", "/trace/tile/", "/metrics", "/healthz", "/readyz",
)  # fmt: skip


@dataclass(frozen=True)
class Viewer:
    """The signed-in person, as pages show them."""

    name: str
    username: str
    roles: list[str]
    is_operator: bool


@dataclass(frozen=True)
class Flash:
    """A message shown once, on the page after a form was sent."""

    kind: str
    text: str


@cache
def static_url(name: str) -> str:
    """Return the address of a static file with the digest of its content as version."""
    digest = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]
    return f"/static/{name}?v={digest}"


def make_environment() -> Environment:
    """Return the template environment: autoescaping, undefined names are errors."""
    environment = Environment(
        loader=PackageLoader("albufera.entrypoints.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["static_url"] = static_url
    environment.filters["thousands"] = lambda number: f"{number:,}"
    environment.filters["bytes"] = human_bytes
    environment.filters["moment"] = lambda at: at.strftime("%Y-%m-%d %H:%M") if at else "—"
    environment.filters["day"] = lambda at: at.strftime("%Y-%m-%d") if at else "—"
    return environment


def human_bytes(count: int) -> str:
    """Write a number of bytes for people, in binary units."""
    size = float(count)
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if size < 1024:  # noqa: PLR2004 - the factor between binary units
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


ENVIRONMENT = make_environment()


def get_caller(request: Request) -> Caller:
    """Return who looks at this page."""
    return caller_of(request)


def get_actor(caller: Annotated[Caller, Depends(get_caller)]) -> Actor:
    """Return the signed-in person. Raises `not-signed-in`; the answer leads to the sign-in page."""
    if caller.actor.kind is ActorKind.ANONYMOUS:
        raise NOT_SIGNED_IN()
    return caller.actor


async def get_form(request: Request) -> AsyncIterator[FormData]:
    """Give the form that was sent, having checked that it is the caller's own; close its files."""
    async with request.form(max_files=5000, max_fields=5000) as form:
        token = form.get("csrf_token")
        check_csrf(request, caller_of(request), token if isinstance(token, str) else None)
        yield form


CallerDep = Annotated[Caller, Depends(get_caller)]
ActorDep = Annotated[Actor, Depends(get_actor)]
FormDep = Annotated[FormData, Depends(get_form)]


def field(form: FormData, name: str, default: str = "") -> str:
    """Return a text field of a form, stripped."""
    value = form.get(name, default)
    return value.strip() if isinstance(value, str) else default


def redirect(address: str, flash: Flash | None = None) -> RedirectResponse:
    """Lead to another page of ours after a form was sent, with a message shown there."""
    response = RedirectResponse(address, 303)
    if flash is not None:
        content = json.dumps([flash.kind, flash.text[:900]]).encode()
        value = base64.urlsafe_b64encode(content).decode()
        response.set_cookie(FLASH_COOKIE, value, max_age=60, httponly=True, samesite="lax")
    return response


def flashes(request: Request) -> list[Flash]:
    """Return the message that the page before left, if any."""
    value = request.cookies.get(FLASH_COOKIE, "")
    try:
        kind, text = json.loads(base64.urlsafe_b64decode(value))
        return [Flash(str(kind), str(text))]
    except (ValueError, TypeError, RecursionError):  # the cookie may hold anything
        return []


def is_current(path: str, href: str) -> bool:
    """Tell whether a page belongs to the section that begins at `href`."""
    return path == href if href == "/" else path == href or path.startswith(href + "/")


def wants_page(request: Request) -> bool:
    """Tell whether a failure is answered with a page (else with problem details)."""
    path = request.url.path
    return not path.startswith(PROGRAM_PATHS) and "text/html" in request.headers.get("accept", "")


def own_address(target: str) -> str:
    """Return an address of this very site; anything else becomes the first page."""
    safe = target.startswith("/") and not target.startswith(("//", "/\\"))
    return target if safe and target.isprintable() else "/"


class Pages:
    """Renders the pages of a node or of a hub, each within its own frame.

    `frame` gives what base.html needs: viewer, navigation and name.
    """

    def __init__(self, frame: Callable[[Request, Caller], dict[str, Any]]) -> None:
        self._frame = frame

    def render(
        self, request: Request, template: str, status: int = 200, /, **context: Any
    ) -> HTMLResponse:
        """Render a page with what every page needs."""
        caller = caller_of(request)
        shown = {
            "path": request.url.path,
            "csrf_token": caller.session.csrf_token if caller.session else "",
            "flash": flashes(request),
            **self._frame(request, caller),
            **context,
        }
        response = HTMLResponse(ENVIRONMENT.get_template(template).render(shown), status)
        response.headers["cache-control"] = "no-store" if caller.session else "no-cache"
        response.headers["vary"] = "Cookie"
        if FLASH_COOKIE in request.cookies:
            response.delete_cookie(FLASH_COOKIE)
        return response

    def error_page(self, request: Request, answer: JSONResponse) -> Response:
        """Return problem details as a page; who is not signed in is led to the sign-in page."""
        shown = json.loads(bytes(answer.body))
        if answer.status_code == 401 and request.method == "GET":  # noqa: PLR2004
            target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
            return redirect(f"/sign-in?next={quote(target)}")
        return self.render(request, "error.html", answer.status_code, problem=shown)


def navigation(path: str, sections: Iterable[tuple[str, str]]) -> list[dict[str, Any]]:
    """Return the sections (label, address) as base.html shows them."""
    return [
        {"label": label, "href": href, "current": is_current(path, href), "count": None}
        for label, href in sections
    ]

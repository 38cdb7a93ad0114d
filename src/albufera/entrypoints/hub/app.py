"""The ASGI application of a hub: pages, REST, and the counter for nodes."""

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from sqlalchemy.exc import DataError
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles

from albufera import __version__
from albufera.bootstrap.hub import Hub
from albufera.entrypoints.api.resources import PROBLEMS
from albufera.entrypoints.http import BodyLimit, SecurityHeaders, problem_of
from albufera.entrypoints.hub import (
    desk,
    pages_catalogue,
    pages_nodes,
    pages_queries,
    pages_session,
    rest_catalogue,
    rest_nodes,
    rest_queries,
    rest_session,
)
from albufera.entrypoints.hub.rendering import error_page
from albufera.entrypoints.web.environment import STATIC, wants_page
from albufera.federation.messages import MAX_MESSAGE_BYTES
from albufera.kernel.errors import Refusal


def create_hub_app(hub: Hub) -> FastAPI:
    """Return the application that serves `hub`."""
    app = FastAPI(
        title="Albufera hub",
        version=__version__,
        summary="A federation of nodes: one catalogue, and counts that each node makes itself.",
        openapi_url="/api/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
    )
    app.state.services = hub
    rest = APIRouter(prefix="/api/v1", responses=PROBLEMS)
    for module in (rest_session, rest_catalogue, rest_nodes, rest_queries):
        rest.include_router(module.router)
    app.include_router(rest)
    app.include_router(desk.router)
    for pages in (pages_session, pages_catalogue, pages_queries, pages_nodes):
        app.include_router(pages.router, include_in_schema=False)
    app.mount("/static", StaticFiles(directory=STATIC))
    app.add_api_route("/healthz", health, include_in_schema=False)
    for failure in (Refusal, RequestValidationError, HTTPException, DataError, Exception):
        app.add_exception_handler(failure, answer_failure)
    app.add_middleware(BodyLimit, limit=MAX_MESSAGE_BYTES)
    app.add_middleware(SecurityHeaders)
    return app


def health() -> JSONResponse:
    """Say that the process answers."""
    return JSONResponse({"status": "ok", "version": __version__})


def answer_failure(request: Request, failure: Exception) -> Response:
    """Answer any failure: a page for a browser, problem details for a program."""
    answer = problem_of(failure)
    return error_page(request, answer) if wants_page(request) else answer

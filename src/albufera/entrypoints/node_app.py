"""The ASGI application of a node: REST, pages, DICOMweb and the log's tiles in one."""

from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from sqlalchemy.exc import DataError
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles

from albufera import __version__
from albufera.bootstrap.node import Node
from albufera.entrypoints.api import routes as api_routes
from albufera.entrypoints.api.idempotency import Idempotency
from albufera.entrypoints.dicom import routes as dicom_routes
from albufera.entrypoints.health import health_routes
from albufera.entrypoints.http import BodyLimit, SecurityHeaders, problem_of
from albufera.entrypoints.web import routes as web_routes
from albufera.entrypoints.web.rendering import error_page, wants_page
from albufera.kernel.errors import Refusal

STATIC = Path(__file__).parent / "web" / "static"


def create_node_app(node: Node) -> FastAPI:
    """Return the application that serves `node`."""
    app = FastAPI(
        title="Albufera",
        version=__version__,
        summary="A node of cancer imaging data: datasets, access, work in place, trace.",
        openapi_url="/api/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
    )
    app.state.services = node
    app.include_router(api_routes.router)
    app.include_router(dicom_routes.router, include_in_schema=False)
    app.include_router(web_routes.router, include_in_schema=False)
    app.mount("/static", StaticFiles(directory=STATIC))
    app.include_router(health_routes(node))
    for failure in (Refusal, RequestValidationError, HTTPException, DataError, Exception):
        app.add_exception_handler(failure, answer_failure)
    app.add_middleware(Idempotency, database=node.database)
    app.add_middleware(BodyLimit, limit=node.settings.web.max_upload_bytes)
    app.add_middleware(SecurityHeaders)
    return app


def answer_failure(request: Request, failure: Exception) -> Response:
    """Answer any failure: a page for a browser, problem details for a program."""
    answer = problem_of(failure)
    return error_page(request, answer) if wants_page(request) else answer

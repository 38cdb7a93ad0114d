"""`/healthz`, `/readyz`, `/metrics`: what watches a node asks of it."""

import threading
import time
from collections.abc import Iterable
from itertools import groupby

import sqlalchemy as sa
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, PlainTextResponse

from albufera import __version__
from albufera.bootstrap.measures import Measure, measure
from albufera.bootstrap.node import Node
from albufera.bootstrap.schema import schema_is_current
from albufera.compute.ports import Availability, Runner
from albufera.entrypoints.http import caller_of
from albufera.kernel.errors import FORBIDDEN, NOT_SIGNED_IN

PROMETHEUS_TEXT = "text/plain; version=0.0.4; charset=utf-8"
LOOPBACK = frozenset({"127.0.0.1", "::1"})
FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip")
TRUST_SECONDS = 60.0


def health_routes(node: Node) -> APIRouter:
    """Return the routes by which a node is watched."""
    router = APIRouter(include_in_schema=False)
    runner = _RunnerLook(node.jobs.runner)

    @router.get("/healthz")
    def alive() -> JSONResponse:
        """Say that the process answers."""
        return JSONResponse({"status": "ok", "version": __version__})

    @router.get("/readyz")
    def ready() -> JSONResponse:
        """Say whether the node can serve: 503 when its database does not answer or is older."""
        database = _state_of_database(node)
        found = runner.availability()
        jobs = {"available": found.ok, "limits": found.limits, "reason": found.reason}
        well = database == "ok"
        status = "ready" if well else "not ready"
        shown = {"status": status, "version": __version__, "database": database, "jobs": jobs}
        return JSONResponse(shown, 200 if well else 503)

    @router.get("/metrics")
    def metrics(request: Request) -> PlainTextResponse:
        """Return counts in the Prometheus text format, to this machine and to operators."""
        _require_watcher(request)
        return PlainTextResponse("".join(_lines(measure(node))), media_type=PROMETHEUS_TEXT)

    return router


class _RunnerLook:
    """Asks the runner at most once a minute: anybody may ask, and each answer is a real trial."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._lock = threading.Lock()
        self._last: tuple[float, Availability] | None = None

    def availability(self) -> Availability:
        with self._lock:
            if self._last is None or time.monotonic() - self._last[0] > TRUST_SECONDS:
                self._last = (time.monotonic(), self._runner.available())
            return self._last[1]


def _state_of_database(node: Node) -> str:
    try:
        with node.database.read() as connection:
            connection.execute(sa.text("SELECT 1"))
            return "ok" if schema_is_current(connection) else "older schema"
    except sa.exc.SQLAlchemyError:
        return "does not answer"


def _require_watcher(request: Request) -> None:
    """Let operators in, and what asks from this machine itself, not through a proxy on it."""
    proxied = any(name in request.headers for name in FORWARDED)
    if not proxied and request.client is not None and request.client.host in LOOPBACK:
        return
    actor = caller_of(request).actor
    if actor.is_operator:
        return
    if not actor.user_id:
        raise NOT_SIGNED_IN()
    raise FORBIDDEN("Metrics are for operators, and for programs on the node's own machine.")


def _lines(measures: Iterable[Measure]) -> Iterable[str]:
    """Write measures in the Prometheus text exposition format, version 0.0.4."""
    yield from ("# HELP albufera_info Version of this node.\n", "# TYPE albufera_info gauge\n")
    yield f'albufera_info{{version="{__version__}"}} 1\n'
    for name, group in groupby(measures, key=lambda item: item.name):
        items = list(group)
        yield f"# HELP albufera_{name} {items[0].help}\n# TYPE albufera_{name} gauge\n"
        for item in items:
            labels = ",".join(f'{key}="{_escaped(text)}"' for key, text in item.labels.items())
            yield f"albufera_{name}{'{' + labels + '}' if labels else ''} {item.value:g}\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")

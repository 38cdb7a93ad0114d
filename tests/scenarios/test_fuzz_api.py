"""Schemathesis over the node's own OpenAPI: no answer is a 500, and every answer is as declared.

The requests go to the application in this process, with identifiers that exist in most of the path
parameters. The default run is short and always the same; `-m heavy` digs deeper.
"""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis.checks import load_all_checks
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
)

from albufera.entrypoints.node_app import create_node_app
from tests.scenarios.furnished import Furnished, furnished_town
from tests.scenarios.hostile import HOSTILE
from tests.scenarios.wire import Answer, Wire

PROBLEM = "application/problem+json"
PARTS = ("operator", "researcher", "steward", "anonymous")
EXAMPLES = {"operator": 9, "researcher": 6, "steward": 6, "anonymous": 2}
PROPERTIES = {"type", "title", "status", "detail", "code", "remedy"}

load_all_checks()


@pytest.fixture(scope="module")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Furnished]:
    with furnished_town(tmp_path_factory.mktemp("fuzz") / "town") as built:
        yield built


@pytest.mark.parametrize("part", PARTS)
def test_api_holds(furnished: Furnished, part: str) -> None:
    _fuzz(furnished, part, EXAMPLES[part])


@pytest.mark.heavy
@pytest.mark.parametrize("part", PARTS)
def test_api_holds_longer(furnished: Furnished, part: str) -> None:
    _fuzz(furnished, part, 10 * EXAMPLES[part])


@pytest.mark.postgres
def test_api_holds_on_postgresql(
    tmp_path: Path, postgres_with_tables: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALBUFERA_DATABASE__URL", postgres_with_tables)
    with furnished_town(tmp_path) as built:
        for part in ("operator", "researcher"):
            _fuzz(built, part, 5)


def _fuzz(furnished: Furnished, part: str, examples: int) -> None:
    """Try every operation; fail with all complaints together."""
    wire = Wire(create_node_app(furnished.town.node))
    document = wire.send("GET", b"/api/v1/openapi.json").json()
    schema = schemathesis.openapi.from_dict(document)
    complaints = []
    try:
        for found in schema.get_all_operations():
            complaint = _try(found, _Prober(furnished, wire, part), examples)
            if complaint:
                complaints.append(complaint)
    finally:
        wire.close()
    assert not complaints, f"{len(complaints)} operations:\n\n" + "\n\n".join(complaints)


def _try(found: Any, prober: "_Prober", examples: int) -> str:
    operation = found.ok()
    cases = st.one_of(
        operation.as_strategy(generation_mode=schemathesis.GenerationMode.POSITIVE),
        operation.as_strategy(generation_mode=schemathesis.GenerationMode.NEGATIVE),
    )

    @seed(0)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.explicit, Phase.generate, Phase.shrink],
        report_multiple_bugs=False,
    )
    @given(case=cases, draw=st.data())
    def one(case: Any, draw: st.DataObject) -> None:
        prober.probe(case, draw)

    try:
        one()
    except AssertionError as failure:
        return f"{operation.method.upper()} {operation.path}\n{failure}"
    except BaseExceptionGroup as failures:
        return f"{operation.method.upper()} {operation.path}\n{failures.exceptions[0]}"
    return ""


class _Prober:
    """Puts cases to the application as one person, and judges the answers."""

    def __init__(self, furnished: Furnished, wire: Wire, part: str) -> None:
        self.furnished = furnished
        self.wire = wire
        self.actor = furnished.actor(part)

    def probe(self, case: Any, draw: st.DataObject) -> None:
        """Send one case. Raises AssertionError."""
        self._place_identifiers(case, draw)
        request = _prepare(case)
        target = str(request.url).removeprefix("http://localhost").encode()
        headers = [(k.encode("latin-1"), _bytes(v)) for k, v in request.headers.items()]
        body = request.body if isinstance(request.body, bytes) else str(request.body or "").encode()
        answer = self.wire.send(str(request.method), target, headers, body, self.actor)
        shown = f"{request.method} {target!r}\n{headers}\n{body[:600]!r}"
        judge(answer, shown)
        if answer.status < 400 and answer.status != 304:
            _conform(case, request, answer, shown)

    def _place_identifiers(self, case: Any, draw: st.DataObject) -> None:
        """Put what exists in the place of most path parameters, and what hurts in some."""
        likely, evenly = st.integers(0, 4), st.booleans()
        for name in case.path_parameters or {}:
            known = self.furnished.ids.get(name, [])
            if known and draw.draw(likely) > 0:
                case.path_parameters[name] = draw.draw(st.sampled_from(known))
            elif draw.draw(evenly):
                case.path_parameters[name] = quote(draw.draw(HOSTILE), safe="")
        if isinstance(case.body, dict):
            for name in case.body:
                known = self.furnished.ids.get(_IN_BODIES.get(name, ""), [])
                if draw.draw(evenly) and known:
                    chosen = draw.draw(st.sampled_from(known))
                    case.body[name] = [chosen] if name == "datasets" else chosen


_NO_TIME = timedelta(0)
_IN_BODIES = {
    "project": "code",
    "username": "username",
    "role": "role",
    "datasetId": "dataset_id",
    "datasets": "dataset_id",
    "jobId": "job_id",
}


def judge(answer: Answer, shown: str) -> None:
    """Refuse a failure inside, and errors that are not problem details (RFC 9457)."""
    assert not answer.failure, f"{shown}\n{answer.failure}"
    assert 200 <= answer.status < 500, f"{answer.status} for {shown}\n{answer.body[:2000]!r}"
    if answer.status >= 400:
        assert answer.media_type == PROBLEM, f"{answer.media_type} for {shown}"
        problem = answer.json()
        assert problem.keys() >= PROPERTIES, f"{problem} for {shown}"
        assert problem["status"] == answer.status
        assert problem["detail"], shown


def _prepare(case: Any) -> requests.PreparedRequest:
    arguments: Mapping[str, Any] = case.as_transport_kwargs(base_url="http://localhost")
    wanted = ("method", "url", "headers", "files", "data", "json", "params", "cookies")
    chosen = {name: value for name, value in arguments.items() if name in wanted}
    return requests.Request(**chosen).prepare()


def _conform(case: Any, request: requests.PreparedRequest, answer: Answer, shown: str) -> None:
    """Hold an answer against what the document declares of it."""
    sent = httpx.Request(str(request.method), "http://localhost/")
    response = httpx.Response(
        answer.status, headers=answer.headers, content=answer.body, request=sent
    )
    response.elapsed = _NO_TIME
    checks = [content_type_conformance, response_schema_conformance]
    try:
        case.validate_response(response, checks=checks)
    except BaseExceptionGroup as failures:
        reasons = "\n".join(str(failure) for failure in failures.exceptions)
        raise AssertionError(f"{reasons}\nfor {shown}\n{answer.body[:600]!r}") from None


def _bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode("utf-8", "surrogatepass")

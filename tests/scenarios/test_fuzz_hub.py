"""Schemathesis over the hub's OpenAPI: no answer is a 500, every failure is problem details."""

from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from albufera.entrypoints.hub.app import create_hub_app
from albufera.kernel.actor import ANONYMOUS, Actor
from tests.federation.world import World, condition, exchange, federation
from tests.scenarios.wire import Wire


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with federation(tmp_path_factory.mktemp("federation")) as (made, first, _):
        made.ask(condition("sex", "F"))
        exchange(first)
        made.hub.questions.daily = 10**6
        yield made


@pytest.mark.parametrize("part", ["operator", "researcher", "anonymous"])
def test_the_hub_holds(place: World, part: str) -> None:
    actors = {"operator": place.operator, "researcher": place.researcher, "anonymous": ANONYMOUS}
    wire = Wire(create_hub_app(place.hub))
    document = wire.send("GET", b"/api/v1/openapi.json").json()
    try:
        operations: Any = schemathesis.openapi.from_dict(document).get_all_operations()
        for found in operations:
            _try(found.ok(), wire, actors[part])
    finally:
        wire.close()


def _try(operation: Any, wire: Wire, actor: Actor) -> None:
    cases = st.one_of(
        operation.as_strategy(generation_mode=schemathesis.GenerationMode.POSITIVE),
        operation.as_strategy(generation_mode=schemathesis.GenerationMode.NEGATIVE),
    )

    @seed(0)
    @settings(
        max_examples=12,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.explicit, Phase.generate],
    )
    @given(case=cases)
    def one(case: Any) -> None:
        request = _prepared(case)
        target = request.url.removeprefix("http://localhost").encode()
        headers = [(k.encode("latin-1"), _bytes(v)) for k, v in request.headers.items()]
        answer = wire.send(str(request.method), target, headers, _bytes(request.body or b""), actor)
        assert answer.status < 500, f"{request.method} {target!r} {request.body!r}"
        if answer.status >= 400:
            assert answer.json()["code"], target

    one()


def _prepared(case: Any) -> Any:
    arguments = case.as_transport_kwargs(base_url="http://localhost")
    wanted = ("method", "url", "headers", "files", "data", "json", "params")
    chosen = {name: value for name, value in arguments.items() if name in wanted}
    return requests.Request(**chosen).prepare()


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")

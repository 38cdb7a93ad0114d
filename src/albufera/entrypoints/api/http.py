"""What the REST modules share: resources, pages, edit tags, the caller and the node."""

import hashlib
import json
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Depends, Query, Request, Response
from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from albufera.bootstrap.node import Node
from albufera.entrypoints.http import CSRF_HEADER, Caller, caller_of, check_csrf
from albufera.kernel.actor import ANONYMOUS, Actor, ActorKind
from albufera.kernel.errors import CHANGED_MEANWHILE, NOT_SIGNED_IN
from albufera.kernel.pages import DEFAULT_LIMIT, MAX_LIMIT, Page, PageRequest

T = TypeVar("T")
S = TypeVar("S")

PROBLEMS: dict[int | str, dict[str, Any]] = {
    "4XX": {
        "description": "A problem (RFC 9457): code, what happened, what to do.",
        "content": {"application/problem+json": {"schema": {"type": "object"}}},
    },
}
"""The problem responses that every route may give."""


class Resource(BaseModel):
    """Base of what goes over the wire: camelCase names, nothing unknown taken in."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", from_attributes=True
    )


class ResourcePage(Resource, Generic[T]):
    """A page of resources. `nextAfter` is the value of `after` for the page that follows."""

    items: list[T]
    next_after: str | None = None


def get_node(request: Request) -> Node:
    """Return the node that serves this request."""
    node: Node = request.app.state.services
    return node


def get_caller(request: Request) -> Caller:
    """Return the caller, having checked that a changing request is really theirs."""
    caller = caller_of(request)
    check_csrf(request, caller, request.headers.get(CSRF_HEADER))
    return caller


def get_actor(caller: Annotated[Caller, Depends(get_caller)]) -> Actor:
    """Return the signed-in actor. Raises `not-signed-in`."""
    if caller.actor.kind is ActorKind.ANONYMOUS:
        raise NOT_SIGNED_IN()
    return caller.actor


def get_actor_or_anonymous(caller: Annotated[Caller, Depends(get_caller)]) -> Actor:
    """Return the actor of a route that anybody may call."""
    return caller.actor or ANONYMOUS


def get_page(
    after: Annotated[
        str | None, Query(max_length=400, description="The key after which the page begins.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT,
) -> PageRequest:
    """Return which page is asked for."""
    return PageRequest(after, limit)


NodeDep = Annotated[Node, Depends(get_node)]
ActorDep = Annotated[Actor, Depends(get_actor)]
AnyoneDep = Annotated[Actor, Depends(get_actor_or_anonymous)]
PageDep = Annotated[PageRequest, Depends(get_page)]


def to_page(
    page: Page[S], make: Callable[[S], T], request: Request, response: Response
) -> ResourcePage[T]:
    """Make a wire page of a page of nouns, with its `Link: rel="next"` header."""
    if page.next_after is not None:
        url = request.url.include_query_params(after=page.next_after)
        response.headers["link"] = f'<{url}>; rel="next"'
    items: Sequence[T] = [make(item) for item in page.items]
    return ResourcePage[T](items=list(items), next_after=page.next_after)


def etag_of(resource: BaseModel) -> str:
    """Return the entity tag of a resource's present content."""
    content = json.dumps(resource.model_dump(mode="json"), sort_keys=True).encode()
    return f'"{hashlib.sha256(content).hexdigest()[:32]}"'


def check_if_match(request: Request, current: BaseModel) -> None:
    """Raise `changed-meanwhile` when `If-Match` names another version than the current one."""
    wanted = request.headers.get("if-match", "*")
    if wanted != "*" and etag_of(current) not in {tag.strip() for tag in wanted.split(",")}:
        raise CHANGED_MEANWHILE()

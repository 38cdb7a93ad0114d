"""What the REST modules of a node share: the caller, the node, edit tags."""

import hashlib
import json
from typing import Annotated

from fastapi import Depends, Request
from pydantic import BaseModel

from albufera.bootstrap.node import Node
from albufera.entrypoints.api.resources import (
    PROBLEMS,
    PageDep,
    Resource,
    ResourcePage,
    get_page,
    to_page,
)
from albufera.entrypoints.http import CSRF_HEADER, Caller, caller_of, check_csrf
from albufera.kernel.actor import ANONYMOUS, Actor, ActorKind
from albufera.kernel.errors import CHANGED_MEANWHILE, NOT_SIGNED_IN

__all__ = [
    "PROBLEMS",
    "ActorDep",
    "AnyoneDep",
    "NodeDep",
    "PageDep",
    "Resource",
    "ResourcePage",
    "check_if_match",
    "etag_of",
    "get_actor",
    "get_actor_or_anonymous",
    "get_caller",
    "get_node",
    "get_page",
    "to_page",
]


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


NodeDep = Annotated[Node, Depends(get_node)]
ActorDep = Annotated[Actor, Depends(get_actor)]
AnyoneDep = Annotated[Actor, Depends(get_actor_or_anonymous)]


def etag_of(resource: BaseModel) -> str:
    """Return the entity tag of a resource's present content."""
    content = json.dumps(resource.model_dump(mode="json"), sort_keys=True).encode()
    return f'"{hashlib.sha256(content).hexdigest()[:32]}"'


def check_if_match(request: Request, current: BaseModel) -> None:
    """Raise `changed-meanwhile` when `If-Match` names another version than the current one."""
    wanted = request.headers.get("if-match", "*")
    if wanted != "*" and etag_of(current) not in {tag.strip() for tag in wanted.split(",")}:
        raise CHANGED_MEANWHILE()

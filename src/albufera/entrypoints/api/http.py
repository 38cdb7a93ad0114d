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
from albufera.entrypoints.callers import ActorDep, CallerDep, get_actor, get_caller
from albufera.kernel.actor import ANONYMOUS, Actor
from albufera.kernel.errors import CHANGED_MEANWHILE

__all__ = [
    "PROBLEMS",
    "ActorDep",
    "AnyoneDep",
    "CallerDep",
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


def get_actor_or_anonymous(caller: CallerDep) -> Actor:
    """Return the actor of a route that anybody may call."""
    return caller.actor or ANONYMOUS


NodeDep = Annotated[Node, Depends(get_node)]
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

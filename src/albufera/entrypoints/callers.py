"""Who calls by REST, at a node and at a hub."""

from typing import Annotated

from fastapi import Depends, Request

from albufera.entrypoints.http import CSRF_HEADER, Caller, caller_of, check_csrf
from albufera.kernel.actor import Actor, ActorKind
from albufera.kernel.errors import NOT_SIGNED_IN


def get_caller(request: Request) -> Caller:
    """Return the caller, having checked that a changing request is really theirs."""
    caller = caller_of(request)
    check_csrf(request, caller, request.headers.get(CSRF_HEADER))
    return caller


CallerDep = Annotated[Caller, Depends(get_caller)]


def get_actor(caller: CallerDep) -> Actor:
    """Return the signed-in actor. Raises `not-signed-in`."""
    if caller.actor.kind is ActorKind.ANONYMOUS:
        raise NOT_SIGNED_IN()
    return caller.actor


ActorDep = Annotated[Actor, Depends(get_actor)]

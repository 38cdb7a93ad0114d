"""`/federation/v1`: where nodes hand their signed messages in. The hub itself calls nobody."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request

from albufera.entrypoints.api.resources import PROBLEMS
from albufera.entrypoints.hub.http import HubDep
from albufera.federation.messages import Introduction, Kind

router = APIRouter(prefix="/federation/v1", tags=["federation"], responses=PROBLEMS)


async def read_body(request: Request) -> bytes:
    """Return the bytes that were sent; the application bounds their number."""
    return await request.body()


@router.get("/hub")
def introduction(hub: HubDep) -> Introduction:
    """Say who this hub is: its key, for a person to compare the fingerprint."""
    return hub.desk.introduction()


@router.post("/{kind}")
def receive(hub: HubDep, kind: Kind, body: Annotated[bytes, Depends(read_body)]) -> dict[str, Any]:
    """Take a node's signed message and return the signed answer."""
    return hub.desk.receive(kind, body)

"""The hub that serves a request."""

from typing import Annotated

from fastapi import Depends, Request

from albufera.bootstrap.hub import Hub


def get_hub(request: Request) -> Hub:
    """Return the hub that serves this request."""
    hub: Hub = request.app.state.services
    return hub


HubDep = Annotated[Hub, Depends(get_hub)]

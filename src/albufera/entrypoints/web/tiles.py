"""The log's checkpoint and tiles (C2SP tlog-tiles), for programs that watch or mirror it."""

from fastapi import APIRouter, Response
from fastapi.responses import PlainTextResponse

from albufera.entrypoints.web.rendering import CallerDep, NodeDep
from albufera.trace.errors import TILE_NOT_FOUND
from albufera.trace.tiles import parse_path

router = APIRouter()

_FOREVER = "public, max-age=31536000, immutable"


@router.get("/trace/checkpoint")
def checkpoint(node: NodeDep) -> Response:
    """The newest signed head, as a signed note."""
    return PlainTextResponse(node.trace.checkpoint().note, headers={"cache-control": "no-cache"})


@router.get("/trace/tile/{path:path}")
def tile(node: NodeDep, caller: CallerDep, path: str) -> Response:
    """Hashes of the tree, for anybody; bundles of entries, for who may verify the whole log."""
    request = parse_path(path)
    if request is None:
        raise TILE_NOT_FOUND("A tile's address is tile/<L>/<N>[.p/<W>], such as tile/0/x001/067.")
    if request.level is None:
        content, caching = node.trace.bundle(caller.actor, request), "private, no-cache"
    else:
        content, caching = node.trace.tile(request), _FOREVER
    return Response(
        content, media_type="application/octet-stream", headers={"cache-control": caching}
    )

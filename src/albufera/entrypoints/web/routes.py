"""The pages of a node, domain by domain."""

from fastapi import APIRouter

from albufera.entrypoints.web import clinical, ingests, session, studies, tiles, trace

router = APIRouter()
for module in (session, clinical, tiles, trace, ingests, studies):
    router.include_router(module.router)

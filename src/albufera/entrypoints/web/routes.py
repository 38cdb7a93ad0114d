"""The pages of a node, domain by domain."""

from fastapi import APIRouter

from albufera.entrypoints.web import clinical, session

router = APIRouter()
for module in (session, clinical):
    router.include_router(module.router)

"""The pages of a node, domain by domain."""

from fastapi import APIRouter

from albufera.entrypoints.web import session

router = APIRouter()
for module in (session,):
    router.include_router(module.router)

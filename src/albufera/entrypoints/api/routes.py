"""The REST routes of a node, domain by domain."""

from fastapi import APIRouter

from albufera.entrypoints.api import clinical, projects, session, users
from albufera.entrypoints.api.http import PROBLEMS

router = APIRouter(prefix="/api/v1", responses=PROBLEMS)
for module in (session, users, projects, clinical):
    router.include_router(module.router)

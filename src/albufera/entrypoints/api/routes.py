"""The REST routes of a node, domain by domain."""

from fastapi import APIRouter

from albufera.entrypoints.api import (
    access,
    clinical,
    cohorts,
    datasets,
    egress,
    federation,
    ingests,
    jobs,
    projects,
    publication,
    session,
    studies,
    trace,
    users,
)
from albufera.entrypoints.api.http import PROBLEMS

router = APIRouter(prefix="/api/v1", responses=PROBLEMS)
for module in (
    session,
    users,
    projects,
    access,
    clinical,
    datasets,
    publication,
    cohorts,
    trace,
    ingests,
    studies,
    jobs,
    egress,
    federation,
):
    router.include_router(module.router)

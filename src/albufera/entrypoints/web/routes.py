"""The pages of a node, domain by domain."""

from fastapi import APIRouter

from albufera.entrypoints.web import (
    access,
    catalogue,
    clinical,
    datasets,
    egress,
    federation,
    ingests,
    jobs,
    overview,
    projects,
    publication,
    session,
    studies,
    tiles,
    trace,
    users,
)

router = APIRouter()
for module in (
    session,
    overview,
    projects,
    access,
    users,
    catalogue,
    publication,  # before datasets, whose page it shows to insiders alone
    datasets,
    clinical,
    tiles,
    trace,
    ingests,
    studies,
    jobs,
    egress,
    federation,
):
    router.include_router(module.router)

"""Pages of signing in to a node and out of it."""

from albufera.entrypoints.web.rendering import PAGES
from albufera.entrypoints.web.signing_in import sign_in_router

router = sign_in_router(PAGES)

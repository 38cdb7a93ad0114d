"""Pages of signing in to a hub and out of it."""

from albufera.entrypoints.hub.rendering import PAGES
from albufera.entrypoints.web.signing_in import sign_in_router

router = sign_in_router(PAGES)

"""Pages of signing in and out, at a node and at a hub."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from albufera.entrypoints.http import SESSION_COOKIE, refuse_cross_site, services_of
from albufera.entrypoints.web.environment import FormDep, Pages, field, own_address, redirect
from albufera.identity.model import SESSION_LIFETIME
from albufera.kernel.errors import Refusal


def sign_in_router(pages: Pages) -> APIRouter:
    """Return the routes of signing in and out, shown in the frame of `pages`."""
    router = APIRouter()

    @router.get("/sign-in")
    def sign_in_page(request: Request, next: str = "/") -> Response:
        """Show the sign-in form."""
        shown = {"next": own_address(next), "username": "", "error": ""}
        return pages.render(request, "sign-in.html", **shown)

    @router.post("/sign-in")
    def sign_in(request: Request, form: FormDep) -> Response:
        """Check the password and open a session."""
        refuse_cross_site(request)
        username, target = field(form, "username"), own_address(field(form, "next", "/"))
        try:
            token = _token(request, username, form.get("password"))
        except Refusal as refusal:
            shown = {"next": target, "username": username, "error": refusal.detail}
            return pages.render(request, "sign-in.html", refusal.error.status, **shown)
        response = redirect(target)
        response.set_cookie(
            SESSION_COOKIE,
            token,
            max_age=int(SESSION_LIFETIME.total_seconds()),
            httponly=True,
            samesite="lax",
            secure=services_of(request).settings.web.secure_cookies,
        )
        return response

    @router.post("/sign-out")
    def sign_out(request: Request, _form: FormDep) -> Response:
        """End the session."""
        services_of(request).identity.sign_out(request.cookies.get(SESSION_COOKIE, ""))
        response = redirect("/")
        response.delete_cookie(SESSION_COOKIE)
        return response

    return router


def _token(request: Request, username: str, password: object) -> str:
    address = request.client.host if request.client else "unknown"
    typed = password if isinstance(password, str) else ""
    token, _ = services_of(request).identity.sign_in(username, typed, address)
    return token

"""Pages of signing in and out."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from albufera.entrypoints.http import SESSION_COOKIE, refuse_cross_site
from albufera.entrypoints.web.environment import own_address
from albufera.entrypoints.web.rendering import (
    FormDep,
    NodeDep,
    field,
    redirect,
    render,
)
from albufera.identity.model import SESSION_LIFETIME
from albufera.kernel.errors import Refusal

router = APIRouter()


@router.get("/sign-in")
def sign_in_page(request: Request, next: str = "/") -> Response:
    """Show the sign-in form."""
    return render(request, "sign-in.html", next=own_address(next), username="", error="")


@router.post("/sign-in")
def sign_in(request: Request, node: NodeDep, form: FormDep) -> Response:
    """Check the password and open a session."""
    refuse_cross_site(request)
    username, target = field(form, "username"), own_address(field(form, "next", "/"))
    address = request.client.host if request.client else "unknown"
    password = form.get("password")
    try:
        token, _ = node.identity.sign_in(
            username, password if isinstance(password, str) else "", address
        )
    except Refusal as refusal:
        return render(
            request,
            "sign-in.html",
            refusal.error.status,
            next=target,
            username=username,
            error=refusal.detail,
        )
    response = redirect(target)
    response.set_cookie(
        SESSION_COOKIE,
        token,
        max_age=int(SESSION_LIFETIME.total_seconds()),
        httponly=True,
        samesite="lax",
        secure=node.settings.web.secure_cookies,
    )
    return response


@router.post("/sign-out")
def sign_out(request: Request, node: NodeDep, _form: FormDep) -> Response:
    """End the session."""
    node.identity.sign_out(request.cookies.get(SESSION_COOKIE, ""))
    response = redirect("/")
    response.delete_cookie(SESSION_COOKIE)
    return response

"""Pages of questions to all nodes."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from albufera.entrypoints.hub.http import HubDep
from albufera.entrypoints.hub.question_form import QuestionForm, read_form
from albufera.entrypoints.hub.rendering import render
from albufera.entrypoints.web.environment import ActorDep, FormDep, redirect
from albufera.federation.expressions import ASKABLE, sentence
from albufera.federation.hub.model import Search
from albufera.kernel.actor import Actor
from albufera.kernel.errors import Refusal
from albufera.kernel.pages import PageRequest

router = APIRouter()

_SHOWN = 20


@router.get("/queries")
def questions(request: Request, hub: HubDep, actor: ActorDep) -> Response:
    """Show the form and the questions that were asked."""
    return render(request, "hub/questions.html", **_context(request, hub, actor, QuestionForm()))


@router.post("/queries")
def ask(request: Request, hub: HubDep, actor: ActorDep, form: FormDep) -> Response:
    """Ask, and lead to the page on which the answers arrive."""
    filled = read_form(form)
    try:
        query = hub.questions.ask(actor, filled.document())
    except Refusal as refusal:
        context = _context(request, hub, actor, filled)
        context["errors"] = {"expression": refusal.detail}
        return render(request, "hub/questions.html", refusal.error.status, **context)
    return redirect(f"/queries/{query.query_id}")


@router.get("/queries/{query_id}")
def result(request: Request, hub: HubDep, actor: ActorDep, query_id: str) -> Response:
    """Show what the nodes have answered so far."""
    found = hub.questions.result(actor, query_id)
    return render(
        request,
        "hub/result.html",
        result=found,
        query=found.query,
        sentence=sentence(found.query.expression),
    )


def _context(request: Request, hub: HubDep, actor: Actor, filled: QuestionForm) -> dict[str, Any]:
    after = request.query_params.get("after", "")[:100] or None
    page = hub.questions.list(actor, PageRequest(after, _SHOWN))
    facets = hub.catalogue.facets(Search("", {"state": ("published",)}))
    options = {
        name: [(item.value, item.label) for item in facets[name]]
        for name in ("modality", "bodyPart", "diagnosis")
    }
    return {
        "filled": filled,
        "errors": {},
        "options": options,
        "askable": ", ".join(ASKABLE),
        "left": hub.questions.left_today(actor),
        "questions": [(query, sentence(query.expression)) for query in page.items],
        "next_href": f"/queries?after={page.next_after}" if page.next_after else None,
    }

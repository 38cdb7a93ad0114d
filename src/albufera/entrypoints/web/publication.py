"""Landing pages, identifiers, citations: what anybody may have of published datasets."""

import json
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import RedirectResponse, Response
from markupsafe import Markup
from starlette.convertors import Convertor, register_url_convertor

from albufera.bootstrap.node import Node
from albufera.entrypoints.web import datasets
from albufera.entrypoints.web.charts import Chart, bar_chart
from albufera.entrypoints.web.negotiation import preferred
from albufera.entrypoints.web.rendering import CallerDep, NodeDep, human_bytes, render
from albufera.kernel.actor import Actor, ActorKind
from albufera.kernel.errors import INVALID, NOT_FOUND
from albufera.kernel.policy import Thing
from albufera.publication.disclosure import SMALL
from albufera.publication.formats.citing import to_bibtex, to_text
from albufera.publication.formats.datacite import to_datacite
from albufera.publication.formats.plain import to_json
from albufera.publication.formats.schema_org import in_script, to_json_ld
from albufera.publication.formats.signposting import FORMATS, link_header
from albufera.publication.model import PublicDataset

router = APIRouter()

PAGE = "text/html"
GONE = 410
_FACETS = (
    ("age", "Age", "age"),
    ("sex", "Sex", "sex"),
    ("modality", "Modality", "modality"),
    ("bodyPart", "Body part", "body part"),
    ("diagnosis", "Diagnosis", "diagnosis"),
    ("manufacturer", "Manufacturer", "manufacturer"),
    ("year", "Year of study", "year"),
)
_SEXES = {"F": "Female", "M": "Male", "O": "Other"}


class _DatasetId(Convertor[str]):
    """Takes identifiers of datasets alone, so that `/datasets/new` stays a page of its own."""

    regex = "ds-[0-9a-z]{26}"

    def convert(self, value: str) -> str:
        """Return the identifier as it stands in the address."""
        return value

    def to_string(self, value: str) -> str:
        """Return the identifier as it stands in an address."""
        return value


register_url_convertor("dataset", _DatasetId())
Format = Annotated[str, Query(max_length=20)]


@router.api_route("/datasets/{dataset_id:dataset}", methods=["GET", "HEAD"])
def landing(
    request: Request, node: NodeDep, caller: CallerDep, dataset_id: str, format: Format = ""
) -> Response:
    """Show a dataset: to insiders the catalogue's page, to anybody the landing page or tombstone.

    By `Accept` or `?format=` the metadata come as DataCite JSON, schema.org JSON-LD, JSON, BibTeX.
    """
    public = node.publication.find(dataset_id)
    media = _wanted(request, format)
    if media != PAGE:
        if public is None:
            raise NOT_FOUND()
        return _document(public, media)
    if public is None or _is_insider(node, caller.actor, public):
        response = datasets.dataset_page(request, node, caller, dataset_id)
    else:
        response = _page(request, node, caller.actor, public)
    return response if public is None else _signposted(response, public)


@router.get("/datasets/{dataset_id:dataset}/landing")
def public_page(request: Request, node: NodeDep, caller: CallerDep, dataset_id: str) -> Response:
    """Show the public's page to anybody, insiders too."""
    public = node.publication.show(dataset_id)
    return _signposted(_page(request, node, caller.actor, public), public)


@router.get("/datasets/{dataset_id:dataset}/citation.json")
def citation_bundle(node: NodeDep, dataset_id: str) -> Response:
    """Return the signed citation bundle as a file."""
    name = f"{dataset_id}.citation.json"
    headers = {"content-disposition": f'attachment; filename="{name}"', "cache-control": "no-cache"}
    content = json.dumps(node.publication.citation(dataset_id), ensure_ascii=False, indent=1)
    return Response(content, headers=headers, media_type="application/json")


@router.api_route("/id/{identifier:path}", methods=["GET", "HEAD"])
def resolve(node: NodeDep, identifier: Annotated[str, Path(max_length=300)]) -> RedirectResponse:
    """Lead from a persistent identifier to its landing page (or tombstone)."""
    return RedirectResponse(f"/datasets/{node.publication.resolve(identifier).dataset_id}", 303)


@router.get("/sitemap.xml")
def sitemap(node: NodeDep) -> Response:
    """List the landing pages for search engines (https://www.sitemaps.org/protocol.html)."""
    entries = "".join(
        f"<url><loc>{Markup.escape(page.url)}</loc>"
        f"<lastmod>{page.changed_at.date().isoformat()}</lastmod></url>\n"
        for page in node.publication.pages()
    )
    content = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n{entries}</urlset>\n'
    )
    return Response(content, media_type="application/xml")


@router.get("/robots.txt")
def robots(node: NodeDep) -> Response:
    """Tell search engines what they may read: what is public (RFC 9309)."""
    site = node.publication.publisher.url.rstrip("/")
    lines = ("User-agent: *", "Allow: /datasets/", "Allow: /id/", "Allow: /static/", "Disallow: /")
    return Response(
        "\n".join((*lines, "", f"Sitemap: {site}/sitemap.xml", "")), media_type="text/plain"
    )


def _wanted(request: Request, format: str) -> str:
    if format in {"", "html"}:
        accept = request.headers.get("accept", "") if not format else PAGE
        return preferred(accept, (PAGE, *FORMATS.values())) or PAGE
    if format not in FORMATS:
        raise INVALID(f"“format” is one of html, {', '.join(FORMATS)}.", field="format")
    return FORMATS[format]


def _is_insider(node: Node, actor: Actor, public: PublicDataset) -> bool:
    """Tell who sees the catalogue's page, with whole counts: whoever may read the manifest."""
    if actor.kind is ActorKind.ANONYMOUS:
        return False
    thing = Thing("dataset", public.dataset_id, public.project_id, state=public.state)
    with node.database.read() as connection:
        return node.policy.may(connection, actor, "dataset.manifest", thing)


def _document(public: PublicDataset, media: str) -> Response:
    makers: dict[str, Any] = {
        FORMATS["datacite"]: to_datacite,
        FORMATS["jsonld"]: to_json_ld,
        FORMATS["json"]: to_json,
    }
    if media == FORMATS["bibtex"]:
        content = to_bibtex(public)
    else:
        content = json.dumps(makers[media](public), ensure_ascii=False, indent=1)
    response = Response(content, GONE if public.is_tombstone else 200, media_type=media)
    response.headers["cache-control"] = "no-cache"
    response.headers["vary"] = "Accept"
    return _signposted(response, public)


def _page(request: Request, node: Node, actor: Actor, public: PublicDataset) -> Response:
    common: dict[str, Any] = {
        "public": public,
        "citation": to_text(public),
        "bibtex": to_bibtex(public),
        "structured": Markup(in_script(to_json_ld(public))),  # noqa: S704 - escaped by in_script
        "node_key": node.publication.key,
    }
    if public.is_tombstone:
        return render(request, "publication/tombstone.html", GONE, **common)
    return render(
        request,
        "publication/landing.html",
        stats=_stats(public),
        charts=_charts(public),
        small=SMALL,
        access=_access(actor, public),
        **common,
    )


def _signposted(response: Response, public: PublicDataset) -> Response:
    response.headers["link"] = link_header(public)
    vary = response.headers.get("vary", "")
    if "Accept" not in vary:
        response.headers["vary"] = f"Accept, {vary}".strip(", ")
    return response


def _stats(public: PublicDataset) -> list[dict[str, Any]]:
    counts = public.aggregate
    subjects = f"fewer than {SMALL}" if counts["subjects"] is None else counts["subjects"]
    return [
        {"label": "Subjects", "value": subjects},
        {"label": "Studies", "value": counts["studies"]},
        {"label": "Series", "value": counts["series"]},
        {"label": "Images", "value": counts["images"]},
        {"label": "Size", "value": human_bytes(counts["bytes"])},
    ]


def _charts(public: PublicDataset) -> list[dict[str, Any]]:
    """Return charts of what may be counted, each with a note of what may not."""
    found = []
    for key, title, label in _FACETS:
        items = _items(public.aggregate[key]) if key == "age" else public.aggregate[key]
        named = [(_SEXES.get(i["value"], i["value"]) if key == "sex" else i["value"],
                  i["subjects"]) for i in items]  # fmt: skip
        hidden = [name for name, count in named if count is None]
        counted = [(name, count) for name, count in named if count]
        if named and (hidden or counted):
            chart: Chart | None = None
            if counted:
                whole = public.aggregate["subjects"]
                chart = bar_chart(
                    title, counted, prefix=key, limit=12, unit="subjects", label=label, whole=whole
                )
            found.append({"title": title, "chart": chart, "hidden": hidden})
    return found


def _items(age: dict[str, Any]) -> list[dict[str, Any]]:
    bands = [{"value": band["label"], "subjects": band["subjects"]} for band in age["bands"]]
    unknown = {"value": "unknown", "subjects": age["unknown"]}
    return [*bands, unknown] if age["unknown"] != 0 else bands


def _access(actor: Actor, public: PublicDataset) -> dict[str, str]:
    """Return the way to apply: the form for who is signed in, else the sign-in page."""
    here = f"/datasets/{public.dataset_id}/apply"
    if actor.kind is ActorKind.ANONYMOUS:
        return {"href": f"/sign-in?next={quote(here)}", "label": "Sign in to apply"}
    return {"href": here, "label": "Apply for access"}

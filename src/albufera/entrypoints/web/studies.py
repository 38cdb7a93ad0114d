"""Pages of the lake: the studies, and one study with its series and their pictures."""

from collections.abc import Sequence
from html import escape
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from albufera.entrypoints.api.studies import parse_window, study_filter
from albufera.entrypoints.web.rendering import ActorDep, NodeDep, render
from albufera.kernel.errors import Refusal
from albufera.kernel.pages import PageRequest
from albufera.lake.model import NO_PICTURE, PICTURES_BUSY, Series

router = APIRouter()

CT_WINDOWS = (
    ("auto", "As stored"),
    ("-600,1500", "Lung"),
    ("40,400", "Soft tissue"),
    ("400,1800", "Bone"),
)
"""Centre and width in Hounsfield units."""

OTHER_WINDOWS = (("auto", "As stored"),)
MODALITIES = ("CT", "MR", "PT", "MG", "US", "CR", "DX", "NM", "SEG", "RTSTRUCT")
PICTURE_SIZE = 640
Text = Annotated[str, Query(max_length=200)]


@router.get("/studies")
def studies_page(
    request: Request,
    node: NodeDep,
    actor: ActorDep,
    project: Text = "",
    subject: Text = "",
    modality: Text = "",
    q: Text = "",
    after: str | None = None,
) -> Response:
    """Show the studies, narrowed by what was chosen."""
    wanted = study_filter(node, actor, project, None, subject, modality.replace("\0", ""), q)
    page = node.lake.list_studies(actor, wanted, PageRequest(after))
    chosen = {"project": project, "subject": subject, "modality": modality, "q": q}
    query = {key: value for key, value in chosen.items() if value}
    codes = {item.project_id: item.code for item in node.projects.list(actor)}
    return render(
        request,
        "studies.html",
        studies=page.items,
        codes=codes,
        chosen=chosen,
        narrowed=bool(query),
        projects=[(code, code) for code in sorted(codes.values())],
        modalities=[(name, name) for name in MODALITIES],
        next_href=f"/studies?{urlencode({**query, 'after': page.next_after})}"
        if page.next_after
        else None,
        first_href=f"/studies?{urlencode(query)}" if after else None,
    )


@router.get("/studies/{study_id}")
def study_page(
    request: Request,
    node: NodeDep,
    actor: ActorDep,
    study_id: str,
    series: Text = "",
    slice: Annotated[int | None, Query(ge=1, le=1_000_000)] = None,
    window: Annotated[str, Query(max_length=50)] = "auto",
) -> Response:
    """Show a study, its series, and the pictures of one of them, beginning in the middle."""
    parse_window(window)
    opened = node.lake.open_study(actor, study_id.replace("\0", ""))
    shown = _chosen(opened.series, series)
    slices = len(node.lake.slices(actor, shown.series_id)) if shown else 0
    return render(
        request,
        "study.html",
        study=opened.study,
        series=opened.series,
        shown=shown,
        slices=slices,
        slice=max(1, min(slice or slices // 2 + 1, slices)),
        window=window or "auto",
        presets=CT_WINDOWS if shown and shown.modality == "CT" else OTHER_WINDOWS,
        pattern=f"/series/{shown.series_id}/picture?slice={{slice}}&window={{window}}"
        if shown
        else "",
    )


@router.get("/series/{series_id}/picture")
def picture(
    node: NodeDep,
    actor: ActorDep,
    series_id: str,
    slice: Annotated[int, Query(ge=1, le=1_000_000)] = 1,
    window: Annotated[str, Query(max_length=50)] = "auto",
) -> Response:
    """Send a slice as PNG; where none can be drawn, a picture that says why."""
    try:
        png = node.lake.picture(
            actor, series_id.replace("\0", ""), slice, parse_window(window), PICTURE_SIZE
        )
    except Refusal as refusal:
        if refusal.error not in (NO_PICTURE, PICTURES_BUSY):
            raise
        return Response(_placeholder(refusal.detail), media_type="image/svg+xml")
    return Response(png, headers={"cache-control": "private, max-age=3600"}, media_type="image/png")


def _chosen(series: Sequence[Series], wanted: str) -> Series | None:
    """The series asked for, or the one with most to see."""
    for item in series:
        if item.series_id == wanted:
            return item
    drawable = [item for item in series if item.rows]
    return max(drawable or series, key=lambda item: item.instance_count, default=None)


def _placeholder(reason: str) -> str:
    lines = _wrapped(reason, 48)
    spans = "".join(
        f'<text x="240" y="{250 + 24 * row}" text-anchor="middle" font-size="16" fill="#9aa7ad">'
        f"{escape(line)}</text>"
        for row, line in enumerate(lines)
    )
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 480 480" width="480" height="480" '
        'font-family="sans-serif"><rect width="480" height="480" fill="#10181c"/>'
        '<text x="240" y="210" text-anchor="middle" font-size="20" fill="#dfe7ea">'
        f"No picture can be drawn</text>{spans}</svg>"
    )


def _wrapped(text: str, width: int) -> list[str]:
    lines = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) > width and lines[-1]:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines[:6]

"""The macros: strict, escaping, accessible, and within the content security policy."""

import re
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import pytest
from jinja2 import Environment, FileSystemLoader, StrictUndefined

TEMPLATES = Path(__file__).parents[3] / "src/albufera/entrypoints/web/templates"
IMPORTS = "".join(
    f'{{% import "ui/{path.name}" as {path.stem} %}}'
    for path in sorted((TEMPLATES / "ui").glob("*.html"))
)
HOSTILE = '"><script>x</script>'
FRAME = {
    "viewer": SimpleNamespace(name=HOSTILE, username="u", roles=["steward"], is_operator=False),
    "navigation": [{"label": "Jobs", "href": "/jobs", "current": True, "count": 2}],
    "node_name": HOSTILE,
    "csrf_token": "t0ken",
    "flash": [{"kind": "warning", "text": HOSTILE}],
    "path": "/",
}
USES = [
    "page.page_header(x, x, [x])",
    'page.breadcrumb([{"label": x, "href": x}, {"label": x}])',
    'page.tabs([{"label": x, "href": x, "current": true, "count": 1}])',
    'page.notice("error", x, x)',
    'page.empty_state(x, x, {"label": x, "href": x})',
    'page.stats([{"label": x, "value": 12345, "note": x}])',
    'page.definitions([(x, x), (x, [x, 2]), (x, none), (x, "")])',
    'page.timeline([{"when": x, "datetime": x, "title": x, "text": x, "tone": "bad"}])',
    "page.digest(x * 4)",
    "page.code_block(x)",
    "page.pagination(x, 3, 9, x)",
    'page.problem(404, x, x, x, x, {"label": x, "href": x})',
    'page.tombstone(x, x, x, {"label": x, "href": x})',
    "badge.badge(x)",
    "badge.tag(x)",
    'table.table(x, [{"label": x}, {"label": x, "kind": "number"}], [[{"text": x, "href": x}, 3]])',
    'table.table(x, [{"label": x, "href": x, "sorted": "ascending"}], [[none]], layout="scroll")',
    'table.error_rows(x, [{"row": 1, "column": x, "value": x, "message": x}])',
    "form.search(x, x, hidden=[(x, x)])",
    'form.error_summary({"a": x})',
    'form.text("a", x, x, x, x)',
    'form.textarea("a", x, x, x, x)',
    'form.password("a", x)',
    'form.number("a", x, 0, attrs={"max": x})',
    'form.date("a", x)',
    'form.file("a", x, x)',
    'form.select("a", x, [(x, x)], x, empty=x)',
    'form.checkbox("a", x, true, x, x, x)',
    'form.radios("a", x, [(x, x, x)], x, x, x)',
    'form.checkboxes("a", x, [(x, x)], [x])',
    "form.submit(x, cancel_href=x)",
    'form.button_post(x, x, x, "danger", {"k": x})',
    "form.confirm(x, x, x, x, x, x)",
    'facets.facet_form(x, [{"name": x, "label": x, "options":'
    ' [{"value": x, "label": x, "count": none, "checked": true}]}])',
    'facets.chips([{"label": x, "value": x, "remove_href": x}], x)',
    "live.refresh(true)",
    "live.progress(x, 3, 7, x, x)",
    "live.progress(x, 3)",
    "live.log(x, truncated_href=x)",
    'files.file_list([{"path": x, "size": x, "kind": x, "sha256": x, "warnings": [x],'
    ' "preview": {"kind": "text", "text": x, "truncated": true}}])',
    'viewer.pictures("/s", "/p?a=1&s={slice}&w={window}", 2, 9, "1,2", [("auto", "Auto")], x)',
]


class Page(HTMLParser):
    """Collects the elements, and fails where one is closed that is not the last opened."""

    VOID = frozenset({"input", "img", "meta", "link", "path", "circle", "br"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def values(self, name: str) -> list[str | None]:
        return [attrs[name] for _, attrs in self.elements if name in attrs]


ENVIRONMENT = Environment(
    loader=FileSystemLoader(TEMPLATES),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
ENVIRONMENT.globals["static_url"] = lambda name: f"/static/{name}?v=1"


def render(source: str, **context: object) -> Page:
    return Page(ENVIRONMENT.from_string(source).render(**context))


def forbidden(page: Page) -> list[str]:
    return [
        f"{tag} {name}"
        for tag, attrs in page.elements
        for name in attrs
        if name == "style" or name.startswith("on")
    ]


@pytest.mark.parametrize("use", USES, ids=lambda use: use.split("(")[0])
def test_a_macro_escapes_and_keeps_to_the_policy(use: str) -> None:
    page = render(f"{IMPORTS}{{{{ {use} }}}}", x=HOSTILE)
    assert "script" not in {tag for tag, _ in page.elements}
    assert forbidden(page) == []


@pytest.mark.parametrize("viewer", [FRAME["viewer"], None], ids=["signed in", "stranger"])
def test_the_frame(viewer: object) -> None:
    page = render('{% extends "base.html" %}', **{**FRAME, "viewer": viewer})
    tags = [tag for tag, _ in page.elements]
    assert [tags.count(tag) for tag in ("header", "main", "footer", "title")] == [1, 1, 1, 1]
    assert all(attrs.get("src") for tag, attrs in page.elements if tag == "script")
    assert "#main" in page.values("href")
    assert forbidden(page) == []


def test_every_file_that_the_frame_names_is_there() -> None:
    named = re.findall(
        r"static_url\('([^']+)'\)",
        "".join(
            path.read_text()
            for path in [TEMPLATES / "base.html", *(TEMPLATES / "ui").glob("*.html")]
        ),
    )
    assert named
    assert [name for name in named if not (TEMPLATES.parent / "static" / name).is_file()] == []


@pytest.mark.parametrize(
    "field",
    [
        'form.text("age", "Age", "x", "In years", "Not a number")',
        'form.textarea("age", "Age", "x", "In years", "Not a number")',
        'form.select("age", "Age", [("1", "1")], "1", "In years", "Not a number")',
        'form.checkbox("age", "Age", true, "1", "In years", "Not a number")',
    ],
)
def test_a_field_is_tied_to_its_label_hint_and_error(field: str) -> None:
    page = render(f"{IMPORTS}{{{{ {field} }}}}")
    control = next(attrs for _, attrs in page.elements if attrs.get("name") == "age")
    assert control["id"] in page.values("for")
    assert control["aria-invalid"] == "true"
    assert set((control["aria-describedby"] or "").split()) <= set(page.values("id"))


def test_a_form_carries_the_token() -> None:
    page = render(IMPORTS + '{% call form.form("/x", "t0ken") %}{% endcall %}')
    assert ("input", {"type": "hidden", "name": "csrf_token", "value": "t0ken"}) in page.elements


def test_a_stacked_cell_repeats_its_column() -> None:
    page = render(IMPORTS + '{{ table.table("T", [{"label": "A"}, {"label": "B"}], [[1, 2]]) }}')
    assert page.values("data-label") == ["A", "B"]


def test_the_picture_and_its_neighbours_have_addresses() -> None:
    page = render(
        IMPORTS + '{{ viewer.pictures("/s", "/p/{slice}?w={window}", 2, 3, "40,400", [], "CT") }}'
    )
    assert "/p/2?w=40%2C400" in page.values("src")
    assert [h for h in page.values("href") if h] == [
        "/s?slice=1&window=40%2C400#viewer",
        "/s?slice=3&window=40%2C400#viewer",
    ]


def test_a_state_has_a_word_and_a_shape_and_an_unknown_one_too() -> None:
    for state in ("published", "quarantined", "never_heard_of"):
        page = render(IMPORTS + "{{ badge.badge(state) }}", state=state)
        assert {"span", "svg"} <= {tag for tag, _ in page.elements}

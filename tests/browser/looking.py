"""What is looked at on every page."""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from tests.browser.conftest import Visit

FAULTS = """() => {
  const faults = [];
  const root = document.documentElement;
  const name = (e) => e.outerHTML.slice(0, 140);
  const said = (e) => (e.getAttribute("aria-label") || e.textContent || "").trim();
  if (!root.lang) faults.push("the page has no language");
  if (!document.title.trim()) faults.push("the page has no title");
  const h1 = document.querySelectorAll("h1").length;
  if (h1 !== 1) faults.push(`${h1} h1`);
  let level = 0;
  for (const heading of document.querySelectorAll("h1, h2, h3, h4, h5, h6")) {
    const here = Number(heading.tagName[1]);
    if (here > level + 1) faults.push(`a heading skips levels: ${name(heading)}`);
    level = here;
  }
  for (const field of document.querySelectorAll("input, select, textarea")) {
    if (["hidden", "submit", "button"].includes(field.type)) continue;
    const labelled = [...(field.labels || [])].some((label) => label.textContent.trim())
      || field.getAttribute("aria-label") || field.getAttribute("aria-labelledby");
    if (!labelled) faults.push(`an input without a label: ${name(field)}`);
  }
  for (const image of document.querySelectorAll("img")) {
    if (!image.hasAttribute("alt")) faults.push(`an image without alt: ${name(image)}`);
    if (image.complete && image.naturalWidth === 0) faults.push(`a broken image: ${name(image)}`);
  }
  for (const drawing of document.querySelectorAll("svg")) {
    const hidden = drawing.closest("[aria-hidden=true]");
    if (!hidden && !drawing.querySelector("title") && !drawing.getAttribute("aria-label")
        && !drawing.getAttribute("aria-labelledby"))
      faults.push(`a nameless drawing: ${name(drawing)}`);
  }
  for (const control of document.querySelectorAll("a[href], button")) {
    if (control.hidden) continue;
    const pictured = [...control.querySelectorAll("img")].some((image) => image.alt);
    if (!said(control) && !pictured) faults.push(`a nameless control: ${name(control)}`);
  }
  const ids = [...document.querySelectorAll("[id]")].map((e) => e.id);
  const twice = ids.filter((id, at) => ids.indexOf(id) !== at);
  if (twice.length) faults.push(`ids used twice: ${twice}`);
  for (const e of document.querySelectorAll("[aria-labelledby], [aria-describedby], label[for]")) {
    for (const attribute of ["aria-labelledby", "aria-describedby", "for"]) {
      for (const id of (e.getAttribute(attribute) || "").split(/\\s+/)) {
        if (id && !document.getElementById(id)) faults.push(`${attribute} of nothing: ${name(e)}`);
      }
    }
  }
  for (const table of document.querySelectorAll("table")) {
    if (!table.querySelector("th")) faults.push(`a table without headers: ${name(table)}`);
  }
  for (const mark of ["main", "header", "footer"]) {
    if (document.querySelectorAll(`body > ${mark}`).length !== 1) faults.push(`not one ${mark}`);
  }
  if (root.scrollWidth > root.clientWidth) {
    const wide = [...document.querySelectorAll("body *")].filter((e) => {
      const box = e.getBoundingClientRect();
      return box.width > 0 && box.right > root.clientWidth + 1;
    }).slice(0, 3).map(name);
    const by = root.scrollWidth - root.clientWidth;
    faults.push(`wider than the window by ${by}: ${wide.join(" | ")}`);
  }
  if (/`/.test(document.querySelector("main").innerText)) faults.push("back-ticks in the text");
  if (/\\b(None|undefined|NaN|Undefined)\\b/.test(document.querySelector("main").innerText))
    faults.push("a value that is not for people");
  return faults;
}"""

FOCUS = """() => {
  const e = document.activeElement;
  if (!e || e === document.body) return null;
  const style = getComputedStyle(e), box = e.getBoundingClientRect();
  const ring = (style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0)
    || style.boxShadow !== "none";
  const seen = box.width > 0 && box.height > 0 && box.bottom > 0 && box.top < innerHeight;
  return {ring, seen, skip: e.classList.contains("skip"), name: e.outerHTML.slice(0, 140)};
}"""

LINKS = """() => [...document.querySelectorAll("a[href]:not([download])")]
  .map((link) => link.getAttribute("href"))"""

_NOT_PAGES = re.compile(
    r"^/(static|api|dicomweb|federation/v1)/|/(manifest|proof|log|picture|checkpoint)$|\.(json|xml|txt)$"
    r"|^/trace/(tile|checkpoint)|/files/"
)
_IDENTIFIER = re.compile(r"/(?:[a-z]{2,3}-[0-9a-z]{26}|\d+|albufera:[^/]+/[^/]+)(?=/|$)")


@dataclass
class Looked:
    """What was seen on the way through the pages."""

    faults: list[str]
    kinds: set[str]


def look_around(visit: Visit, begin: str = "/", depth: int = 3) -> Looked:
    """Open every kind of page that links lead to, and look at each."""
    looked = Looked([], set())
    waiting = [(begin, 0)]
    while waiting:
        path, steps = waiting.pop(0)
        kind = _kind(path)
        if kind in looked.kinds:
            continue
        looked.kinds.add(kind)
        looked.faults += [f"{path}: {fault}" for fault in look(visit, path)]
        if steps < depth:
            waiting += [(found, steps + 1) for found in _links(visit)]
    return looked


def look(visit: Visit, path: str) -> list[str]:
    """Open a page and say what is wrong with it."""
    visit.complaints.clear()
    status = visit.go(path)
    if status != 200:
        return [f"status {status}"]
    visit.page.wait_for_load_state("load")
    faults: list[str] = visit.page.evaluate(FAULTS)
    return faults + visit.complaints


def _links(visit: Visit) -> list[str]:
    own = urlsplit(visit.served.url).netloc
    found = []
    for link in visit.page.evaluate(LINKS):
        parts = urlsplit(link)
        if parts.netloc not in ("", own) or not parts.path.startswith("/"):
            continue
        if not _NOT_PAGES.search(parts.path):
            found.append(parts.path + (f"?{parts.query}" if parts.query else ""))
    return found


def _kind(path: str) -> str:
    """Pages of one kind differ by identifiers and by the values in the query."""
    parts = urlsplit(path)
    names = ",".join(sorted({item.partition("=")[0] for item in parts.query.split("&")}))
    return _IDENTIFIER.sub("/#", parts.path) + f"?{names}"

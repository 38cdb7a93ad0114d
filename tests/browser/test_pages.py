"""Every page that links lead to, for everybody, on a desk and on a phone."""

import pytest

from tests.browser.conftest import NewVisit
from tests.browser.looking import FOCUS, look, look_around

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

EVERYBODY = (
    "", "admin", "steward", "researcher", "project-admin", "committee", "reviewer", "auditor",
)  # fmt: skip
NAVIGATION = {
    "": {"/?", "/datasets?", "/sign-in?"},
    "admin": {"/?", "/ingests?", "/studies?", "/studies/#?", "/jobs/#?", "/airlock/#?", "/trace?"},
    "steward": {"/studies/#?", "/datasets/#?", "/datasets/new?", "/ingests/#?", "/catalogue?"},
    "researcher": {"/jobs?", "/jobs/#?", "/jobs/new?", "/airlock/#?"},
    "project-admin": {"/projects/LUNG?", "/projects?"},
    "committee": {"/applications?", "/applications/#?"},
    "reviewer": {"/airlock?", "/airlock/#?"},
    "auditor": {"/trace?", "/trace/entries/#?"},
}
"""Kinds of pages that each person must come upon."""


@pytest.mark.parametrize("size", ["desk", "phone"])
@pytest.mark.parametrize("username", EVERYBODY)
def test_pages_are_sound(visit: NewVisit, username: str, size: str) -> None:
    looked = look_around(visit(username, size))
    assert not looked.faults, "\n".join(looked.faults)
    wanted = NAVIGATION[username]
    assert wanted <= looked.kinds, f"not come upon: {wanted - looked.kinds} of {looked.kinds}"


def test_errors_are_pages_too(visit: NewVisit) -> None:
    visitor = visit("researcher")
    assert look(visitor, "/datasets/ds-none") == ["status 404"]
    assert visitor.page.locator("h1").count() == 1
    assert "no such dataset" in visitor.page.locator("h1").inner_text()
    assert visitor.page.get_by_text("dataset-not-found").is_visible()


@pytest.mark.parametrize("path", ["/", "/datasets", "/trace", "/studies", "/catalogue"])
def test_keyboard_leads_the_way(visit: NewVisit, path: str) -> None:
    visitor = visit("steward")
    assert visitor.go(path) == 200
    visitor.page.keyboard.press("Tab")
    first = visitor.page.evaluate(FOCUS)
    assert first is not None
    assert first["skip"], first
    assert first["seen"], first
    visitor.page.keyboard.press("Enter")
    assert visitor.page.evaluate("document.activeElement.id") == "main"
    visitor.go(path)
    for _ in range(25):
        visitor.page.keyboard.press("Tab")
        focus = visitor.page.evaluate(FOCUS)
        if focus is None:
            break
        assert focus["ring"], focus
        assert focus["seen"], focus


def test_dark_looks_as_sound(visit: NewVisit) -> None:
    visitor = visit("steward")
    visitor.page.emulate_media(color_scheme="dark")
    visitor.go("/")
    ground = visitor.page.evaluate("getComputedStyle(document.body).backgroundColor")
    visitor.page.emulate_media(color_scheme="light")
    assert ground != visitor.page.evaluate("getComputedStyle(document.body).backgroundColor")

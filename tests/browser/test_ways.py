"""What people come to do, step by step: with no JavaScript at all, and what a little of it adds."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import NewVisit, Visit

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

EVERYBODY = (
    "admin", "steward", "researcher", "project-admin", "committee", "reviewer", "auditor",
)  # fmt: skip


@pytest.mark.parametrize("username", EVERYBODY)
def test_sign_in_and_out(visit: NewVisit, username: str) -> None:
    visitor = visit(username, scripts=False)
    visitor.page.locator("details.account summary").click()
    expect(visitor.page.locator(".account-panel")).to_contain_text(username)
    visitor.page.get_by_role("button", name="Sign out").click()
    expect(visitor.page.get_by_role("link", name="Sign in").first).to_be_visible()
    assert visitor.go("/trace") == 200
    expect(visitor.page).to_have_url(f"{visitor.served.url}/sign-in?next=/trace")


def test_wrong_password_says_so(visit: NewVisit) -> None:
    visitor = visit(scripts=False)
    visitor.go("/sign-in")
    visitor.page.get_by_label("User name").fill("nobody-of-that-name")
    visitor.page.get_by_label("Password").fill("wrong")
    visitor.page.get_by_role("main").get_by_role("button", name="Sign in").click()
    expect(visitor.page.get_by_text("Not signed in")).to_be_visible()
    expect(visitor.page.get_by_label("User name")).to_have_value("nobody-of-that-name")


def test_catalogue_is_narrowed_without_scripts(visit: NewVisit) -> None:
    visitor = visit("steward", scripts=False)
    visitor.go("/catalogue")
    before = _number(visitor, "Images")
    visitor.page.locator("textarea[name=where]").fill("modality = MR")
    visitor.page.get_by_role("button", name="Count").click()
    narrowed = _number(visitor, "Images")
    assert 0 < narrowed < before
    visitor.page.locator("textarea[name=where]").fill("modality = (")
    visitor.page.get_by_role("button", name="Count").click()
    expect(visitor.page.locator("[aria-invalid=true]").first).to_be_visible()


def _number(visitor: Visit, label: str) -> int:
    shown = visitor.page.locator(".stats > div", has_text=label).locator("dd").first.inner_text()
    return int(shown.replace(",", ""))


def test_slices_are_turned_by_links(visit: NewVisit) -> None:
    visitor = visit("steward", scripts=False)
    visitor.go("/studies?modality=CT&q=chest")
    rows = visitor.page.locator("tbody a[href^='/studies/']")
    addresses = [rows.nth(at).get_attribute("href") or "" for at in range(rows.count())]
    _open_one_with_slices(visitor, addresses)
    here, _, last = visitor.page.locator("[data-place]").inner_text().partition(" / ")
    assert int(here) == int(last) // 2 + 1
    visitor.page.locator("a[rel=next][data-step]").click()
    assert visitor.page.locator("[data-place]").inner_text() == f"{int(here) + 1} / {last}"
    picture = visitor.page.locator("[data-picture]").get_attribute("src")
    assert picture is not None
    answer = visitor.context.request.get(visitor.served.url + picture)
    assert answer.headers["content-type"] == "image/png"
    visitor.page.get_by_label("Window").select_option(label="Lung")
    visitor.page.get_by_role("button", name="Show").click()
    windowed = visitor.page.locator("[data-picture]").get_attribute("src")
    assert windowed is not None
    assert visitor.context.request.get(visitor.served.url + windowed).body() != answer.body()


def _open_one_with_slices(visitor: Visit, addresses: list[str]) -> None:
    for address in addresses:
        visitor.go(address)
        if int(visitor.page.locator("[data-place]").inner_text().partition(" / ")[2]) > 3:
            return
    raise AssertionError(f"no study of several slices among {addresses}")


def test_from_a_draft_to_a_grant_without_scripts(visit: NewVisit) -> None:
    steward = visit("steward", scripts=False)
    steward.go("/datasets/new")
    steward.page.get_by_label("Name").fill("Baseline CT")
    steward.page.locator("textarea[name=where]").fill("collection = main and modality = CT")
    steward.page.get_by_role("button", name="Make the draft").click()
    _until(steward, "Release")
    steward.page.get_by_role("link", name="Release", exact=True).first.click()
    steward.page.get_by_role("main").get_by_role("button", name="Release").click()
    address = steward.page.url.removeprefix(steward.served.url)
    researcher = visit("researcher", scripts=False)
    researcher.go(address)
    researcher.page.get_by_role("link", name="Apply for access").click()
    researcher.page.get_by_label("Purpose").fill("To see whether nodules grow.")
    researcher.page.get_by_role("button", name="Send the application").click()
    committee = visit("committee", scripts=False)
    committee.go("/applications")
    row = committee.page.locator("#waiting tr", has_text="Baseline CT")
    row.get_by_role("link", name="Decide").click()
    committee.page.get_by_label("Approve").check()
    committee.page.get_by_role("button", name="Record the decision").click()
    researcher.go(address)
    expect(researcher.page.get_by_text("You may work with this dataset")).to_be_visible()


def _until(visitor: Visit, link: str) -> None:
    """Load the page again until a link is there, as who has no scripts does."""
    for _ in range(60):
        if visitor.page.get_by_role("link", name=link, exact=True).count():
            return
        visitor.page.wait_for_timeout(500)
        visitor.page.reload()
    raise AssertionError(f"no link “{link}” at {visitor.page.url}")


def test_job_page_is_live_and_its_result_leaves_after_review(visit: NewVisit) -> None:
    researcher = visit("researcher")
    researcher.go("/jobs/new")
    script = "sleep 4; echo 42 > $ALBUFERA_OUTPUTS/answer.txt; echo it is over"
    option = researcher.page.locator("#f-dataset option", has_text="Chest CT with lung lesions")
    researcher.page.get_by_label("Dataset").select_option(option.first.get_attribute("value"))
    researcher.page.get_by_label("Command").fill(f"sh -c '{script}'")
    researcher.page.get_by_role("button", name="Run the job").click()
    researcher.page.wait_for_url("**/jobs/jo-*")
    researcher.page.evaluate("window.sameDocument = true")
    expect(researcher.page.locator("#job")).to_contain_text("it is over", timeout=60_000)
    expect(researcher.page.locator("#job h1")).to_contain_text("finished", timeout=30_000,
                                                               ignore_case=True)  # fmt: skip
    assert researcher.page.evaluate("window.sameDocument") is True, "the page was loaded again"
    assert not researcher.complaints
    researcher.page.reload()
    researcher.page.get_by_label("Ask that answer.txt leaves").check()
    researcher.page.get_by_role("button", name="Ask that the chosen files leave").click()
    address = researcher.page.url.removeprefix(researcher.served.url)
    expect(researcher.page.get_by_text("Waiting for another person")).to_be_visible()
    expect(researcher.page.get_by_role("button", name="Approve")).to_have_count(0)
    reviewer = visit("reviewer", scripts=False)
    reviewer.go(address)
    reviewer.page.get_by_role("button", name="Approve").click()
    researcher.go(address)
    with researcher.page.expect_download() as download:
        researcher.page.get_by_role("button", name="Download the files").click()
    assert download.value.suggested_filename.endswith(".zip")

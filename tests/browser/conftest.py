"""A demonstration, made once and served, and Chromium to look at it."""

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.conftest import missing

CHROMIUM = Path(os.environ.get("ALBUFERA_CHROMIUM") or "/usr/bin/chromium")
SIZES = {"desk": (1280, 900), "phone": (390, 844)}


@dataclass(frozen=True)
class Served:
    """A node that is served: its address, its home, and the passwords of its people."""

    url: str
    home: Path
    passwords: dict[str, str]


def _command(home: Path, *words: str) -> list[str]:
    program = [sys.executable, "-m", "albufera.entrypoints.cli.main", "--home", str(home)]
    return [*program, *words]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The demonstration, served by a process tree of its own."""
    if not CHROMIUM.exists():
        missing("Chromium")
    home = tmp_path_factory.mktemp("browser") / "home"
    made = subprocess.run(
        _command(home, "--json", "demo", "--no-serve"), capture_output=True, check=True, timeout=300
    )
    port = _free_port()
    process = subprocess.Popen(_command(home, "serve", "--port", str(port)), stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        process.stdout.readline()  # "Serving at …": the port is open
        yield Served(f"http://127.0.0.1:{port}", home, json.loads(made.stdout)["accounts"])
    finally:
        process.terminate()
        process.wait(30)
        process.stdout.close()


@pytest.fixture(scope="module")
def chromium(served: Served) -> Iterator[Browser]:
    """Headless Chromium.

    Playwright keeps an event loop running in this thread while it is open; other tests of the
    same process could not run theirs, so it is closed with every module.
    """
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=str(shutil.which(CHROMIUM) or CHROMIUM),
            args=["--no-sandbox", "--disable-background-networking"],
        )
        yield browser
        browser.close()


class Visit:
    """A person at a browser. Remembers what the browser complained of."""

    def __init__(self, context: BrowserContext, served: Served) -> None:
        self.context = context
        self.served = served
        self.complaints: list[str] = []
        self.page: Page = context.new_page()
        self.page.set_default_timeout(20_000)
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))

    def _console(self, message: Any) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(f"{message.type}: {message.text}")

    def go(self, path: str) -> int:
        """Open a page of ours; return the status."""
        answer = self.page.goto(self.served.url + path)
        assert answer is not None
        return answer.status

    def sign_in(self, username: str) -> None:
        """Sign in through the form."""
        assert self.go("/sign-in") == 200
        self.page.get_by_label("User name").fill(username)
        self.page.get_by_label("Password").fill(self.served.passwords[username])
        self.page.get_by_role("main").get_by_role("button", name="Sign in").click()
        self.page.wait_for_url(self.served.url + "/")

    def sign_out(self) -> None:
        """Sign out through the account's menu."""
        self.page.locator("details.account summary").click()
        self.page.get_by_role("button", name="Sign out").click()
        self.page.get_by_role("link", name="Sign in").first.wait_for()


NewVisit = Callable[..., Visit]


@pytest.fixture
def visit(chromium: Browser, served: Served) -> Iterator[NewVisit]:
    """Make a visit: `visit("steward", "phone")`; `scripts=False` for a browser without them."""
    with ExitStack() as stack:

        def begin(username: str = "", size: str = "desk", *, scripts: bool = True) -> Visit:
            width, height = SIZES[size]
            context = chromium.new_context(
                viewport={"width": width, "height": height},
                java_script_enabled=scripts,
                reduced_motion="reduce",
            )
            stack.callback(context.close)
            made = Visit(context, served)
            if username:
                made.sign_in(username)
            return made

        yield begin

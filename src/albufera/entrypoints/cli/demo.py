"""`demo`: a node with a demonstration project, served on loopback."""

import os
import shutil
import socket
import sys
import time

import click

from albufera.bootstrap.home import Home
from albufera.bootstrap.node import create_node
from albufera.entrypoints.cli.context import Commander, pass_commander
from albufera.entrypoints.demonstration.people import PROJECT, Account, read_accounts
from albufera.entrypoints.demonstration.story import Story
from albufera.kernel.errors import CONFLICT

BEGUN = "demonstration-begun"


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8080, show_default=True, type=click.IntRange(1, 65535))
@click.option("--no-serve", is_flag=True, help="Only make the home.")
@pass_commander
def demo(commander: Commander, host: str, port: int, no_serve: bool) -> None:
    """Make a demonstration node (once) and serve it; prints the address and the accounts."""
    port = _free_port(host, port)
    url = f"http://{host}:{port}"
    accounts = read_accounts(commander.settings.home) or _make(commander, url)
    commander.output.document(
        {
            "url": url,
            "home": str(commander.settings.home),
            "project": PROJECT,
            "accounts": {item.username: item.password for item in accounts},
        }
    )
    _print(commander, url, accounts)
    if not no_serve:
        _become_server(commander, host, port)


def _become_server(commander: Commander, host: str, port: int) -> None:
    """Go on as `serve` in a fresh process: what was needed to play the story is let go of."""
    home = str(commander.settings.home)
    options = ["--home", home, "serve", "--host", host, "--port", str(port)]
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", "albufera.entrypoints.cli.main", *options])


def _make(commander: Commander, url: str) -> list[Account]:
    settings = commander.settings
    home = Home(settings.home)
    if home.root.exists() and any(home.root.iterdir()) and not (home.root / BEGUN).exists():
        raise CONFLICT(f"{home.root} holds something else. Name an empty directory with --home.")
    shutil.rmtree(home.root, ignore_errors=True)  # a demonstration that was interrupted
    home.root.mkdir(parents=True)
    (home.root / BEGUN).touch()
    begin = time.monotonic()
    named = settings.node.model_copy(update={"name": "Demonstration hospital", "url": url})
    node, password = create_node(settings.model_copy(update={"node": named}))
    try:
        story = Story(node, lambda step: commander.output.say(f"· {step}"))
        accounts = story.play(password)
    finally:
        node.close()
    commander.output.say(f"Ready after {time.monotonic() - begin:.0f} s.")
    return accounts


def _print(commander: Commander, url: str, accounts: list[Account]) -> None:
    say = commander.output.say
    say(f"\nThe demonstration node: {url}\n")
    say(f"  {'user':14} {'role':22} password")
    for account in accounts:
        say(f"  {account.username:14} {account.role:22} {account.password}")
    say("")


def _free_port(host: str, wanted: int) -> int:
    """Return the wanted port, or the next one that nobody listens on."""
    for port in range(wanted, min(wanted + 100, 65536)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                continue
            return port
    raise CONFLICT(f"No port is free from {wanted} on.")


COMMANDS = (demo,)

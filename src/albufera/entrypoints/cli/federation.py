"""`hub` and `node`: a federation, from the hub's side and from a node's.

The hub's modules are imported inside the commands, so that a node's commands do not load them;
`hub serve` becomes another program, which never loads a node's.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click
import httpx

from albufera.entrypoints.cli.client import Client, LocalTransport
from albufera.entrypoints.cli.context import Commander, pass_commander
from albufera.kernel.errors import define

NOT_CONFIRMED = define(
    "fingerprint-not-confirmed",
    409,
    "The hub's fingerprint was not confirmed.",
    "Ask the hub's operator for it by another way, then repeat with `--fingerprint`.",
)


@click.group()
def hub() -> None:
    """A hub: the catalogue and the questions of a federation of nodes."""


@hub.command("init")
@click.option("--name", default="Albufera hub", help="The hub's name.")
@click.option("--url", default="http://127.0.0.1:8090", help="The hub's public address.")
@pass_commander
def init(commander: Commander, name: str, url: str) -> None:
    """Make a hub's home: settings, keys, database and the first administrator."""
    from albufera.bootstrap.hub import FIRST_ADMINISTRATOR, create_hub

    settings = commander.settings
    named = {
        "node": settings.node.model_copy(update={"name": name, "url": url}),
        "hub": settings.hub.model_copy(update={"name": name}),
    }
    made, password = create_hub(settings.model_copy(update=named))
    fingerprint = made.desk.introduction().fingerprint
    made.worker().drain()
    made.close()
    shown = {
        "home": str(settings.home),
        "username": FIRST_ADMINISTRATOR,
        "password": password,
        "fingerprint": fingerprint,
    }
    commander.output.document(shown)
    commander.output.say(f"A hub's home was made in {settings.home}.")
    commander.output.say(f"First administrator: {FIRST_ADMINISTRATOR}   password: {password}")
    commander.output.say(f"Fingerprint: {fingerprint}")
    commander.output.say("The password is not shown again. Start the hub with: albufera hub serve")


@hub.command("serve")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", default=8090, show_default=True, type=click.IntRange(0, 65535))
@pass_commander
def serve(commander: Commander, host: str, port: int) -> None:
    """Serve the hub: pages, REST, and the counter where nodes hand their messages in."""
    from albufera.bootstrap.hub import open_hub
    from albufera.bootstrap.schema import upgrade_schema

    settings = commander.settings
    open_hub(settings).close()
    upgrade_schema(settings.database_url)
    program = [sys.executable, "-m", "albufera.entrypoints.hub", "--home", str(settings.home)]
    sys.stdout.flush()
    os.execv(program[0], [*program, "--host", host, "--port", str(port)])


@hub.command("enrol")
@click.argument("name")
@pass_commander
def enrol(commander: Commander, name: str) -> None:
    """Make a one-time token for a node that the catalogue will list as NAME."""
    with _hub_client(commander) as client:
        made = client.post("enrolments", {"name": name})
    commander.output.document(made)
    commander.output.say(f"Token for {made['name']}, good until {made['expiresAt'][:10]}:")
    commander.output.say(f"  {made['token']}")
    commander.output.say("On the node:")
    commander.output.say(
        f"  albufera node join {made['url']} --token {made['token']} "
        f"--fingerprint {made['fingerprint']}"
    )


@hub.command("nodes")
@pass_commander
def nodes(commander: Commander) -> None:
    """List the nodes of the federation."""
    with _hub_client(commander) as client:
        commander.output.table(
            client.get("nodes"),
            ("nodeId", "name", "state", "datasets", "threshold", "seenAt", "url"),
        )


@hub.command("suspend")
@click.argument("node_id")
@pass_commander
def suspend(commander: Commander, node_id: str) -> None:
    """Refuse a node's messages and hide what it lists."""
    with _hub_client(commander) as client:
        commander.output.record(client.post(f"nodes/{node_id}/suspend"))


@hub.command("resume")
@click.argument("node_id")
@pass_commander
def resume(commander: Commander, node_id: str) -> None:
    """Hear a suspended node again."""
    with _hub_client(commander) as client:
        commander.output.record(client.post(f"nodes/{node_id}/resume"))


@hub.command("user")
@click.argument("username")
@click.option("--password", help="At least 12 characters; generated and shown when not given.")
@click.option("--operator", is_flag=True, help="Give the operator's power over the hub.")
@pass_commander
def add_user(commander: Commander, username: str, password: str | None, operator: bool) -> None:
    """Make an account of somebody who may ask questions."""
    from albufera.kernel.clock import random_token

    chosen = password or random_token(10)
    body = {"username": username, "password": chosen, "isOperator": operator}
    with _hub_client(commander) as client:
        made = client.post("users", body)
    commander.output.record({**made, **({} if password else {"password": chosen})})


@click.group()
def node() -> None:
    """This node's part in federations."""


@node.command("join")
@click.argument("url")
@click.option("--token", required=True, help="The one-time token of the hub's operator.")
@click.option("--fingerprint", default="", help="The hub's fingerprint; asked for when not given.")
@click.option("--name", default="", help="What this node calls itself; the settings' by default.")
@click.option("--contact", default="", help="Whom the hub's operator may write to.")
@pass_commander
def join(
    commander: Commander, url: str, token: str, fingerprint: str, name: str, contact: str
) -> None:
    """Join the hub at URL."""
    confirmed = fingerprint or _confirm(commander, url)
    body = {"url": url, "token": token, "fingerprint": confirmed, "name": name, "contact": contact}
    joined = commander.client.post("federation/hubs", body)
    commander.output.document(joined)
    commander.output.say(f"Joined {joined['name']} as “{joined['knownAs']}”.")


@node.command("status")
@pass_commander
def status(commander: Commander) -> None:
    """Show the hubs, what was offered to them, and what they asked and were told."""
    found = [
        commander.client.get(f"federation/hubs/{item['hubId']}")
        for item in commander.client.get("federation/hubs")
    ]
    commander.output.document(found)
    if commander.output.as_json:
        return
    if not found:
        commander.output.say("This node has not joined any hub.")
    for item in found:
        membership = item["membership"]
        commander.output.record(membership)
        commander.output.table(
            item["offers"], ("datasetId", "title", "state", "current", "acknowledgedAt", "refusal")
        )
        told = [{**answer, "told": _told(answer["subjects"])} for answer in item["answers"]]
        commander.output.table(told, ("sentence", "outcome", "told", "asker", "answeredAt"))


@node.command("sync")
@click.argument("hub_id", required=False)
@pass_commander
def sync(commander: Commander, hub_id: str | None) -> None:
    """Exchange with the hub (or with all hubs) now instead of at the next poll."""
    for chosen in _chosen(commander, hub_id):
        commander.output.record(commander.client.post(f"federation/hubs/{chosen}/sync"))


@node.command("leave")
@click.argument("hub_id", required=False)
@pass_commander
def leave(commander: Commander, hub_id: str | None) -> None:
    """Leave the hub (named by its id when there are several)."""
    chosen = _chosen(commander, hub_id)
    if len(chosen) > 1:
        raise click.UsageError(f"Name the hub to leave: {', '.join(chosen)}.")
    for item in chosen:
        left = commander.client.post(f"federation/hubs/{item}/leave")
        commander.output.document({"hubId": item, **left})
        note = "" if left["hubTold"] else " The hub did not answer: tell its operator."
        commander.output.say(f"This node has left the hub.{note}")


def _chosen(commander: Commander, hub_id: str | None) -> list[str]:
    if hub_id:
        return [hub_id]
    hubs = commander.client.get("federation/hubs")
    return [item["hubId"] for item in hubs if item["state"] == "joined"]


def _confirm(commander: Commander, url: str) -> str:
    """Show the hub's fingerprint and let the person compare it; a program must name it."""
    shown = commander.client.post("federation/introductions", {"url": url})
    fingerprint = str(shown["fingerprint"])
    commander.output.say(f"{shown['name']} at {shown['url']} shows the fingerprint")
    commander.output.say(f"  {fingerprint}")
    asked = not commander.output.as_json and sys.stdin.isatty()
    if not asked or not click.confirm("Is it the one that the hub's operator gave you?"):
        raise NOT_CONFIRMED(f"{url} shows {fingerprint}.")
    return fingerprint


def _told(count: dict[str, int | None] | None) -> str:
    if count is None:
        return ""
    few = count["fewerThan"]
    return f"fewer than {few}" if few is not None else f"at least {count['atLeast']}"


@contextmanager
def _hub_client(commander: Commander) -> Iterator[Client]:
    """Yield REST calls to the local hub as its operator, or to the remote one signed in to."""
    if commander.remote is not None:
        yield commander.client
        return
    from albufera.bootstrap.hub import local_operator, open_hub
    from albufera.entrypoints.hub.app import create_hub_app

    opened = open_hub(commander.settings)
    name = commander.as_user
    user = opened.identity.user_named(name) if name else local_operator(opened)
    transport = LocalTransport(create_hub_app(opened), user.actor())
    with httpx.Client(transport=transport, base_url="http://localhost/api/v1") as http:
        yield Client(http)
    opened.worker().drain()
    opened.close()


COMMANDS = (hub, node)

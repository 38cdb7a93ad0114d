"""`login`, `logout` and `user`: accounts, and sessions on remote nodes."""

import click
import httpx

from albufera.entrypoints.cli.client import LOGIN_FILE, refusal_of, save_login
from albufera.entrypoints.cli.context import Commander, pass_commander
from albufera.kernel.clock import random_token
from albufera.kernel.errors import UNAVAILABLE


@click.command()
@click.argument("url")
@click.option("--username", prompt=True)
@click.option("--password", prompt=True, hide_input=True)
@pass_commander
def login(commander: Commander, url: str, username: str, password: str) -> None:
    """Sign in to the node at URL; later commands act there."""
    try:
        response = httpx.post(
            f"{url.rstrip('/')}/api/v1/session", json={"username": username, "password": password}
        )
    except httpx.TransportError as failure:
        raise UNAVAILABLE(f"{url} does not answer: {failure}.") from failure
    if response.is_error:
        raise refusal_of(response)
    save_login(commander.settings.home, url, response.json()["token"])
    commander.output.document({"url": url, "username": username})
    commander.output.say(f"Signed in to {url} as {username}.")


@click.command()
@pass_commander
def logout(commander: Commander) -> None:
    """End the session on the remote node."""
    if commander.remote is not None:
        commander.client.delete("session")
    (commander.settings.home / LOGIN_FILE).unlink(missing_ok=True)
    commander.output.document({"signedOut": True})
    commander.output.say("Signed out.")


@click.group()
def user() -> None:
    """Accounts of this node."""


@user.command("create")
@click.argument("username")
@click.option("--name", default="", help="The person's name.")
@click.option("--email", default="")
@click.option("--organisation", default="")
@click.option("--operator", is_flag=True, help="Give the node-wide operator's power.")
@click.option("--password", help="At least 12 characters; generated and shown when not given.")
@pass_commander
def create_user(
    commander: Commander,
    username: str,
    name: str,
    email: str,
    organisation: str,
    operator: bool,
    password: str | None,
) -> None:
    """Make an account."""
    chosen = password or random_token(10)
    body = {
        "username": username,
        "password": chosen,
        "name": name,
        "email": email,
        "organisation": organisation,
        "isOperator": operator,
    }
    made = commander.client.post("users", body)
    shown = {**made, **({} if password else {"password": chosen})}
    commander.output.record(shown)


@user.command("list")
@pass_commander
def list_users(commander: Commander) -> None:
    """List the accounts."""
    commander.output.table(
        commander.client.get("users"),
        ("username", "name", "organisation", "isOperator", "disabled"),
    )


@user.command("password")
@click.argument("username")
@click.option("--password", prompt=True, hide_input=True, confirmation_prompt=True)
@pass_commander
def set_password(commander: Commander, username: str, password: str) -> None:
    """Set a new password; the account's sessions end."""
    commander.client.put(f"users/{username}/password", {"password": password})
    commander.output.document({"username": username})
    commander.output.say(f"{username} has a new password.")


@user.command("disable")
@click.argument("username")
@pass_commander
def disable(commander: Commander, username: str) -> None:
    """Close an account; its sessions end."""
    commander.client.post(f"users/{username}/disable")
    commander.output.document({"username": username, "disabled": True})
    commander.output.say(f"The account {username} is closed.")


COMMANDS = (login, logout, user)

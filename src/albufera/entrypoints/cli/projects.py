"""`project`: tenants, collections and members."""

import click

from albufera.entrypoints.cli.context import Commander, pass_commander
from albufera.governance.model import Role

ROLES = click.Choice([role.value for role in Role])


@click.group()
def project() -> None:
    """Projects (tenants), their collections and members."""


@project.command("create")
@click.argument("code")
@click.option("--name", default="", help="The project's name.")
@click.option("--description", default="")
@pass_commander
def create(commander: Commander, code: str, name: str, description: str) -> None:
    """Make a project with one collection, `main`."""
    body = {"code": code, "name": name, "description": description}
    commander.output.record(commander.client.post("projects", body))


@project.command("list")
@pass_commander
def list_projects(commander: Commander) -> None:
    """List the projects that you may see."""
    commander.output.table(commander.client.get("projects"), ("code", "name", "createdAt"))


@project.command("show")
@click.argument("code")
@pass_commander
def show(commander: Commander, code: str) -> None:
    """Show a project and its collections."""
    found = commander.client.get(f"projects/{code}")
    collections = commander.client.get(f"projects/{code}/collections")
    commander.output.record({**found, "collections": [item["code"] for item in collections]})


@project.command("add-collection")
@click.argument("code")
@click.argument("collection")
@click.option("--name", default="")
@pass_commander
def add_collection(commander: Commander, code: str, collection: str, name: str) -> None:
    """Add a collection to a project."""
    body = {"code": collection, "name": name}
    commander.output.record(commander.client.post(f"projects/{code}/collections", body))


@project.command("members")
@click.argument("code")
@pass_commander
def members(commander: Commander, code: str) -> None:
    """List who holds which role in a project."""
    commander.output.table(
        commander.client.get(f"projects/{code}/members"), ("username", "name", "role")
    )


@project.command("give-role")
@click.argument("code")
@click.argument("username")
@click.argument("role", type=ROLES)
@pass_commander
def give_role(commander: Commander, code: str, username: str, role: str) -> None:
    """Give a person a role in a project."""
    body = {"username": username, "role": role}
    commander.output.table(
        commander.client.post(f"projects/{code}/members", body), ("username", "name", "role")
    )


@project.command("take-role")
@click.argument("code")
@click.argument("username")
@click.argument("role", type=ROLES)
@pass_commander
def take_role(commander: Commander, code: str, username: str, role: str) -> None:
    """End a person's role in a project."""
    commander.client.delete(f"projects/{code}/members/{username}/{role}")
    commander.output.document({"project": code, "username": username, "role": role})
    commander.output.say(f"{username} is no longer {role} in {code}.")


COMMANDS = (project,)

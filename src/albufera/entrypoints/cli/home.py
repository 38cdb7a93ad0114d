"""`init` and `serve`: a node home, and the node that serves it."""

import click

from albufera.bootstrap.node import create_node
from albufera.entrypoints.cli.context import Commander, pass_commander


@click.command()
@click.option("--name", default="Albufera node", help="The node's name.")
@click.option("--url", default="http://127.0.0.1:8080", help="The node's public address.")
@pass_commander
def init(commander: Commander, name: str, url: str) -> None:
    """Make a node home: settings, keys, database and the first administrator."""
    settings = commander.settings
    node_settings = settings.node.model_copy(update={"name": name, "url": url})
    node, password = create_node(settings.model_copy(update={"node": node_settings}))
    home, username = str(settings.home), "admin"
    commander.output.document({"home": home, "username": username, "password": password})
    commander.output.say(f"A node home was made in {home}.")
    commander.output.say(f"First administrator: {username}   password: {password}")
    commander.output.say("The password is not shown again. Start the node with: albufera serve")
    node.worker().drain()
    node.close()


COMMANDS = (init,)

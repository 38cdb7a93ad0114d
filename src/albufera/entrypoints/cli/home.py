"""`init` and `serve`: a node home, and the node that serves it."""

import click

from albufera.bootstrap.node import FIRST_ADMINISTRATOR, create_node
from albufera.bootstrap.schema import upgrade_schema
from albufera.entrypoints.cli.context import Commander, pass_commander
from albufera.entrypoints.node_app import create_node_app
from albufera.entrypoints.serving import WorkerProcess, serve_web
from albufera.entrypoints.working import run_worker
from albufera.kernel.errors import define
from albufera.settings import Settings

ROLES = ("web", "dicom", "worker")


NOT_FIT = define(
    "not-fit-for-production",
    409,
    "These settings are fit for a demonstration only, and `production` is set.",
    "Change the settings that the message names.",
)


def check_production(settings: Settings) -> None:
    """Raise `not-fit-for-production` for settings that a hospital must not be served with."""
    unfit = {
        "node.url must begin with https://": not settings.node.url.startswith("https://"),
        "web.secure_cookies must be true": not settings.web.secure_cookies,
        "federation.allow_plain_http must be false": settings.federation.allow_plain_http,
    }
    wrong = [sentence for sentence, applies in unfit.items() if applies]
    if settings.production and wrong:
        raise NOT_FIT("; ".join(wrong) + ".")


@click.command()
@click.option("--name", default="Albufera node", help="The node's name.")
@click.option("--url", default="http://127.0.0.1:8080", help="The node's public address.")
@pass_commander
def init(commander: Commander, name: str, url: str) -> None:
    """Make a node home: settings, keys, database and the first administrator."""
    settings = commander.settings
    node_settings = settings.node.model_copy(update={"name": name, "url": url})
    node, password = create_node(settings.model_copy(update={"node": node_settings}))
    home = str(settings.home)
    shown = {"home": home, "username": FIRST_ADMINISTRATOR, "password": password}
    commander.output.document(shown)
    commander.output.say(f"A node home was made in {home}.")
    commander.output.say(f"First administrator: {FIRST_ADMINISTRATOR}   password: {password}")
    commander.output.say("The password is not shown again. Start the node with: albufera serve")
    node.worker().drain()
    node.close()


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", default=8080, show_default=True, type=click.IntRange(0, 65535))
@click.option(
    "--role",
    "roles",
    default=",".join(ROLES),
    show_default=True,
    help="Which parts to serve here, separated by commas: web (with API and DICOMweb), worker.",
)
@pass_commander
def serve(commander: Commander, host: str, port: int, roles: str) -> None:
    """Serve the node: web, API, DICOMweb and a worker in one process tree."""
    wanted = {role.strip() for role in roles.split(",")}
    if not wanted <= set(ROLES):
        raise click.BadParameter(f"roles are {', '.join(ROLES)}", param_hint="--role")
    serve_home(commander, host, port, wanted)


def serve_home(commander: Commander, host: str, port: int, roles: set[str]) -> None:
    """Serve the parts of `roles` until told to stop. Raises `not-fit-for-production`."""
    check_production(commander.settings)
    if roles == {"worker"}:
        run_worker(commander.node.worker())
        return
    node = commander.node
    upgrade_schema(node.settings.database_url)
    worker = WorkerProcess(node.settings.home) if "worker" in roles else None
    if worker is not None:
        worker.start()
    address = f"http://{host}:{port}"
    try:
        serve_web(
            create_node_app(node),
            host,
            port,
            lambda: commander.output.say(f"Serving at {address} (Ctrl-C ends it)."),
        )
    finally:
        if worker is not None:
            worker.stop()


COMMANDS = (init, serve)

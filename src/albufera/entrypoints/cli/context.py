"""What every command holds: the home, the output, the client, and the worker of a local home."""

import functools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from albufera.bootstrap.home import Home
from albufera.bootstrap.node import Node, local_operator, open_node
from albufera.entrypoints.cli.client import Client, read_login
from albufera.entrypoints.cli.output import Output
from albufera.kernel.actor import Actor
from albufera.kernel.errors import define
from albufera.settings import Settings, read_settings

LOCAL_ONLY = define(
    "local-only",
    400,
    "This command works on a local home only.",
    "Run it on the node's own machine, or end the remote session with `albufera logout`.",
)


class Commander:
    """The state behind a command."""

    def __init__(self, home: Path | None, as_user: str | None, *, as_json: bool) -> None:
        self.home_path = home
        self.as_user = as_user
        self.output = Output(as_json=as_json)

    @functools.cached_property
    def settings(self) -> Settings:
        """The settings of the home."""
        return read_settings(self.home_path)

    @functools.cached_property
    def remote(self) -> tuple[str, str] | None:
        """The remote node signed in to; a local home wins over it."""
        return None if Home(self.settings.home).exists() else read_login(self.settings.home)

    @functools.cached_property
    def node(self) -> Node:
        """The node of the local home. Raises `no-home`, or `local-only` if signed in elsewhere."""
        if self.remote is not None:
            raise LOCAL_ONLY()
        return open_node(self.settings)

    @functools.cached_property
    def actor(self) -> Actor:
        """As whom commands act on the local home: the operator, or the user of `--as`."""
        if self.as_user:
            return self.node.identity.user_named(self.as_user).actor()
        return local_operator(self.node).actor()

    @functools.cached_property
    def client(self) -> Client:
        """REST calls to the local home's node, or to the remote one."""
        if self.remote is not None:
            return Client.remote(*self.remote)
        return Client.local(self.node, self.actor)

    def settle(self) -> None:
        """On a local home, do what is due now: follow-up tasks and the log."""
        if "node" in self.__dict__:
            self.node.worker().drain()

    def leave(self) -> None:
        """Do what is due, and let go of everything."""
        opened = self.__dict__
        self.settle()
        if "client" in opened:
            self.client.close()
        if "node" in opened:
            self.node.close()

    def wait(
        self, look: Callable[[], Any], over: Callable[[Any], bool], *, pause: float = 0.2
    ) -> Any:
        """Look until it is over; on a local home this process helps with the work meanwhile."""
        worker = self.node.worker() if self.remote is None else None
        while not over(seen := look()):
            if worker is None or not worker.run_once():
                time.sleep(pause)
        return seen


pass_commander = click.make_pass_decorator(Commander)

"""Checks of an installation: each says what it found, and what to do when that is not right."""

import os
import secrets
import shutil
import stat
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import sqlalchemy as sa

from albufera.bootstrap.home import Home
from albufera.bootstrap.node import Node, open_node
from albufera.bootstrap.schema import schema_is_current
from albufera.kernel import clock
from albufera.kernel.outbox import events, oldest_waiting
from albufera.settings import Settings
from albufera.trace.inspector import Inspector

OLDEST_PYTHON = (3, 11)
LEAST_FREE_BYTES = 2 * 1024**3
LONGEST_WAIT = timedelta(minutes=5)
LOG_SECONDS = 5.0


@dataclass(frozen=True)
class Check:
    """What one check found. `remedy` is empty when all is well."""

    name: str
    ok: bool
    found: str
    remedy: str = ""


def examine(settings: Settings) -> Iterator[Check]:
    """Check the installation and its home, one after the other; never raises."""
    home = Home(settings.home)
    yield _attempt("python", _python)
    yield _attempt("home", lambda: _home(home))
    if not home.exists():
        return
    yield _attempt("keys", lambda: _keys(home))
    yield _attempt("lake", lambda: _lake(home))
    yield _attempt("disk", lambda: _disk(home))
    try:
        node = open_node(settings)
    except Exception as failure:
        remedy = "Mend what the other checks found, then look again."
        yield Check("node", False, f"The node cannot be opened: {failure}", remedy)
        return
    try:
        yield _attempt("database", lambda: _database(node))
        yield _attempt("sandbox", lambda: _sandbox(node))
        yield _attempt("events", lambda: _events(node))
        yield _attempt("log", lambda: _log(node))
    finally:
        node.close()


def _attempt(name: str, check: Callable[[], tuple[str, str]]) -> Check:
    """Run a check that returns what it found and the remedy; a failure is a finding too."""
    try:
        found, remedy = check()
    except Exception as failure:
        found = f"The check failed: {type(failure).__name__}: {failure}"
        remedy = "Correct what the message says, then look again."
    return Check(name, not remedy, found, remedy)


def _python() -> tuple[str, str]:
    shown = ".".join(map(str, sys.version_info[:3]))
    fits = sys.version_info[:2] >= OLDEST_PYTHON
    return f"Python {shown}", "" if fits else "Install Python 3.11 or newer."


def _home(home: Home) -> tuple[str, str]:
    if not home.exists():
        return f"There is no home in {home.root}.", "Make one with `albufera init`."
    for folder in home.folders:
        if not folder.is_dir():
            return f"{folder} is missing.", f"Restore it from a backup, or: mkdir -m 700 {folder}"
        if _is_open_to_others(folder):
            return f"Others may look into {folder}.", f"chmod 700 {folder}"
    return str(home.root), ""


def _keys(home: Home) -> tuple[str, str]:
    for path in home.secrets:
        if not path.is_file():
            return f"{path} is missing.", "Restore the home's keys from a backup."
        if _is_open_to_others(path):
            return f"Others may read {path}.", f"chmod 600 {path}"
    home.master_secret()
    home.node_key()
    return f"log key {home.log_key().verify_key.name}", ""


def _is_open_to_others(path: Path) -> bool:
    return bool(path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO))


def _lake(home: Home) -> tuple[str, str]:
    """Write a file into the lake and link it into the views: datasets are hard links."""
    name = f".doctor-{secrets.token_hex(8)}"
    there, here = home.lake / name, home.views / name
    try:
        there.write_bytes(b"")
        os.link(there, here)
    except OSError as failure:
        remedy = (
            f"Put {home.lake} and {home.views} on one file system that has hard links, writable "
            "by the node's account."
        )
        return f"A file of the lake cannot be linked into a view: {failure}.", remedy
    finally:
        there.unlink(missing_ok=True)
        here.unlink(missing_ok=True)
    return "writable, and on one file system with the views", ""


def _disk(home: Home) -> tuple[str, str]:
    free = shutil.disk_usage(home.lake).free
    found = f"{free / 1024**3:.1f} GiB free"
    return found, "" if free >= LEAST_FREE_BYTES else "Make room: less than 2 GiB is free."


def _database(node: Node) -> tuple[str, str]:
    name = node.database.engine.dialect.name
    try:
        with node.database.read() as connection:
            connection.execute(sa.text("SELECT 1"))
            current = schema_is_current(connection)
    except sa.exc.SQLAlchemyError as failure:
        reason = str(failure).splitlines()[0]
        return f"{name} does not answer: {reason}", "Start it, or correct `[database] url`."
    if not current:
        return f"{name}, with an older schema", "Start the node once (`albufera serve`)."
    return f"{name}, schema current", ""


def _sandbox(node: Node) -> tuple[str, str]:
    found = node.jobs.runner.available()
    if not found.ok:
        return found.reason, found.remedy or "Install bubblewrap."
    return f"a sandbox was made; limits by {found.limits}", ""


def _events(node: Node) -> tuple[str, str]:
    with node.database.read() as connection:
        waiting = sa.select(sa.func.count()).where(sa.not_(events.c.logged))
        count, oldest = connection.scalar(waiting) or 0, oldest_waiting(connection)
    if oldest is None or clock.now() - oldest < LONGEST_WAIT:
        return f"{count} waiting for the log", ""
    since = oldest.strftime("%Y-%m-%d %H:%M")
    found = f"{count} events wait for the log since {since} UTC"
    return found, "Run a worker: `albufera serve`, or `albufera serve --role worker`."


class _TimeIsUp(Exception):
    """The log is longer than can be read in the time that a check may take."""


def _log(node: Node) -> tuple[str, str]:
    until, read = time.monotonic() + LOG_SECONDS, (0, 0)

    def progress(done: int, total: int) -> None:
        nonlocal read
        read = (done, total)
        if time.monotonic() > until and done < total:
            raise _TimeIsUp

    try:
        report = Inspector(node.database, node.home.log_key().verify_key).inspect(progress)
    except _TimeIsUp:
        return f"in order as far as it was read: {read[0]} of {read[1]} entries", ""
    if not report.intact:
        found = "; ".join(item.sentence for item in report.findings[:3])
        return f"The log was tampered with: {found}", "`albufera trace verify` tells all of it."
    return f"{report.entries} entries, in order", ""

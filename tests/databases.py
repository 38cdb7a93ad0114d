"""Databases with all tables, copied from a template: making each anew would take too long."""

import atexit
import fcntl
import functools
import hashlib
import os
import shutil
import tempfile
from pathlib import Path

import sqlalchemy as sa

from albufera.kernel.database import Database, metadata


@functools.cache
def _sqlite_template() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="albufera-template-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = folder / "template.sqlite"
    database = Database(f"sqlite:///{path}")
    metadata.create_all(database.engine)
    with database.engine.connect() as connection:
        connection.connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    return path


def new_sqlite(path: Path) -> str:
    """Make an embedded database with all tables, empty; return its URL."""
    shutil.copyfile(_sqlite_template(), path)
    return f"sqlite:///{path}"


@functools.cache
def postgres_template(server: str) -> str:
    """Return the name of a PostgreSQL database with all tables, made once for a server."""
    name = "template_" + hashlib.sha256(" ".join(sorted(metadata.tables)).encode()).hexdigest()[:12]
    lock_file = Path(tempfile.gettempdir()) / f"albufera-{os.environ['ALBUFERA_TEST_RUN']}-{name}"
    engine = sa.create_engine(server, isolation_level="AUTOCOMMIT")
    with lock_file.open("w") as lock, engine.connect() as connection:
        fcntl.flock(lock, fcntl.LOCK_EX)
        known = sa.text("SELECT 1 FROM pg_database WHERE datname = :name")
        if connection.scalar(known, {"name": name}) is None:
            connection.exec_driver_sql(f"CREATE DATABASE {name}_new")
            database = Database(database_url(server, f"{name}_new"))
            metadata.create_all(database.engine)
            database.close()
            connection.exec_driver_sql(f"ALTER DATABASE {name}_new RENAME TO {name}")
    engine.dispose()
    lock_file.unlink(missing_ok=True)
    return name


def database_url(server: str, name: str) -> str:
    """Return the URL of another database on the same server."""
    return server.replace("/postgres?", f"/{name}?")

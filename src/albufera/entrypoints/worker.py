"""The worker process: `python -m albufera.entrypoints.worker HOME`. It loads no web code."""

import sys
from pathlib import Path

from albufera.bootstrap.node import open_node
from albufera.entrypoints.working import run_worker
from albufera.settings import read_settings


def main(home: Path) -> None:
    """Work over the outbox of a home until told to stop."""
    node = open_node(read_settings(home))
    try:
        run_worker(node.worker())
    finally:
        node.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))

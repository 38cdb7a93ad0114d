"""Serves a hub in a process that never loads a node's code: `python -m albufera.entrypoints.hub`.

`albufera hub serve` brings the schema up to date and then becomes this program.
"""

import argparse
import sys
import threading
from pathlib import Path

from albufera.bootstrap.hub import Hub, open_hub
from albufera.entrypoints.hub.app import create_hub_app
from albufera.entrypoints.serving import serve_web
from albufera.kernel.errors import Refusal
from albufera.settings import read_settings


def main(arguments: list[str] | None = None) -> int:
    """Serve the hub of a home until told to stop; return the exit status."""
    parser = argparse.ArgumentParser(prog="albufera hub serve")
    parser.add_argument("--home", type=Path)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8090)
    chosen = parser.parse_args(arguments)
    try:
        hub = open_hub(read_settings(chosen.home))
    except Refusal as refusal:
        print(f"error: {refusal.code}: {refusal}", file=sys.stderr)
        print(f"remedy: {refusal.error.remedy}", file=sys.stderr)
        return 1
    serve(hub, chosen.host, chosen.port)
    return 0


def serve(hub: Hub, host: str, port: int) -> None:
    """Serve pages, REST and nodes, with the log's worker beside them."""
    worker = hub.worker()
    thread = threading.Thread(target=worker.run_forever, name="hub-worker", daemon=True)
    thread.start()

    def say() -> None:
        print(f"Serving the hub at http://{host}:{port} (Ctrl-C ends it).", flush=True)

    try:
        serve_web(create_hub_app(hub), host, port, say)
    finally:
        worker.stop()
        thread.join(10)
        hub.close()


if __name__ == "__main__":
    sys.exit(main())

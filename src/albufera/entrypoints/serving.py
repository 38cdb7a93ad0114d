"""One process tree that serves a home: a web process, and worker processes that it watches."""

import logging
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

logger = logging.getLogger(__name__)

RESTART_PAUSE = 1.0
GRACE = 10.0


def serve_web(app: ASGIApp, host: str, port: int, ready: Callable[[], None]) -> None:
    """Serve an application until SIGINT or SIGTERM; call `ready` when the port is open.

    The server raises the signal again once it has ended; as an exit it lets `finally` have its say.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)
    config = uvicorn.Config(
        app, host, port, log_level="warning", server_header=False, access_log=False, lifespan="off"
    )
    _Server(config, ready).run()


def _leave(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()


class WorkerProcess:
    """A worker in a process of its own, started again should it die.

    The child holds the reading end of a pipe of ours: when this process dies, however it dies, the
    child sees the end of its input and stops after the task at hand.
    """

    def __init__(self, home: Path) -> None:
        self._command = [sys.executable, "-m", "albufera.entrypoints.worker", str(home)]
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the worker and watch it."""
        self._thread.start()

    def stop(self) -> None:
        """Let the worker finish the task at hand, and wait for it a little."""
        self._stopping.set()
        process = self._process
        if process is not None and process.stdin is not None:
            process.stdin.close()
        self._thread.join(GRACE)
        if process is not None and process.poll() is None:
            process.kill()

    def _watch(self) -> None:
        while not self._stopping.is_set():
            self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE)
            code = self._process.wait()
            if not self._stopping.is_set():
                logger.error("The worker ended with %d; it is started again.", code)
                time.sleep(RESTART_PAUSE)

"""Running a worker in this process until it is told to stop."""

import signal
import sys
import threading
from types import FrameType

from albufera.kernel.worker import Worker


def run_worker(worker: Worker) -> None:
    """Work until SIGINT, SIGTERM, or the end of standard input (the parent has gone)."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        worker.stop()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    if not sys.stdin.isatty():
        threading.Thread(target=_stop_at_end_of_input, args=(worker,), daemon=True).start()
    worker.run_forever()


def _stop_at_end_of_input(worker: Worker) -> None:
    while sys.stdin.buffer.read(1024):
        pass
    worker.stop()

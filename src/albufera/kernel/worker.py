"""The worker: drains the outbox, one leased task after the other."""

import logging
import os
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from albufera.kernel.errors import Refusal
from albufera.kernel.outbox import LeaseLost, Task, TaskCancelled, TaskQueue, TaskState

logger = logging.getLogger(__name__)

MAX_ATTEMPTS = 8
"""After so many failures a task is left for a person; its note says why."""


class TaskContext:
    """What a handler holds: the task, and the way to say that it goes on."""

    def __init__(self, queue: TaskQueue, task: Task, owner: str) -> None:
        self.task = task
        self._queue = queue
        self._owner = owner

    def progress(self, done: int, total: int, note: str = "") -> None:
        """Report progress and keep the lease. Raises `TaskCancelled` when asked to stop.

        Handlers call this at least every few seconds.
        """
        self._queue.beat(self.task, self._owner, done, total, note)


class Again(Exception):
    """Raised by a handler whose task is not over: look again after `delay`."""

    def __init__(self, delay: timedelta, note: str = "") -> None:
        super().__init__(note)
        self.delay = delay
        self.note = note


@dataclass(frozen=True)
class Handler:
    """How a kind of task is done.

    `run` must be idempotent: a worker may die at any instant and another begin again.
    `failed` is told when the task is given up, so that the domain can say so to people.
    """

    run: Callable[[TaskContext], None]
    failed: Callable[[Task, str], None] | None = None
    cancelled: Callable[[Task], None] | None = None


class Worker:
    """Runs the handlers of due tasks, and periodic chores between them."""

    def __init__(
        self,
        queue: TaskQueue,
        handlers: Mapping[str, Handler],
        chores: Mapping[str, Callable[[], object]],
    ) -> None:
        self.queue = queue
        self.handlers = dict(handlers)
        self.chores = dict(chores)
        self.owner = f"{socket.gethostname()}:{os.getpid()}:{threading.get_ident()}"
        self._stop = threading.Event()

    def run_forever(self, idle_seconds: float = 0.2) -> None:
        """Work until `stop` is called."""
        while not self._stop.is_set():
            if not self.run_once():
                self._stop.wait(idle_seconds)

    def stop(self) -> None:
        """Ask `run_forever` to return after the task at hand."""
        self._stop.set()

    def drain(self) -> int:
        """Do everything that is due now; return the number of tasks done."""
        count = 0
        while self.run_once():
            count += 1
        return count

    def run_once(self) -> bool:
        """Do one due task and all chores; tell whether there was a task."""
        task = self.queue.claim(self.owner, tuple(self.handlers))
        if task is not None:
            self._do(task)
        for name, chore in self.chores.items():
            try:
                chore()
            except Exception:
                logger.exception("The chore %s failed; it is tried again.", name)
        return task is not None

    def _do(self, task: Task) -> None:
        handler = self.handlers[task.kind]
        try:
            handler.run(TaskContext(self.queue, task, self.owner))
            self.queue.finish(task, self.owner, TaskState.DONE)
        except LeaseLost:
            logger.warning("Task %s %s was taken over by another worker.", task.kind, task.key)
        except TaskCancelled:
            if handler.cancelled is not None:
                handler.cancelled(task)
            self.queue.finish(task, self.owner, TaskState.CANCELLED, "cancelled")
        except Again as again:
            self.queue.put_back(task, self.owner, again.delay, again.note, attempts=0)
        except Refusal as refusal:
            self._give_up(handler, task, str(refusal))
        except Exception as failure:
            logger.exception("Task %s %s failed (try %d).", task.kind, task.key, task.attempts)
            self._retry_or_give_up(handler, task, f"{type(failure).__name__}: {failure}")

    def _retry_or_give_up(self, handler: Handler, task: Task, note: str) -> None:
        if task.attempts >= MAX_ATTEMPTS:
            self._give_up(handler, task, note)
            return
        delay = timedelta(seconds=min(300, 2**task.attempts))
        self.queue.put_back(task, self.owner, delay, note, attempts=task.attempts)

    def _give_up(self, handler: Handler, task: Task, note: str) -> None:
        if handler.failed is not None:
            handler.failed(task, note)
        self.queue.finish(task, self.owner, TaskState.FAILED, note)

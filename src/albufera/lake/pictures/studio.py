"""The studio: a few processes that draw, so that the one that serves does not.

A hostile file may want all memory, all time, or crash a decoder. Here it gets one worker process
with a memory limit and a deadline; when it oversteps, that worker alone is killed and replaced.
Nothing is started before the first picture is asked for.
"""

import asyncio
import os
import queue
import resource
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from types import TracebackType
from typing import ParamSpec, Self, TypeVar

from albufera.lake.pictures.drawing import DEFAULT_SIZE, frame_count, render, thumbnail
from albufera.lake.pictures.grey import Window
from albufera.lake.pictures.undrawable import StudioBusy, Undrawable

DEFAULT_MEMORY_BYTES = 1536 * 1024 * 1024
START_SECONDS = 60.0
_ORPHAN_CHECK_SECONDS = 2.0

P = ParamSpec("P")
T = TypeVar("T")


class PictureStudio:
    """Draws in ``workers`` processes; thread-safe; a context manager.

    Args:
        workers: processes at most; started one by one, as they are needed.
        timeout_seconds: how long one picture may take once its worker has it.
        memory_bytes: address space each worker may add to what it starts with.
        waiting: pictures that may be under way or waiting; beyond that, StudioBusy.
    """

    def __init__(
        self,
        workers: int = 2,
        timeout_seconds: float = 20.0,
        memory_bytes: int = DEFAULT_MEMORY_BYTES,
        waiting: int = 512,
    ) -> None:
        self._timeout = timeout_seconds
        self._room = threading.BoundedSemaphore(waiting)
        self._clerks = ThreadPoolExecutor(workers, thread_name_prefix="pictures")
        self._all = [_Easel(memory_bytes) for _ in range(workers)]
        self._free: queue.LifoQueue[_Easel] = queue.LifoQueue()  # last used first: fewest started
        for easel in self._all:
            self._free.put(easel)
        self._closed = False

    def render(
        self,
        path: Path,
        frame: int = 0,
        window: Window | None = None,
        size: int = DEFAULT_SIZE,
    ) -> bytes:
        """As ``pictures.render``; blocks the calling thread. Raises Undrawable."""
        return self._submit(render, path, frame, window, size).result()

    def thumbnail(self, path: Path, frame: int | None = None) -> bytes:
        """As ``pictures.thumbnail``; blocks the calling thread. Raises Undrawable."""
        return self._submit(thumbnail, path, frame).result()

    def frame_count(self, path: Path) -> int:
        """As ``pictures.frame_count``; blocks the calling thread. Raises Undrawable."""
        return self._submit(frame_count, path).result()

    async def render_async(
        self,
        path: Path,
        frame: int = 0,
        window: Window | None = None,
        size: int = DEFAULT_SIZE,
    ) -> bytes:
        """As ``render``, for the event loop, which it does not block."""
        return await asyncio.wrap_future(self._submit(render, path, frame, window, size))

    async def thumbnail_async(self, path: Path, frame: int | None = None) -> bytes:
        """As ``thumbnail``, for the event loop, which it does not block."""
        return await asyncio.wrap_future(self._submit(thumbnail, path, frame))

    def close(self) -> None:
        """Ends the workers at once; pictures still wanted raise StudioBusy. Repeatable."""
        self._closed = True
        for easel in self._all:
            easel.close()
        self._clerks.shutdown(wait=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _submit(self, draw: Callable[P, T], *args: P.args, **named: P.kwargs) -> Future[T]:
        if not self._room.acquire(blocking=False):
            raise StudioBusy("Too many pictures are being drawn at the moment: ask again later.")
        try:
            future = self._clerks.submit(partial(self._draw, draw, *args, **named))
        except RuntimeError as error:
            self._room.release()
            raise _closing() from error
        future.add_done_callback(lambda _: self._room.release())
        return future

    def _draw(self, draw: Callable[P, T], *args: P.args, **named: P.kwargs) -> T:
        if self._closed:
            raise _closing()
        easel = self._free.get()
        try:
            return easel.draw(self._timeout, draw, *args, **named)
        finally:
            self._free.put(easel)


class _Easel:
    """One worker process, started when first needed and replaced when broken."""

    def __init__(self, memory_bytes: int) -> None:
        self._memory_bytes = memory_bytes
        self._guard = threading.Lock()
        self._pool: ProcessPoolExecutor | None = None
        self._worker: int | None = None
        self._closed = False

    def draw(self, timeout: float, draw: Callable[P, T], *args: P.args, **named: P.kwargs) -> T:
        """The picture, in time, or Undrawable; afterwards the easel can be used again."""
        try:
            return self._started().submit(draw, *args, **named).result(timeout)
        except TimeoutError as error:
            self._break_down()
            raise Undrawable(
                f"Drawing this image took longer than {timeout:g} seconds and was stopped."
            ) from error
        except (CancelledError, RuntimeError) as error:
            self._break_down()
            if self._closed:
                raise _closing() from error
            # BrokenProcessPool is a RuntimeError, as is a pool shut down meanwhile.
            raise Undrawable("Drawing this image crashed its decoder.") from error

    def close(self) -> None:
        """Kills the worker; a picture under way fails."""
        with self._guard:
            self._closed = True
        self._break_down()

    def _started(self) -> ProcessPoolExecutor:
        with self._guard:
            if self._closed:
                raise _closing()
            if self._pool is None:
                self._pool = ProcessPoolExecutor(
                    1,
                    mp_context=get_context("spawn"),
                    initializer=_prepare_worker,
                    initargs=(self._memory_bytes, os.getpid()),
                )
            pool = self._pool
        if self._worker is None:
            self._worker = pool.submit(os.getpid).result(START_SECONDS)
        return pool

    def _break_down(self) -> None:
        with self._guard:
            pool, worker = self._pool, self._worker
            self._pool = self._worker = None
        if pool is None:
            return
        if worker is not None:
            with suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)
        pool.shutdown(wait=True, cancel_futures=True)


def _closing() -> StudioBusy:
    return StudioBusy("The server is stopping: ask for the picture again later.")


def _prepare_worker(memory_bytes: int, parent: int) -> None:
    """Limits the worker's memory, leaves Ctrl-C to the parent, and never outlives it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = _address_space() + memory_bytes
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    with suppress(ValueError, OSError):  # macOS has the name but not the limit
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    threading.Thread(target=_die_with, args=(parent,), daemon=True).start()


def _address_space() -> int:
    """Bytes of address space in use: libraries and their threads' stacks are mapped already."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except OSError:
        return 0
    return pages * resource.getpagesize()


def _die_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_ORPHAN_CHECK_SECONDS)
    os._exit(0)

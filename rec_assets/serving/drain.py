"""One thread that computes, and the bounded queue it drains: the event loop never computes, and a flood gets 429."""

import asyncio
import contextlib
import logging
import queue
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from rec_assets.serving.bodies import Refused

T = TypeVar("T")
logger = logging.getLogger(__name__)
BUSY_SECONDS = 1.0  # after so long without a rest there is one between two calls
_STOP = object()


class Drain:
    """Runs calls one after the other in a thread of its own, and `idle` when there is none and now and then between."""

    def __init__(self, idle: Callable[[], None], limit: int, idle_seconds: float = 0.1) -> None:
        self._queue: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._idle, self._limit, self._idle_seconds = idle, limit, idle_seconds
        self._thread = threading.Thread(target=self._work, name="compute", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Finish what is queued up, then end the thread."""
        self._queue.put(_STOP)
        self._thread.join(timeout=5)

    def post(self, call: Callable[[], None]) -> None:
        """Run `call` in the thread; nobody waits for it, and it answers for its own errors."""
        self._queue.put((call, None, None))

    @property
    def waiting(self) -> int:
        """How many calls are queued up."""
        return self._queue.qsize()

    async def run(self, call: Callable[[], T]) -> T:
        """What `call` gives or raises, computed in the thread; Refused with 429 while the queue is full."""
        if self._queue.qsize() >= self._limit:
            raise Refused(429, f"{self._limit} requests are waiting already; try again")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._queue.put((call, loop, future))
        return await future

    def _work(self) -> None:
        rested = time.monotonic()
        while True:
            job = None
            with contextlib.suppress(queue.Empty):
                job = self._queue.get(timeout=self._idle_seconds)
            if job is None or time.monotonic() - rested > BUSY_SECONDS:
                self._rest()
                rested = time.monotonic()
            if job is None:
                continue
            if job is _STOP:
                return
            call, loop, future = job
            if future is None:
                call()
                continue
            if future.cancelled():  # its client gave up while it waited
                continue
            try:
                result, error = call(), None
            except Exception as raised:  # noqa: BLE001 - the thread's border: it is raised again where it is awaited
                result, error = None, raised
            loop.call_soon_threadsafe(_settle, future, result, error)

    def _rest(self) -> None:
        try:
            self._idle()
        except Exception:
            logger.exception("reading the log failed; the next request tries again")


def _settle(future: asyncio.Future[Any], result: object, error: Exception | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)

"""One thread that computes, and the bounded queue it drains: the event loop never computes, and a flood gets 429.

Lists that wait are made together, as many as there are up to a limit: one call of the encoder, one product with the
items, one call of the ranker. Nobody waits for a group to fill.
"""

import asyncio
import contextlib
import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from rec_assets.serving.bodies import Refused

T = TypeVar("T")
A = TypeVar("A")
R = TypeVar("R")
logger = logging.getLogger(__name__)
BUSY_SECONDS = 1.0  # after so long without a rest there is one between two calls
Future = asyncio.Future[Any]


class _Job(NamedTuple):
    """A call, or a wish for a list; who waits for it, if anyone does."""

    call: Callable[[], Any] | None
    wish: Any
    loop: asyncio.AbstractEventLoop | None
    future: Future | None


_STOP = _Job(None, None, None, None)


class Drain(Generic[A, R]):
    """Runs calls one after the other and wishes in groups, and `idle` when there is none and now and then between."""

    def __init__(
        self,
        idle: Callable[[], None],
        limit: int,
        answer: Callable[[Sequence[A]], Sequence[R | Exception]],
        together: int,
        idle_seconds: float = 0.1,
    ) -> None:
        """`answer` gives for each of at most `together` wishes what came of it; `limit` may wait."""
        self._queue: queue.SimpleQueue[_Job] = queue.SimpleQueue()
        self._idle, self._limit, self._idle_seconds = idle, limit, idle_seconds
        self._answer, self._together = answer, together
        self._held: _Job | None = None  # taken from the queue, not begun
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
        self._queue.put(_Job(call, None, None, None))

    @property
    def waiting(self) -> int:
        """How many calls and wishes are queued up."""
        return self._queue.qsize()

    async def run(self, call: Callable[[], T]) -> T:
        """What `call` gives or raises, computed in the thread; Refused with 429 while the queue is full."""
        found: T = await self._put(call, None)
        return found

    async def ask(self, wish: A) -> R:
        """What `answer` gives for this wish, or raises; Refused with 429 while the queue is full."""
        found: R = await self._put(None, wish)
        return found

    def _put(self, call: Callable[[], Any] | None, wish: A | None) -> Future:
        if self._queue.qsize() >= self._limit:
            raise Refused(429, f"{self._limit} requests are waiting already; try again")
        loop = asyncio.get_running_loop()
        future: Future = loop.create_future()
        self._queue.put(_Job(call, wish, loop, future))
        return future

    def _work(self) -> None:
        rested = time.monotonic()
        while True:
            job = self._next(self._idle_seconds)
            if job is None or time.monotonic() - rested > BUSY_SECONDS:
                self._rest()
                rested = time.monotonic()
            if job is None:
                continue
            if job is _STOP:
                return
            if job.future is None:
                assert job.call is not None
                job.call()
            elif job.call is None:
                self._make(self._group(job))
            elif not job.future.cancelled():  # else its client gave up while it waited
                try:
                    result: Any = job.call()
                except Exception as error:  # noqa: BLE001 - the thread's border: it is raised again where it is awaited
                    result = error
                self._tell([job], [result])

    def _next(self, seconds: float | None) -> _Job | None:
        job, self._held = self._held, None
        if job is None:
            with contextlib.suppress(queue.Empty):
                job = self._queue.get_nowait() if seconds is None else self._queue.get(timeout=seconds)
        return job

    def _group(self, first: _Job) -> list[_Job]:
        """The wish and those that wait right behind it."""
        group = [first]
        while len(group) < self._together and (job := self._next(None)) is not None:
            if job.call is not None or job.future is None:
                self._held = job
                break
            group.append(job)
        return [job for job in group if job.future is not None and not job.future.cancelled()]

    def _make(self, group: list[_Job]) -> None:
        if not group:
            return
        try:
            results: Sequence[Any] = self._answer([job.wish for job in group])
        except Exception as error:  # noqa: BLE001 - the thread's border: it is raised again where it is awaited
            results = [error] * len(group)
        self._tell(group, results)

    def _tell(self, group: Sequence[_Job], results: Sequence[Any]) -> None:
        """Wake each event loop once."""
        for loop in {job.loop for job in group}:
            assert loop is not None
            told = [(job.future, result) for job, result in zip(group, results, strict=True) if job.loop is loop]
            loop.call_soon_threadsafe(_settle, told)

    def _rest(self) -> None:
        try:
            self._idle()
        except Exception:
            logger.exception("reading the log failed; the next request tries again")


def _settle(told: Sequence[tuple[Future | None, Any]]) -> None:
    for future, result in told:
        if future is None or future.done():
            continue
        if isinstance(result, Exception):
            future.set_exception(result)
        else:
            future.set_result(result)

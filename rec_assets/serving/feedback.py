"""Feedback is durable before it is answered: one thread per worker appends what has come in since its last commit."""

import asyncio
import logging
import queue
import sqlite3
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from rec_assets.events import check
from rec_assets.log import Draft, Log
from rec_assets.serving.bodies import Refused, each_of, named
from rec_assets.settings import Kind

SOURCE = "http"
GROUP_ROWS = 5_000  # events in one transaction at most
logger = logging.getLogger(__name__)
_STOP = object()


class Stored(NamedTuple):
    """Where the events of one request are in the log, in order, and how many of them it had before."""

    offsets: list[int]
    repeated: int


def drafts_of(body: bytes, kinds: Mapping[str, Kind]) -> list[Draft]:
    """The events of a request body, all valid; Refused names the first wrong event and its field."""
    received_at = time.time_ns() // 1_000

    def draft(payload: bytes) -> Draft:
        check(payload, received_at, kinds)
        ids = named(payload)
        return Draft("event", payload, event_id=ids.event_id, user_id=ids.user_id, received_at=received_at)

    return each_of(body, "event", draft)


class Writer:
    """The thread that appends. While one group is being synced to disk the next one gathers."""

    def __init__(self, log_dir: Path, limit: int) -> None:
        self._log_dir, self._limit = log_dir, limit
        self._queue: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="feedback", daemon=True)
        self._stopping = False

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Append what is queued up, then end the thread."""
        self._queue.put(_STOP)
        self._thread.join(timeout=5)

    @property
    def waiting(self) -> int:
        """How many requests are queued up."""
        return self._queue.qsize()

    async def append(self, drafts: list[Draft]) -> Stored:
        """Append and sync; Refused with 429 while too many wait, with 503 where the log cannot be written."""
        if self._queue.qsize() >= self._limit:
            raise Refused(429, f"{self._limit} requests are waiting already; try again")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Stored] = loop.create_future()
        self._queue.put((drafts, loop, future))
        return await future

    def _work(self) -> None:
        log: Log | None = None
        while not self._stopping:
            group = self._gather()
            if not group:
                continue
            try:
                log = log or Log.open(self._log_dir)
                answers = _append(log, [drafts for drafts, _, _ in group])
            except (sqlite3.Error, OSError) as error:
                logger.exception("%d feedback requests could not be stored", len(group))
                refused = Refused(503, f"the log could not be written, nothing was stored: {error}")
                for _, loop, future in group:
                    loop.call_soon_threadsafe(_fail, future, refused)
                continue
            for (_, loop, future), stored in zip(group, answers, strict=True):
                loop.call_soon_threadsafe(_answer, future, stored)
        if log is not None:
            log.close()

    def _gather(self) -> list[Any]:
        """Wait for one request, then take all others that are there, up to GROUP_ROWS events."""
        group, rows = [], 0
        job = self._queue.get()
        while job is not _STOP:
            group.append(job)
            rows += len(job[0])
            if rows >= GROUP_ROWS:
                return group
            try:
                job = self._queue.get_nowait()
            except queue.Empty:
                return group
        self._stopping = True
        return group


def _append(log: Log, requests: list[list[Draft]]) -> list[Stored]:
    """One transaction for all requests. An offset before the head, or given twice, is one the log had already."""
    head = log.head()
    offsets = iter(log.append([draft for drafts in requests for draft in drafts], SOURCE))
    known: set[int] = set()
    answers = []
    for drafts in requests:
        own, repeated = [], 0
        for _ in drafts:
            offset = next(offsets)
            repeated += offset < head or offset in known
            known.add(offset)
            own.append(offset)
        answers.append(Stored(own, repeated))
    return answers


def _answer(future: asyncio.Future[Stored], stored: Stored) -> None:
    if not future.done():
        future.set_result(stored)


def _fail(future: asyncio.Future[Stored], error: Refused) -> None:
    if not future.done():
        future.set_exception(error)

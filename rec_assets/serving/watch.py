"""Takes up what is promoted within a third of a second, while the service goes on answering; and says that it lives."""

import logging
import sqlite3
import threading
import time
from pathlib import Path

from rec_assets.registry import Promoted, Registry
from rec_assets.serving import measures
from rec_assets.serving.engine import Engine
from rec_assets.serving.loading import UNUSABLE
from rec_assets.serving.spool import Seen, Spool

POLL_SECONDS = 0.2
HEARTBEAT_SECONDS = 1.0
logger = logging.getLogger(__name__)


class Watcher:
    """A thread that polls the promoted pointer, loads and warms new weights beside the old ones, and swaps them."""

    def __init__(self, engine: Engine, registry: Registry, spool_path: Path, worker: str) -> None:
        self._engine, self._registry, self._spool_path, self._worker = engine, registry, spool_path, worker
        self.workers: list[Seen] = []  # all of the service, as of the last heartbeat
        self._spool: Spool | None = None
        self._tried: Promoted | None = None  # the pointer that was last acted on, so that a bad one is tried once
        self._noted: str | None = None  # the checkpoint whose swap stands in the spool
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="watch", daemon=True)

    def start(self) -> None:
        """Start the thread; the engine serves already."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread, and take this worker from those that a promotion waits for."""
        self._stop.set()
        self._thread.join(timeout=5)

    def _work(self) -> None:
        beat_at = 0.0
        while not self._stop.is_set():
            self._take_up()
            self._read_rules()
            if time.monotonic() >= beat_at or self._engine.served.checkpoint != self._noted:
                beat_at = time.monotonic() + HEARTBEAT_SECONDS
                self._note()
            self._stop.wait(POLL_SECONDS)
        self._leave()

    def _take_up(self) -> None:
        try:
            pointer = self._registry.pointer()
            if pointer is None or pointer == self._tried:
                return
            self._tried = pointer
            if pointer.id == self._engine.served.checkpoint:
                return
            started = time.monotonic()
            self._engine.adopt(self._registry, pointer)
        except UNUSABLE:
            measures.swap_failures.inc()
            logger.exception("the promoted checkpoint cannot be served; %s stays", self._engine.served.checkpoint)
            return
        measures.swaps.inc()
        logger.info("serving checkpoint %s after %.0f ms", pointer.id, 1e3 * (time.monotonic() - started))

    def _read_rules(self) -> None:
        rules = self._engine.rules
        if not rules.refresh():
            return
        if rules.error is None:
            logger.info("%d business rules of version %s hold", len(rules.rules), rules.rules.version)
        else:
            logger.error("%s stays as it was: %s", rules.path, rules.error)

    def _note(self) -> None:
        """Write the last swap and the heartbeat; a locked or full spool is tried again at the next beat."""
        served, now = self._engine.served, time.time_ns() // 1_000
        try:
            self._spool = self._spool or Spool(self._spool_path)
            if served.checkpoint is not None and served.checkpoint != self._noted:
                self._spool.swapped(self._worker, served.checkpoint, served.watermark, served.served_at)
                self._noted = served.checkpoint
            self._spool.seen(self._worker, served.checkpoint, now)
            self.workers = self._spool.workers()
        except (sqlite3.Error, OSError):
            logger.exception("the spool could not be written")

    def _leave(self) -> None:
        if self._spool is not None:
            try:
                self._spool.left(self._worker)
            except sqlite3.Error:
                logger.exception("the spool could not be written")
            self._spool.close()

"""Every served list is kept: grouped into the spool at once, and from there into the log once a minute."""

import logging
import sqlite3
import threading
import time
from pathlib import Path

from rec_assets.log import Draft, Log
from rec_assets.serving import measures
from rec_assets.serving.spool import SHIP_ROWS, Row, Served, Spool, only_one

WRITE_SECONDS = 0.2  # what a killed worker may lose of its newest lists
SHIP_SECONDS = 60.0
BUFFER_LISTS = 20_000  # while the spool cannot be written; what comes beyond is dropped and counted
logger = logging.getLogger(__name__)


def ship(spool: Spool, log: Log) -> int:
    """Move all lists of the spool into the log, each exactly once; returns how many.

    The id of the last list goes into the log's own transaction as the position of the source "lists:<spool>", so a
    crash between the log's commit and the spool's deletion repeats nothing.
    """
    source = f"lists:{spool.spool_id}"
    position, shipped = int(log.position(source) or 0), 0
    while rows := spool.lists(position, SHIP_ROWS):
        drafts = [_draft(row) for row in rows]
        position = rows[-1].id
        log.append(drafts, source, position=str(position))
        shipped += len(rows)
        spool.drop(position)
    spool.drop(position)  # what the log took before a crash
    return shipped


def _draft(row: Row) -> Draft:
    return Draft("list", row.payload, user_id=row.user_id, received_at=row.served_at, source_position=str(row.id))


class ServedLists:
    """Takes served lists from the compute thread without making it wait; a thread of its own does the rest."""

    def __init__(self, spool_path: Path, log_dir: Path, ship_seconds: float = SHIP_SECONDS) -> None:
        self._spool_path, self._log_dir, self._ship_seconds = spool_path, log_dir, ship_seconds
        self._buffer: list[Served] = []
        self._lock, self._stop = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._work, name="lists", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Write what is in memory into the spool, then end the thread."""
        self._stop.set()
        self._thread.join(timeout=5)

    def add(self, served: Served) -> None:
        """Keep this list; dropped and counted when the spool has not been writable for long."""
        with self._lock:
            if len(self._buffer) < BUFFER_LISTS:
                self._buffer.append(served)
            else:
                measures.lists_dropped.inc()

    def _work(self) -> None:
        spool: Spool | None = None
        shipper: int | None = None
        ship_at = time.monotonic() + self._ship_seconds
        stopping = False
        while not stopping:
            stopping = self._stop.wait(WRITE_SECONDS)
            try:
                spool = spool or Spool(self._spool_path)
                self._write(spool)
                if time.monotonic() >= ship_at and not stopping:
                    ship_at = time.monotonic() + self._ship_seconds
                    shipper = shipper or only_one(self._spool_path)
                    if shipper is not None:
                        _ship(spool, self._log_dir)
            except (sqlite3.Error, OSError):
                logger.exception("served lists could not be stored, %d wait in memory", len(self._buffer))
        if spool is not None:
            spool.close()

    def _write(self, spool: Spool) -> None:
        with self._lock:
            lists, self._buffer = self._buffer, []
        if not lists:
            return
        try:
            spool.add(lists)
        except sqlite3.Error:
            with self._lock:
                self._buffer = lists + self._buffer
            raise


def _ship(spool: Spool, log_dir: Path) -> None:
    log = Log.open(log_dir)
    try:
        ship(spool, log)
    finally:
        log.close()

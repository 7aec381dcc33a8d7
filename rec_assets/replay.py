"""Sends recorded events to a running service as if they happened now, at a chosen speed, each stored exactly once."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from rec_assets import durable
from rec_assets.log import position_id
from rec_assets.sources.mapping import ColumnMapping
from rec_assets.sources.rows import BrokenFile, open_rows
from rec_assets.validation import read_micros

TOGETHER_SECONDS = 0.005  # events that are due within this go in one request
BATCH_EVENTS = 500
FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 0.1, 5.0
BUSY = (429, 502, 503, 504)

Event = dict[str, Any]  # as POST /feedback takes it, its event_id included
OnSent = Callable[[Sequence[Event], float, Sequence[int]], None]


class ReplayError(RuntimeError):
    """The service cannot be reached or does not take events; the message is one line."""


class Replayed(NamedTuple):
    """How many events the log has, and how many the service refused as no events."""

    stored: int
    refused: int


def replay(
    events: Iterable[Event],
    client: httpx.Client,
    *,
    rate: float | None = None,
    speed: float | None = None,
    on_sent: OnSent | None = None,
    patience: float = 300.0,
) -> Replayed:
    """Send events to POST /feedback in order: `rate` per second, or `speed` times as fast as they occurred.

    What is late is sent at once, in larger requests. While the service is away or busy the same request is sent again,
    for at most `patience` seconds; event_ids make that harmless. `on_sent` is told the events of a request, when it was
    sent (time.perf_counter) and their offsets in the log. Raises ReplayError.
    """
    stored = refused = 0
    for batch in _due(events, rate, speed):
        wrong = 0
        while batch:
            sent_at = time.perf_counter()
            reply = _post(client, batch, patience)
            if reply.status_code == 200:
                offsets = reply.json()["offsets"]
                stored += len(batch)
                if on_sent is not None:
                    on_sent(batch, sent_at, offsets)
                break
            del batch[_wrong(reply, len(batch))]
            wrong += 1
        refused += wrong
    return Replayed(stored, refused)


def read_events(path: Path, mapping: ColumnMapping) -> Iterator[Event]:
    """The events of a file, with the event_ids that they also get when the file is dropped into the landing folder.

    Rows that are broken are sent as they are, for the service to refuse. Raises BrokenFile.
    """
    source = f"file:{durable.sha256(path)}"
    columns, rows = open_rows(path)
    mapped = mapping.of(columns, path.name)
    if mapped.kind != "event":
        raise BrokenFile(path.name, f"its rows are {mapped.kind}s, not events: drop it into the landing folder instead")
    for row in rows:
        event = (
            {"row": row.values.decode(errors="replace")}
            if isinstance(row.values, bytes)
            else mapped.payload(row.values)
        )
        event.setdefault("event_id", position_id(source, str(row.number)))
        yield event


def _due(events: Iterable[Event], rate: float | None, speed: float | None) -> Iterator[list[Event]]:
    """Lists of events, each given when its first is due."""
    start, first = time.perf_counter(), None
    batch: list[Event] = []
    batch_at = due = start
    for number, event in enumerate(events):
        if rate is not None:
            due = start + number / rate
        elif speed is not None and (at := _seconds(event)) is not None:
            first = at if first is None else first
            due = start + (at - first) / speed
        if batch and (due > max(batch_at, time.perf_counter()) + TOGETHER_SECONDS or len(batch) >= BATCH_EVENTS):
            _wait(batch_at)
            yield batch
            batch = []
        if not batch:
            batch_at = due
        batch.append(event)
    if batch:
        _wait(batch_at)
        yield batch


def _wait(until: float) -> None:
    if (seconds := until - time.perf_counter()) > 0:
        time.sleep(seconds)


def _seconds(event: Event) -> float | None:
    """When it occurred, in seconds; None where that cannot be read, so that it is sent with the one before."""
    try:
        return read_micros(event.get("occurred_at")) / 1e6
    except (ValueError, OverflowError):
        return None


def _post(client: httpx.Client, batch: list[Event], patience: float) -> httpx.Response:
    """The service's answer, 200 or 422, however long it takes it to be there."""
    give_up, wait = time.monotonic() + patience, FIRST_WAIT_SECONDS
    while True:
        try:
            reply = client.post("/feedback", json=batch)
        except httpx.TransportError as error:
            problem, told = f"{client.base_url} cannot be reached ({error})", None
        else:
            if reply.status_code in (200, 422):
                return reply
            if reply.status_code not in BUSY:
                raise ReplayError(f"{client.base_url} answered {reply.status_code}: {reply.text[:200]}")
            problem, told = f"{client.base_url} answered {reply.status_code}", reply.headers.get("Retry-After")
        if time.monotonic() + wait > give_up:
            raise ReplayError(f"{problem}, for {patience:.0f} seconds")
        time.sleep(min(float(told), LONGEST_WAIT_SECONDS) if told and told.isdigit() else wait)
        wait = min(wait * 2, LONGEST_WAIT_SECONDS)


def _wrong(reply: httpx.Response, count: int) -> int:
    """The place of the event that the service refuses."""
    try:
        place = reply.json()["error"]["index"] if count > 1 else 0
    except (ValueError, KeyError, TypeError):
        place = None
    if not isinstance(place, int) or not 0 <= place < count:
        raise ReplayError(f"the service refused {count} events without saying which is wrong: {reply.text[:200]}")
    return place

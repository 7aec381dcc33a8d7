"""Server-sent events: what /status says, whenever it has changed."""

import asyncio
import time
from collections.abc import AsyncIterator

import msgspec
from starlette.responses import StreamingResponse

from rec_assets.serving.bodies import Refused
from rec_assets.serving.worker import Worker

STREAM_SECONDS = 0.5  # how often a stream looks for something new
SILENCE_SECONDS = 15.0  # after which it says something, so that proxies keep it open
STREAMS_LIMIT = 100
TICKING = ("now", "workers")  # what changes all the time is no news
_streams = 0


def answer(worker: Worker) -> StreamingResponse:
    """A stream that ends with the worker; Refused with 429 while STREAMS_LIMIT are open."""
    if _streams >= STREAMS_LIMIT:
        raise Refused(429, f"{STREAMS_LIMIT} event streams are open already")
    return StreamingResponse(_stream(worker), headers={"Cache-Control": "no-store"}, media_type="text/event-stream")


async def _stream(worker: Worker) -> AsyncIterator[bytes]:
    global _streams
    _streams += 1
    try:
        last, said_at = b"", time.monotonic()
        while not worker.stopping:
            status = worker.status()
            told = msgspec.json.encode({key: value for key, value in status.items() if key not in TICKING})
            if told != last:
                last, said_at = told, time.monotonic()
                yield b"event: status\ndata: " + msgspec.json.encode(status) + b"\n\n"
            elif time.monotonic() - said_at > SILENCE_SECONDS:
                said_at = time.monotonic()
                yield b": still here\n\n"
            await asyncio.sleep(STREAM_SECONDS)
    finally:
        _streams -= 1

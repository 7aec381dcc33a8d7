"""A load generator for HTTP/1.1 that costs little beside what it measures: each connection asks again as soon as it is
answered. uvloop and httptools are those of the service.
"""

import asyncio
import itertools
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import cast

import httptools
import numpy as np
import uvloop

PATIENCE = 10.0  # seconds for the last answers


@dataclass
class Answers:
    """What came back within some seconds."""

    seconds: float
    latencies: list[float] = field(default_factory=list)  # seconds, of those with status 200
    statuses: dict[int, int] = field(default_factory=dict)
    broken: int = 0  # connections that were lost, or requests never answered

    @property
    def per_second(self) -> float:
        """Requests that were answered with 200."""
        return len(self.latencies) / self.seconds

    @property
    def failed(self) -> int:
        """Requests that were not."""
        return self.broken + sum(count for status, count in self.statuses.items() if status != 200)

    def ms(self, percent: float) -> float:
        """A percentile of the latencies."""
        return float(np.percentile(self.latencies, percent)) * 1e3 if self.latencies else float("nan")

    def told(self) -> dict[str, float]:
        """For a report."""
        return {
            "requests_per_second": round(self.per_second, 1),
            "p50_ms": round(self.ms(50), 2),
            "p99_ms": round(self.ms(99), 2),
            "failed": self.failed,
        }


class _Connection(asyncio.Protocol):
    """One client: asks, waits, asks again."""

    def __init__(self, requests: Iterator[bytes], answers: Answers, until: float) -> None:
        self._requests, self._answers, self._until = requests, answers, until
        self._parser = httptools.HttpResponseParser(self)
        self._waiting = False
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own, of no common class
        self._ask()

    def _ask(self) -> None:
        self._began = time.perf_counter()
        if self._began >= self._until:
            self._finish()
            return
        self._waiting = True
        self._transport.write(next(self._requests))

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        status, self._waiting = self._parser.get_status_code(), False
        self._answers.statuses[status] = self._answers.statuses.get(status, 0) + 1
        if status == 200:
            self._answers.latencies.append(time.perf_counter() - self._began)
        self._parser = httptools.HttpResponseParser(self)
        asyncio.get_running_loop().call_soon(self._ask)

    def connection_lost(self, error: Exception | None) -> None:
        self._finish()

    def _finish(self) -> None:
        if self.done.done():
            return
        self._answers.broken += self._waiting
        self.done.set_result(None)
        self._transport.close()

    def give_up(self) -> None:
        """Nothing more will come."""
        self._finish()


def run(port: int, requests: Sequence[bytes], connections: int, seconds: float) -> Answers:
    """Send the requests in turn, from so many connections at once, for so long."""

    async def all_of_them() -> Answers:
        loop = asyncio.get_running_loop()
        began = time.perf_counter()
        answers, source = Answers(seconds), itertools.cycle(requests)
        made = [
            (await loop.create_connection(lambda: _Connection(source, answers, began + seconds), "127.0.0.1", port))[1]
            for _ in range(connections)
        ]
        await asyncio.wait([each.done for each in made], timeout=seconds + PATIENCE)
        for each in made:
            each.give_up()
        answers.seconds = time.perf_counter() - began
        return answers

    return uvloop.run(all_of_them())


def get(path: str) -> bytes:
    """A GET as it goes over the wire."""
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


def post(path: str, body: bytes) -> bytes:
    """A POST of JSON."""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return f"{head}\r\n\r\n".encode() + body

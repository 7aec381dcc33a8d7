"""Own list: how long after an event is sent the list arrives that has read it."""

import threading
import time
from collections.abc import Sequence
from typing import Any

import httpx
import numpy as np

GIVE_UP_SECONDS = 30.0


class OwnListProbe:
    """Times, from sending an event to receiving the next list whose offset has passed it. For several threads."""

    def __init__(self, client: httpx.Client, every: float) -> None:
        """`every`: seconds between two measurements that `sent` begins."""
        self.client, self.every = client, every
        self.next_at = time.monotonic()
        self.milliseconds: list[float] = []
        self._lock = threading.Lock()

    def sent(self, events: Sequence[dict[str, Any]], sent_at: float, offsets: Sequence[int]) -> None:
        """What `replay` calls: measures with the last event of a request, when it is time to."""
        if time.monotonic() >= self.next_at:
            self.measure(events[-1]["user_id"], sent_at, offsets[-1])
            self.next_at = time.monotonic() + self.every

    def measure(self, user_id: str, sent_at: float, offset: int) -> None:
        """Ask for the user's list until it has read the event at `offset`, sent at `sent_at` (time.perf_counter).

        Raises TimeoutError where no list does within half a minute: a figure for that would be made up.
        """
        while time.perf_counter() - sent_at < GIVE_UP_SECONDS:
            reply = self.client.post("/recommend", json={"user_id": user_id, "k": 20})
            if reply.status_code == 200 and reply.json()["offset"] > offset:
                with self._lock:
                    self.milliseconds.append((time.perf_counter() - sent_at) * 1e3)
                return
        raise TimeoutError(f"no list of user {user_id} had read offset {offset} after {GIVE_UP_SECONDS:.0f} s")

    def percentiles(self, *which: float) -> list[float] | None:
        """Percentiles in ms; None before the first measurement."""
        with self._lock:
            taken: Sequence[float] = list(self.milliseconds)
        return np.percentile(taken, which).tolist() if taken else None

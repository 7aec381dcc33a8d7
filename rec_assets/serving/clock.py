"""One clock: now is the latest time of any accepted event, plus the time that has passed since it was received.

A replay of 1997 therefore runs in 1997, and what happens on the page is stamped with that clock.
"""

import time

import numpy as np

from rec_assets.events import Events


class LogClock:
    """The clock of one log; without any event it is the machine's own."""

    def __init__(self, occurred_at: int | None = None, received_at: int = 0) -> None:
        """Start from the latest event that is known: when it happened and when it was received, µs UTC."""
        self._occurred_at, self._received_at = occurred_at, received_at

    def take(self, events: Events) -> None:
        """Move on to the latest of these events, if it is later than all before."""
        if len(events) == 0:
            return
        latest = int(np.argmax(events.occurred_at))
        occurred_at = int(events.occurred_at[latest])
        if self._occurred_at is None or occurred_at > self._occurred_at:
            self._occurred_at, self._received_at = occurred_at, int(events.received_at[latest])

    def now(self) -> float:
        """Seconds since 1970 on this clock."""
        machine = time.time_ns() // 1_000
        if self._occurred_at is None:
            return machine / 1e6
        return (self._occurred_at + max(0, machine - self._received_at)) / 1e6

"""What is counted per item and per user."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rec_assets.features.blocks import extended
from rec_assets.features.kernels import kernel

AVERAGES = ("log_users", "log_age", "repeat", "log_gap", "in_session")
KEEP = np.float32(0.9)  # of a moving average, per event
SESSION_SECONDS = 3_600.0  # a session is a chain of gaps no longer than this


class ItemStatistics(NamedTuple):
    """I items."""

    first_at: npt.NDArray[np.float64]  # [I] seconds, of the first event
    last_at: npt.NDArray[np.float64]  # [I] seconds, of the last event
    events: npt.NDArray[np.int32]  # [I]
    users: npt.NDArray[np.int32]  # [I] distinct
    hours: npt.NDArray[np.float32]  # [I, 24] events by hour of the day, UTC
    days: npt.NDArray[np.float32]  # [I, 7] events by day of the week, 0 is Monday
    all_hours: npt.NDArray[np.float64]  # [24]
    all_days: npt.NDArray[np.float64]  # [7]


def no_items() -> ItemStatistics:
    """No items."""
    return ItemStatistics(
        first_at=np.zeros(0),
        last_at=np.zeros(0),
        events=np.zeros(0, np.int32),
        users=np.zeros(0, np.int32),
        hours=np.zeros((0, 24), np.float32),
        days=np.zeros((0, 7), np.float32),
        all_hours=np.zeros(24),
        all_days=np.zeros(7),
    )


def with_items(items: ItemStatistics, number: int) -> ItemStatistics:
    """For at least so many items; arrays that are long enough are shared."""
    per_item = ("first_at", "last_at", "events", "users", "hours", "days")
    return items._replace(**{name: extended(getattr(items, name), number, 0) for name in per_item})


@kernel
def hour_of(seconds: float) -> int:
    """Hour of the day, 0 to 23, UTC."""
    return int(seconds // 3600) % 24


@kernel
def day_of(seconds: float) -> int:
    """Day of the week, 0 is Monday (1970-01-01 was a Thursday)."""
    return (int(seconds // 86400) + 3) % 7


@kernel
def count_item(items: ItemStatistics, item: int, seconds: float, is_new_user: bool) -> None:
    """One event on an item, by a user who had it before or not."""
    if items.events[item] == 0:
        items.first_at[item] = seconds
        items.last_at[item] = seconds
    items.last_at[item] = max(items.last_at[item], seconds)
    items.events[item] += 1
    items.users[item] += is_new_user
    items.hours[item, hour_of(seconds)] += 1
    items.days[item, day_of(seconds)] += 1
    items.all_hours[hour_of(seconds)] += 1
    items.all_days[day_of(seconds)] += 1


@kernel
def log_users(items: ItemStatistics, item: int) -> float:
    """How well known an item is."""
    return float(np.log1p(items.users[item]))


@kernel
def log_age(items: ItemStatistics, item: int, seconds: float) -> float:
    """Log of the hours since the item's first event."""
    return np.log1p(max(0.0, seconds - items.first_at[item]) / 3600) if items.events[item] > 0 else 0.0


@kernel
def log_gap(seconds: float) -> float:
    """Log of a time that has passed, in minutes; what lies in the future counts as now."""
    return float(np.log1p(max(0.0, seconds) / 60))


@kernel
def average(
    averages: npt.NDArray[np.float32],
    items: ItemStatistics,
    item: int,
    seconds: float,
    is_first: bool,
    gap: float,
    is_repeat: bool,
) -> None:
    """Move a user's averages f32[5] towards one event, the item's statistics being those from before it; `gap` in
    seconds.
    """
    new = (
        np.float32(log_users(items, item)),
        np.float32(log_age(items, item, seconds)),
        np.float32(is_repeat),
        np.float32(log_gap(gap)),
        np.float32(gap <= SESSION_SECONDS),
    )
    for i in range(5):
        averages[i] = new[i] if is_first else KEEP * averages[i] + (1 - KEEP) * new[i]

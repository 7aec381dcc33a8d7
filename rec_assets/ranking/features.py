"""What the ranker is told of each candidate and of the moment, all of it known before the event."""

import numpy as np
import numpy.typing as npt

from rec_assets.features import popularity as popular
from rec_assets.features.counters import Counters
from rec_assets.features.kernels import kernel
from rec_assets.features.statistics import AVERAGES, day_of, hour_of, log_age, log_gap, log_users
from rec_assets.ranking import own
from rec_assets.ranking.content import cosine
from rec_assets.ranking.scratch import Scratch
from rec_assets.ranking.sources import SUMMED
from rec_assets.ranking.transitions import link

FEATURES = (
    *(f"popular_{name}" for name in popular.NAMES),
    *SUMMED,
    "link_1",
    "link_2",
    "link_3",
    "link_back",
    "log_events",
    "log_users",
    "log_age",
    "log_gap",
    "repeat_share",
    "hour_lift",
    "day_lift",
    "content",
    "content_latest",
    "users_above_average",
    "users_from_average",
    "age_above_average",
    "age_from_average",
    "own_count",
    "own_decayed",
    "own_positions_ago",
    "own_seconds_ago",
    "own_hour_share",
    "own_day_share",
    "own_due",
    "own_due_distance",
    "encoder",
)
CONTEXT = (
    "log_history",
    "log_gap",
    "log_session",
    *(f"average_{name}" for name in AVERAGES),
    *(f"mass_{name}" for name in ("next", "item_knn", "session", "neighbours", "own", "own_next", "own_around")),
)
F, K = len(FEATURES), len(CONTEXT)
FLOOR = 1e-4  # a share below this is as good as none
LEAST = np.log(FLOOR)
_MASSES = tuple(SUMMED.index(name.removeprefix("mass_")) for name in CONTEXT[3 + len(AVERAGES) :])


@kernel
def context(
    counters: Counters,
    times: npt.NDArray[np.float64],
    user: int,
    now: float,
    session: int,
    mass: npt.NDArray[np.float64],
    out: npt.NDArray[np.float32],
) -> None:
    """Fill out f32[K]."""
    out[0] = np.log1p(len(times))
    out[1] = log_gap(now - times[-1]) if len(times) > 0 else 0.0
    out[2] = np.log1p(session)
    if user >= 0:
        out[3 : 3 + len(AVERAGES)] = counters.averages[user]
    for i in range(len(_MASSES)):
        out[3 + len(AVERAGES) + i] = np.log(FLOOR + mass[_MASSES[i]])


@kernel
def _lift(counts: npt.NDArray[np.float32], all_counts: npt.NDArray[np.float64], at: int) -> float:
    """Log of how much more an item happens at this hour or on this day than others do, held back by ten events."""
    total, item_total = np.sum(all_counts), np.sum(counts)
    if total == 0:
        return 0.0
    share = (all_counts[at] + 1) / (total + len(all_counts))
    return float(np.log((counts[at] + 10 * share) / ((item_total + 10) * share)))


@kernel
def _own(had: npt.NDArray[np.float64], now: float, out: npt.NDArray[np.float32]) -> None:
    """Fill out f32[8] from what is known of an item that the user had."""
    count, ago = had[own.COUNT], max(0.0, now - had[own.LAST_AT])
    out[0] = np.log1p(count)
    out[1] = had[own.DECAYED]
    out[2] = np.log1p(had[own.POSITION])
    out[3] = log_gap(ago)
    out[4] = had[own.SAME_HOUR] / count
    out[5] = had[own.SAME_DAY] / count
    if count > 1:
        interval = (had[own.LAST_AT] - had[own.FIRST_AT]) / (count - 1)
        out[6] = np.log((ago + 3600) / (interval + 3600))
        out[7] = abs(out[6])


@kernel
def fill(
    scratch: Scratch,
    counters: Counters,
    vectors: npt.NDArray[np.float32],
    profile: npt.NDArray[np.float32],
    had: npt.NDArray[np.float64],
    history: npt.NDArray[np.int32],
    user: int,
    now: float,
    mass: npt.NDArray[np.float64],
    logits: npt.NDArray[np.float32],
    log_sum: float,
    items: npt.NDArray[np.int32],
    out: npt.NDArray[np.float32],
) -> None:
    """Fill out f32[n, F] for candidates items i32[n]."""
    statistic, pop = counters.items, counters.popularity
    hour, day, n = hour_of(now), day_of(now), len(history)
    for row in range(len(items)):
        item, x = items[row], out[row]
        for h in range(popular.H):
            share = 2.0 ** (pop.level[item, h] - pop.total[h]) if pop.total[h] > -np.inf else 0.0
            x[h] = np.log(FLOOR + share)
        column = popular.H
        for a in range(len(SUMMED)):
            x[column + a] = np.log(FLOOR + scratch.score[a, item] / mass[a]) if mass[a] > 0 else LEAST
        column += len(SUMMED)
        for d in range(3):
            x[column + d] = np.log(FLOOR + link(counters, history[n - 1 - d], item)) if n > d else LEAST
        x[column + 3] = np.log(FLOOR + link(counters, item, history[n - 1])) if n > 0 else LEAST
        column += 4
        events, users, age = statistic.events[item], log_users(statistic, item), log_age(statistic, item, now)
        x[column] = np.log1p(events)
        x[column + 1] = users
        x[column + 2] = age
        x[column + 3] = log_gap(now - statistic.last_at[item]) if events > 0 else 0.0
        x[column + 4] = 1 - (statistic.users[item] + 1) / (events + 1)
        x[column + 5] = _lift(statistic.hours[item], statistic.all_hours, hour)
        x[column + 6] = _lift(statistic.days[item], statistic.all_days, day)
        x[column + 7] = cosine(vectors[item], profile)
        x[column + 8] = cosine(vectors[item], vectors[history[n - 1]]) if n > 0 else 0.0
        column += 9
        if user >= 0 and n > 0:
            above, older = users - counters.averages[user, 0], age - counters.averages[user, 1]
            x[column], x[column + 1], x[column + 2], x[column + 3] = above, abs(above), older, abs(older)
        column += 4
        if scratch.slot[item] >= 0:
            _own(had[scratch.slot[item]], now, x[column : column + 8])
        column += 8
        x[column] = logits[item] - log_sum if item < len(logits) else 0.0

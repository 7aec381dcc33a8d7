"""What the ranker is told of each candidate and of the moment, all of it known before the event."""

import numpy as np
import numpy.typing as npt

from rec_assets.features import popularity as popular
from rec_assets.features.counters import Counters
from rec_assets.features.elementary import exp2, log
from rec_assets.features.kernels import kernel
from rec_assets.features.statistics import AVERAGES, day_of, hour_of, log_gap
from rec_assets.ranking import own
from rec_assets.ranking.content import cosine
from rec_assets.ranking.expected import Expected, logit
from rec_assets.ranking.scratch import NOTHING, A, Scratch
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
    "own_inside",
    "own_sessions",
    "own_sessions_share",
    "own_sessions_ago",
    "own_due_usual",
    "encoder",
)
CONTEXT = (
    "log_history",
    "log_gap",
    "log_session",
    "log_sessions",
    *(f"average_{name}" for name in AVERAGES),
    *(f"mass_{name}" for name in ("next", "item_knn", "session", "neighbours", "own", "own_next", "own_around")),
)
F, K = len(FEATURES), len(CONTEXT)
OWN = sum(name.startswith("own_") for name in FEATURES) - sum(name.startswith("own_") for name in SUMMED)
LONG_AGO = 5.0  # log of the sessions since one never had outside this session
FLOOR = 1e-4  # a share below this is as good as none
LOGARITHMS = FEATURES.index("content") - 1  # the first so many, but for one between them
_MASSES = tuple(SUMMED.index(name.removeprefix("mass_")) for name in CONTEXT[4 + len(AVERAGES) :])


@kernel
def context(
    counters: Counters,
    times: npt.NDArray[np.float64],
    user: int,
    now: float,
    session: int,
    number: int,
    mass: npt.NDArray[np.float64],
    out: npt.NDArray[np.float32],
) -> None:
    """Fill out f32[K]."""
    out[0] = np.log1p(len(times))
    out[1] = log_gap(now - times[-1]) if len(times) > 0 else 0.0
    out[2] = np.log1p(session)
    out[3] = np.log1p(number)
    if user >= 0:
        out[4 : 4 + len(AVERAGES)] = counters.averages[user]
    for i in range(len(_MASSES)):
        out[4 + len(AVERAGES) + i] = np.log(FLOOR + mass[_MASSES[i]])


@kernel
def _lift(count: float, events: int, all_counts: npt.NDArray[np.float64], at: int, total: float) -> float:
    """How much more an item happens at this hour or on this day than others do, held back by ten events."""
    if total == 0:
        return 1.0
    share = (all_counts[at] + 1) / (total + len(all_counts))
    return float((count + 10 * share) / ((events + 10) * share))


@kernel
def _own(had: npt.NDArray[np.float64], number: int, usual: float, now: float, out: npt.NDArray[np.float32]) -> None:
    """Fill out f32[OWN] from what is known of an item that the user had; `usual` seconds pass from one of the user's
    `number` sessions to the next.
    """
    count, ago = had[own.COUNT], max(0.0, now - had[own.LAST_AT])
    out[0] = np.log1p(count)
    out[1] = had[own.DECAYED]
    out[2] = np.log1p(had[own.POSITION])
    out[3] = log_gap(ago)
    out[4] = had[own.SAME_HOUR] / count
    out[5] = had[own.SAME_DAY] / count
    if count > 1:
        interval = max(0.0, had[own.LAST_AT] - had[own.FIRST_AT]) / (count - 1)  # what is told late came before
        out[6] = np.log((ago + 3600) / (interval + 3600))
        out[7] = abs(out[6])
    out[8] = np.log1p(had[own.INSIDE])
    out[9] = np.log1p(had[own.SESSIONS])
    out[10] = had[own.SESSIONS] / max(1, number - 1)
    out[11] = np.log1p(number - had[own.LAST_SESSION]) if had[own.SESSIONS] > 0 else LONG_AGO
    out[12] = np.log((ago + 3600) / (usual + 3600))


@kernel
def _logarithms(
    scratch: Scratch,
    counters: Counters,
    history: npt.NDArray[np.int32],
    now: float,
    mass: npt.NDArray[np.float64],
    items: npt.NDArray[np.int32],
) -> npt.NDArray[np.float32]:
    """The features that are logarithms, f32[LOGARITHMS, n]: item by item, but the last step for all at once."""
    statistic, pop, n = counters.items, counters.popularity, len(history)
    hour, day, total = hour_of(now), day_of(now), np.sum(counters.items.all_hours)
    x = np.empty((LOGARITHMS, len(items)), np.float32)
    by = np.zeros(A)
    for a in range(A):
        by[a] = 1 / mass[a] if mass[a] > 0 else 0.0
    for row in range(len(items)):
        item = items[row]
        line = scratch.line[item]
        scores = scratch.score[line if line >= 0 else NOTHING]
        for h in range(popular.H):
            x[h, row] = pop.level[item, h] - pop.total[h] if pop.total[h] > -np.inf else -np.inf
        column = popular.H
        for a in range(A):
            x[column + a, row] = FLOOR + scores[a] * by[a]
        column += A
        for d in range(3):
            x[column + d, row] = FLOOR + link(counters, history[n - 1 - d], item) if n > d else FLOOR
        x[column + 3, row] = FLOOR + link(counters, item, history[n - 1]) if n > 0 else FLOOR
        column += 4
        events = statistic.events[item]
        x[column, row] = 1 + events
        x[column + 1, row] = 1 + statistic.users[item]
        x[column + 2, row] = 1 + max(0.0, now - statistic.first_at[item]) / 3600 if events > 0 else 1
        x[column + 3, row] = 1 + max(0.0, now - statistic.last_at[item]) / 60 if events > 0 else 1
        x[column + 4, row] = _lift(statistic.hours[item, hour], events, statistic.all_hours, hour, total)
        x[column + 5, row] = _lift(statistic.days[item, day], events, statistic.all_days, day, total)
    for h in range(popular.H):
        for row in range(len(items)):
            x[h, row] = np.float32(FLOOR) + exp2(x[h, row])
    for column in range(LOGARITHMS):
        for row in range(len(items)):
            x[column, row] = log(x[column, row])
    return x


@kernel
def fill(
    scratch: Scratch,
    counters: Counters,
    vectors: npt.NDArray[np.float32],
    profile: npt.NDArray[np.float32],
    had: npt.NDArray[np.float64],
    number: int,
    history: npt.NDArray[np.int32],
    times: npt.NDArray[np.float64],
    user: int,
    now: float,
    mass: npt.NDArray[np.float64],
    expected: Expected,
    log_sum: float,
    items: npt.NDArray[np.int32],
    out: npt.NDArray[np.float32],
) -> None:
    """Fill out f32[n, F] for candidates items i32[n]."""
    statistic, n = counters.items, len(history)
    usual = max(0.0, now - times[0]) / max(1, number) if n > 0 else 0.0
    logarithms = _logarithms(scratch, counters, history, now, mass, items)
    for row in range(len(items)):
        item, x = items[row], out[row]
        for column in range(LOGARITHMS - 2):
            x[column] = logarithms[column, row]
        column = LOGARITHMS - 2
        users, age = x[column - 3], x[column - 2]
        x[column] = 1 - (statistic.users[item] + 1) / (statistic.events[item] + 1)
        x[column + 1] = logarithms[LOGARITHMS - 2, row]
        x[column + 2] = logarithms[LOGARITHMS - 1, row]
        x[column + 3] = cosine(vectors[item], profile)
        x[column + 4] = cosine(vectors[item], vectors[history[n - 1]]) if n > 0 else 0.0
        column += 5
        if user >= 0 and n > 0:
            above, older = users - counters.averages[user, 0], age - counters.averages[user, 1]
            x[column], x[column + 1], x[column + 2], x[column + 3] = above, abs(above), older, abs(older)
        column += 4
        if scratch.slot[item] >= 0:
            _own(had[scratch.slot[item]], number, usual, now, x[column : column + OWN])
        column += OWN
        x[column] = logit(expected, item) - log_sum if item < len(expected.logits) else 0.0

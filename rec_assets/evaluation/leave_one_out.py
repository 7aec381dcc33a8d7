"""Leave-one-out, as papers' tables have it: each user's last event is the test, the one before it chooses when to stop,
all others train. It leaks the future of other users; it is here to be compared with papers, never to choose by.
"""

import dataclasses
import resource
import time
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rec_assets import metrics
from rec_assets.evaluation.prequential import Progress, nothing_told
from rec_assets.evaluation.stream import Stream
from rec_assets.features import histories
from rec_assets.features import state as live
from rec_assets.features.state import EventArrays, LiveState
from rec_assets.ranking import propose
from rec_assets.ranking.expected import exact
from rec_assets.ranking.propose import query_of
from rec_assets.settings import TrainConfig
from rec_assets.training import batches, online, stretches, warmup
from rec_assets.training.model import Model
from rec_assets.training.prequential import ranked

SYSTEMS = ("blend", "encoder")
PATIENCE = 8  # passes without a better validation before training ends
AT_ONCE = 256  # users encoded together
VALIDATED = 2_000  # users


class Options(NamedTuple):
    """What a leave-one-out evaluation is asked for."""

    passes: int = 200  # at most, of the encoder over all training events
    systems: tuple[str, ...] = SYSTEMS


@dataclasses.dataclass
class Outcome:
    """The rank of each user's last item under each system."""

    positions: npt.NDArray[np.int64]  # of the test events
    ranks: dict[str, npt.NDArray[np.float64]]
    passes: int
    seconds: float
    peak_bytes: int


def run(stream: Stream, config: TrainConfig, options: Options, progress: Progress = nothing_told) -> Outcome:
    """Evaluate. The full catalogue is ranked, unless the domain repeats without what the user had."""
    began, state = time.perf_counter(), live.init(config, stream.kinds)
    test, validation = held_out(stream)
    parsed = stream.parsed(0, len(stream))
    arrays = live.to_arrays(state, parsed, len(stream))
    trained = np.ones(len(stream), np.bool_)
    trained[test], trained[validation] = False, False
    train = chosen(arrays, trained)
    if "blend" in options.systems:
        model = warmup.run(state, train, lambda what, done: progress(f"warm-up: {what}", 0.2 * done))
        rates = config.encoder_update_rate, config.encoder_update_rate
    else:
        live.take_all(state, train)
        model, rates = Model(config), (config.encoder_rate, config.encoder_update_rate)
        model.content = state.content
    model, passes = learn(model, state, train, chosen(arrays, validation), options.passes, rates, progress)
    live.take(state, chosen(arrays, validation), 0, len(validation))
    tested = chosen(arrays, test)
    ranks = {}
    if "encoder" in options.systems:
        progress("testing the encoder", 0.9)
        ranks["encoder"] = encoder_ranks(model, state, tested)
    if "blend" in options.systems:
        progress("testing the blend", 0.95)
        ranks["blend"] = blend_ranks(model, state, tested)
    progress("done", 1.0)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return Outcome(test, ranks, passes, time.perf_counter() - began, peak)


def held_out(stream: Stream) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Positions of the last and of the last but one event of each user who has at least three, in order."""
    users = np.asarray(stream.table["user"].combine_chunks().dictionary_encode().indices)
    order = np.argsort(users, kind="stable")
    ends = np.flatnonzero(np.append(users[order][1:] != users[order][:-1], True))
    sizes = np.diff(np.concatenate([[-1], ends]))
    ends = ends[sizes >= 3]
    return np.sort(order[ends]), np.sort(order[ends - 1])


def chosen(arrays: EventArrays, which: npt.NDArray[np.bool_] | npt.NDArray[np.int64]) -> EventArrays:
    """Some of the events; the catalogue rows come before the first."""
    columns = {
        name: getattr(arrays, name)[which]
        for name in ("user", "item", "weight", "target", "time", "value", "tag", "excluded")
    }
    return arrays._replace(**columns, descriptions=[row._replace(before=0) for row in arrays.descriptions])


def learn(
    model: Model,
    state: LiveState,
    train: EventArrays,
    validation: EventArrays,
    most: int,
    rates: online.Rate,
    progress: Progress,
) -> tuple[Model, int]:
    """Pass the encoder over all training events, at rates that fall to the second over `most` passes, until validation
    no longer gets better; the best model of them all, and how many passes were made.

    The validation events are the next ones of the histories in the state.
    """
    config = model.config
    rng = np.random.default_rng(config.seed)
    sample = batches.spread(np.arange(len(validation.user)), VALIDATED)
    told = chosen(validation, sample)
    best, best_model, waited, made = -1.0, model.copy(), 0, 0
    while made < most and waited < PATIENCE:
        material = stretches.from_events(train.user, train.item, train.time, train.tag, config.window, rng)
        falling = np.linspace(*rates, most + 1)[made : made + 2]
        online.learn_stretches(model, material, (float(falling[0]), float(falling[1])), rng)
        made += 1
        ranks = encoder_ranks(model, state, told)
        figure = metrics.ndcg(ranks, 10)
        waited = 0 if figure > best else waited + 1
        if figure > best:
            best, best_model = figure, model.copy()
        progress(f"pass {made}: NDCG@10 {figure:.4f}, best {best:.4f}", 0.2 + 0.7 * min(1.0, made / most))
    return best_model, made


def encoder_ranks(model: Model, state: LiveState, events: EventArrays) -> npt.NDArray[np.float64]:
    """Ranks [n] of the events' items by the encoder alone, as the next ones of the histories in the state."""
    ranks = np.empty(len(events.user))
    for start in range(0, len(events.user), AT_ONCE):
        piece = slice(start, start + AT_ONCE)
        users, items = events.user[piece], events.item[piece]
        had, times, tags = histories.last(state, users, state.config.history_size)
        newest = slice(-model.config.window, None)
        window = histories.Windows(had[:, newest], times[:, newest], tags[:, newest], events.time[piece])
        logits = model.logits(window, len(state.items))
        logits[:, state.counters.items.events[: len(state.items)] == 0] = -np.inf
        for row in range(len(users)) if not state.config.repeats else ():
            logits[row, had[row][had[row] >= 0]] = -np.inf
        own = logits[np.arange(len(users)), items][:, None]
        ranks[piece] = 1 + (logits > own).sum(1) + ((logits == own).sum(1) - 1) / 2
    return ranks


def blend_ranks(model: Model, state: LiveState, events: EventArrays) -> npt.NDArray[np.float64]:
    """Ranks [n] of the events' items by the list that would be served, each as the next one of its user's history."""
    ranks = np.empty(len(events.user))
    may_list = state.counters.items.events[: len(state.items)] > 0
    for n, (user, item, time_) in enumerate(
        zip(events.user.tolist(), events.item.tolist(), events.time.tolist(), strict=True)
    ):
        query = query_of(state, user, time_)
        window = histories.window(state, user, time_, model.config.window)
        candidates = propose(state, state.counters, query, exact(model.logits(window, len(state.items))[0]), may_list)
        at = np.flatnonzero(candidates.items[0] == item)
        target = np.array([at[0] if len(at) else -1], np.int32)
        [ranks[n]], _ = ranked(candidates._replace(target=target), model.rank(candidates))
    return ranks

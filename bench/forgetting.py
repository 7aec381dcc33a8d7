"""A stream whose taste turns and comes back: what replay keeps of the old one, and whether learning faster helps.

Two tastes of a data set: the items of its most frequent category, and all others. The first checkpoint learns the one;
then only the other happens, in micro-batches; then the first comes back and is scored, and nothing is learnt. Counters
and histories are live and the same for every arm, so what differs is what the weights have kept.
"""

import argparse
import collections
import copy
import dataclasses
import os
import time
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import streams
from bars import Bar, at_least, write
from rich.console import Console
from rich.table import Table

from rec_assets import ranking
from rec_assets.evaluation.stream import Stream
from rec_assets.features import histories
from rec_assets.features import state as live
from rec_assets.features.state import EventArrays, LiveState
from rec_assets.metrics import gains, paired_ratio
from rec_assets.ranking.sources import ENCODER
from rec_assets.settings import TrainConfig
from rec_assets.training import cycle, examples, heads, prequential, warmup
from rec_assets.training.model import Model
from rec_assets.training.popularity import is_first

STEP = 400  # events of a micro-batch
FAST = 10  # micro-batches after the turn that are learnt faster
SHARES = (0.0, 0.25, 0.5, 0.67)
FASTER = (2.0, 4.0)
Gains = npt.NDArray[np.float64]


class Arm(NamedTuple):
    """One way to go on from the first checkpoint."""

    model: Model
    times: float  # the update rates, in the first micro-batches after the turn


def tastes(stream: Stream, first: int, other: int, back: int) -> Stream:
    """So many events of one taste, of the other, and of the first again, each in its order; times stay ascending."""
    counts = collections.Counter(name for names in stream.content.categories for name in names)
    [(frequent, _)] = counts.most_common(1)
    theirs = {item for item, names in zip(stream.content.item_id, stream.content.categories, strict=True)
              if frequent in names}  # fmt: skip
    is_first_taste = np.array([item in theirs for item in stream.table["item"].to_pylist()])
    one, two = np.flatnonzero(is_first_taste), np.flatnonzero(~is_first_taste)
    if len(one) < first + back or len(two) < other:
        raise SystemExit(f"{frequent}: {len(one):,} events, others: {len(two):,}; too few for what is asked")
    order = np.concatenate([one[:first], two[:other], one[first : first + back]])
    table = stream.table.take(pa.array(order))
    ts = pa.array(np.sort(table["ts"].to_numpy()))
    return Stream(table.set_column(table.column_names.index("ts"), "ts", ts), stream.content, stream.kinds)


def score(
    arms: dict[str, Arm], state: LiveState, arrays: EventArrays, limit: int
) -> tuple[npt.NDArray[np.int64], dict[str, ranking.Candidates], dict[str, Gains]]:
    """Places, candidates and gains; the batch is taken in."""
    index = np.flatnonzero(is_first(state, arrays))[:limit]
    unknown = state.counters.items.events[arrays.item[index]] == 0
    scored = np.zeros(len(arrays.user), bool)
    scored[index] = True
    window = histories.windows(state, arrays, index, state.config.window)
    logits = [arm.model.logits(window, len(state.items)) for arm in arms.values()]
    walked = ranking.walk(state, arrays, scored, logits, [state.counters] * len(arms))
    found = {}
    for (name, arm), candidates in zip(arms.items(), walked, strict=True):
        ranks, _ = prequential.ranked(candidates, arm.model.rank(candidates))
        found[name] = gains(np.where(unknown, np.inf, ranks), 20)
    return index, dict(zip(arms, walked, strict=True)), found


def score_last(
    arms: dict[str, Arm], state: LiveState, arrays: EventArrays, limit: int
) -> tuple[dict[str, Gains], dict[str, Gains]]:
    """Gains of the whole and of the encoder alone; the state stays as it is."""
    index, whole, alone = np.flatnonzero(is_first(state, arrays))[:limit], {}, {}
    for name, arm in arms.items():
        tested = prequential.run(arm.model, None, copy.deepcopy(state), arrays, index, ("online",), sources=True)
        whole[name] = gains(tested.systems["online"].ranks, 20)
        alone[name] = gains(tested.source_ranks[:, ENCODER], 20)
    return whole, alone


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-set", default="movielens-100k")
    parser.add_argument("--first", type=int, default=25_000, help="events of the first taste")
    parser.add_argument("--other", type=int, default=25_000, help="events of the other taste, learnt online")
    parser.add_argument("--back", type=int, default=6_000, help="events of the first taste again, scored")
    parser.add_argument("--half-life-days", type=float, action="append", default=[], help="of replay; may repeat")
    parser.add_argument("--tested", type=int, default=128, help="events of a micro-batch that are scored")
    arguments = parser.parse_args()
    console, began, name = Console(), time.monotonic(), arguments.data_set
    whole = streams.read(name, console)
    stream, config = tastes(whole, arguments.first, arguments.other, arguments.back), TrainConfig()
    state, turn = live.init(config, stream.kinds), arguments.first
    back = turn + arguments.other
    before = warmup.run(state, live.to_arrays(state, stream.parsed(0, turn), turn))
    console.print(f"The first taste was learnt in {time.monotonic() - began:.0f} s")

    def arm(share: float = config.replay_share, days: float = config.replay_half_life_days, times: float = 1.0) -> Arm:
        model = before.copy()
        model.config = dataclasses.replace(config, replay_share=share, replay_half_life_days=days)
        model.replay.half_life = days * 86_400
        return Arm(model, times)

    arms = {f"replay {share:g}": arm(share) for share in SHARES}
    arms |= {f"half-life {days:g} d": arm(days=days) for days in arguments.half_life_days}
    arms |= {f"{times:g} times the rate": arm(times=times) for times in FASTER}
    turned: dict[str, list[Gains]] = {each: [] for each in arms}
    for number, start in enumerate(range(turn, back, STEP)):
        end = min(start + STEP, back)
        arrays = live.to_arrays(state, stream.parsed(start, end), end)
        observed = {each: heads.observe(model, state, arrays) for each, (model, _) in arms.items()}
        places, candidates, found = score(arms, state, arrays, arguments.tested)
        rng = np.random.default_rng((config.seed, start))
        for each, (model, times) in arms.items():
            turned[each].append(found[each])
            choices = examples.thin(candidates[each], arrays.user[places], arrays.time[places], rng)
            cycle.learn(model, state, arrays, choices, observed[each], times if number < FAST else 1.0)
    arrays = live.to_arrays(state, stream.parsed(back, len(stream)), len(stream))
    kept, alone = score_last({"before": Arm(before, 1.0)} | arms, state, arrays, arguments.back)
    base = f"replay {config.replay_share:g}"
    table = Table("arm", "old taste kept", "encoder alone", "other taste, first 10", "first 30", "all", title=name)
    figures: dict[str, dict[str, Any]] = {
        "before": {"old": float(kept["before"].mean()), "old_encoder": float(alone["before"].mean())}
    }
    for each in arms:
        parts = [np.concatenate(turned[each][:n]) for n in (FAST, 3 * FAST, len(turned[each]))]
        against = [np.concatenate(turned[base][:n]) for n in (FAST, 3 * FAST, len(turned[base]))]
        ratios = [paired_ratio(kept[each], kept["before"], 0), paired_ratio(alone[each], alone["before"], 0)]
        ratios += [paired_ratio(ours, theirs, 0) for ours, theirs in zip(parts, against, strict=True)]
        table.add_row(each, *(f"{mean:.3f} [{low:.3f}, {high:.3f}]" for mean, low, high in ratios))
        names = ("old_kept", "old_kept_encoder", "turned_10", "turned_30", "turned_all")
        figures[each] = {"old": float(kept[each].mean()), "turned": float(parts[-1].mean())}
        figures[each] |= dict(zip(names, ratios, strict=True))
    console.print(table)
    console.print(
        f"Old taste: NDCG@20 over the first checkpoint's, the same {len(kept['before']):,} events of its return"
    )
    console.print(f"Other taste: NDCG@20 over that of {base}. {time.monotonic() - began:.0f} s")
    bars = []
    for what, gained in (("NDCG@20", kept), ("NDCG@20 by the encoder alone", alone)):
        share, without = (float(gained[each].mean() / gained["before"].mean()) for each in (base, "replay 0"))
        bars.append(at_least(f"of the old taste's {what}, with replay", share, 0.9))
        bars.append(Bar("the same without replay", without, "less than with it", without < share))
    write("forgetting", bars, load=os.getloadavg()[0], options=vars(arguments), **figures)


if __name__ == "__main__":
    main()

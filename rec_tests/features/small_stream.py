import itertools
import json

import numpy as np

from rec_assets import features
from rec_assets.events import parse
from rec_assets.log.record import Record
from rec_assets.settings import KINDS, TrainConfig

SMALL = TrainConfig(history_size=64, candidates=40, per_source=8)


def records_of(seed=0, n=400, users=12, items=40):
    """A stream in which sessions, repeats, late events, dislikes, item-less events and catalogue rows all occur."""
    rng = np.random.default_rng(seed)
    clock, records = 1_000_000, []
    for offset in range(n):
        clock += int(rng.choice([1, 60, 4_000], p=[0.5, 0.4, 0.1]))
        item = f"i{int(items * rng.random() ** 2)}"
        if rng.random() < 0.1:
            kind, payload = "item", {"item_id": item, "title": f"Item {item}", "categories": [f"c{len(item)}"]}
        else:
            kind = "event"
            payload = {
                "user_id": f"u{int(users * rng.random() ** 2)}",
                "item_id": None if rng.random() < 0.02 else item,
                "event": str(rng.choice(["click", "view", "hide"], p=[0.8, 0.15, 0.05])),
                "occurred_at": clock - (500 if rng.random() < 0.05 else 0),
            }
        records.append(
            Record(offset, kind, "test", None, clock * 1_000_000, f"e{offset}", json.dumps(payload).encode())
        )
    return records


def state_of(records, cuts=(), config=SMALL):
    """The state after the records, read in pieces."""
    state = features.init(config, KINDS)
    bounds = [0, *cuts, len(records)]
    for start, end in itertools.pairwise(bounds):
        features.update(state, parse(records[start:end], KINDS), end)
    return state

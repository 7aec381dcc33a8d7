"""Why an item has its place: what the score loses without a feature, and without an item of the history.

Taking parts away and asking the same model again explains any model, and never tells of a part that does not count.
"""

from typing import Any

import numpy as np

from rec_assets.features import histories
from rec_assets.features.tags import kind_code
from rec_assets.ranking import FEATURES, SOURCES, Candidates
from rec_assets.ranking.propose import Query
from rec_assets.serving import making
from rec_assets.serving.engine import Engine
from rec_assets.serving.loading import Served
from rec_assets.serving.making import query_for
from rec_assets.serving.messages import Explain, Explained, HistoryShare, SourceShare
from rec_assets.training import heads

FEATURES_TOLD = 8
HISTORY_TOLD = 5
HISTORY_TRIED = 15  # newest items of the history


def explain(engine: Engine, wish: Explain) -> Explained:
    """The place of an item in the list of a user or of a told session, and what puts it there."""
    engine.catch_up()
    served = engine.served
    state = served.state
    item = state.items.key(wish.item_id)
    query = query_for(state, wish, served.clock.now(), bar_had=False)
    [candidates] = making.candidates(served, [query])
    found = np.flatnonzero(candidates.items[0] == item)
    if item < 0 or not len(found):
        return Explained(wish.item_id, served.checkpoint, None, None, None, [], [])
    column = int(found[0])
    scores = making.scores(served, candidates)[0]
    score = float(scores[column])
    return Explained(
        wish.item_id,
        served.checkpoint,
        place=1 + int(np.sum(scores > score)),
        score=score,
        source=SOURCES[candidates.source[0, column]],
        features=_features(served, candidates, column, score),
        history=_history(served, query, item, score),
        **_told(served, query, item),
    )


def _features(served: Served, candidates: Candidates, column: int, score: float) -> list[SourceShare]:
    """Every feature of the item in turn set to its mean over the candidates, all in one call of the ranker."""
    among = candidates.items[0] >= 0
    values = candidates.features[0, column]
    count = len(FEATURES)
    alone = candidates._replace(
        items=np.repeat(candidates.items, count, axis=0),
        features=np.repeat(candidates.features, count, axis=0),
        context=np.repeat(candidates.context, count, axis=0),
    )
    alone.features[np.arange(count), column, np.arange(count)] = candidates.features[0, among].mean(axis=0)
    effects = score - making.scores(served, alone)[:, column]
    order = np.argsort(-np.abs(effects), kind="stable")[:FEATURES_TOLD]
    return [SourceShare(FEATURES[i], float(values[i]), float(effects[i])) for i in order if effects[i] != 0]


def _told(served: Served, query: Query, item: int) -> dict[str, Any]:
    """What the heads say of an event with the item."""
    model, state = served.model, served.state
    if model is None:
        return {}
    asked = heads.vocabulary(state.kinds)
    window = histories.history_window(query.items, query.times, query.tags, query.now, model.config.window)
    told = heads.tell(model, heads.inputs(model, asked, window, np.array([item], np.int32), len(state.items)))
    kinds = {name: float(told.kinds[0, kind_code(name)]) for name in state.kinds if asked.weight[kind_code(name)] > 0}
    return {"kinds": kinds, "rating": float(told.rating[0]) if model.ratings.usual[0] else None}


def _history(served: Served, query: Query, item: int, score: float) -> list[HistoryShare]:
    """The newest items of the history, each left out in turn."""
    found = []
    for left_out in range(max(0, len(query.items) - HISTORY_TRIED), len(query.items)):
        kept = np.delete(np.arange(len(query.items)), left_out)
        without = query._replace(items=query.items[kept], times=query.times[kept], tags=query.tags[kept])
        [candidates] = making.candidates(served, [without])
        columns = np.flatnonzero(candidates.items[0] == item)
        if not len(columns):
            found.append((np.inf, left_out))
            continue
        found.append((score - float(making.scores(served, candidates)[0, columns[0]]), left_out))
    best = sorted((one for one in found if one[0] > 0), reverse=True)[:HISTORY_TOLD]
    ids = [served.state.items.ids[query.items[place]] for _, place in best]
    return [
        HistoryShare(item_id, served.catalogue[item_id].title, effect if np.isfinite(effect) else None)
        for item_id, (effect, _) in zip(ids, best, strict=True)
    ]

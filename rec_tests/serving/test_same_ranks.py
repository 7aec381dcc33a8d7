"""One function, three places: a log that is replayed through the service, the trainer and the test gives the same."""

import json

import numpy as np
from live_service import stream

from rec_assets.events import parse
from rec_assets.features.state import to_arrays
from rec_assets.log import Log
from rec_assets.ranking import recommend
from rec_assets.ranking.propose import query_of
from rec_assets.registry import Registry
from rec_assets.serving import making
from rec_assets.serving.engine import Engine
from rec_assets.training import checkpoint as checkpoints
from rec_assets.training import prequential

EVENTS = 120


def test_features_scores_and_order_are_those_of_the_trainer(trained):
    log = Log.open(trained.log_dir)
    known = log.head()
    engine = Engine(trained)
    engine.warm()

    drafts = stream(EVENTS, seed=5, start=880_050_000)
    drafts[10:10] = [drafts[3]._replace(payload=drafts[3].payload.replace(b'"click"', b'"hide"'), event_id="hide")]
    served = []
    for draft in drafts:  # each list is asked for just before its event arrives
        event = json.loads(draft.payload)
        engine.catch_up()
        state = engine.served.state
        query = query_of(state, state.users.key(event["user_id"]), float(event["occurred_at"]))
        [candidates] = making.candidates(engine.served, [query])
        scores = engine.served.model.rank(candidates)[0]
        served.append((candidates, scores, recommend(candidates, scores, 20)))
        log.append([draft], "test")

    model, state = checkpoints.load(registry := Registry(trained.checkpoints_dir), registry.promoted(), trained.kinds)
    assert state.offset == known
    model.content = state.content
    parsed = parse(log.read(known, log.head()), trained.kinds)
    assert len(parsed.events) == len(drafts)
    arrays = to_arrays(state, parsed, log.head())
    index = np.arange(len(drafts))
    found = []

    def score(candidates):
        found.append(candidates)
        return model.rank(candidates)

    tested = prequential.run(model, None, state, arrays, index, scorers={"again": score})
    [walked] = found
    scores = model.rank(walked)
    online, again = tested.systems["online"], tested.systems["again"]
    np.testing.assert_array_equal(online.ranks, again.ranks)
    for row, (candidates, served_scores, columns) in enumerate(served):
        np.testing.assert_array_equal(candidates.items[0], walked.items[row])
        np.testing.assert_array_equal(candidates.source[0], walked.source[row])
        np.testing.assert_allclose(candidates.features[0], walked.features[row], rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(candidates.context[0], walked.context[row], rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(served_scores, scores[row], rtol=1e-5, atol=1e-5)
        np.testing.assert_array_equal(
            columns, recommend(walked._replace(items=walked.items[row : row + 1]), scores[row], 20)
        )
        np.testing.assert_array_equal(candidates.items[0, columns], online.shown[row][: len(columns)])
        if (column := walked.target[row]) >= 0:
            others = np.delete(served_scores, column) - served_scores[column]
            # Scores differ in the last bits, so that near ties may stand either way.
            assert 1 + (others > 1e-4).sum() <= online.ranks[row] <= 1 + (others > -1e-4).sum()
    assert (walked.target >= 0).sum() > 20
    engine.catch_up()
    for name in ("count", "first", "second"):
        ours, theirs = getattr(engine.served.state.histories, name), getattr(state.histories, name)
        np.testing.assert_array_equal(ours[: len(theirs)], theirs[: len(ours)])
    assert engine.served.state.users.ids == state.users.ids
    engine.close()
    log.close()

"""What a micro-batch that was tested teaches. The same for the pipeline and for the evaluation."""

import numpy as np

from rec_assets.features.state import EventArrays, LiveState
from rec_assets.training import batches, examples, heads, online
from rec_assets.training.examples import Choices
from rec_assets.training.heads import Observed
from rec_assets.training.model import Model


def learn(
    model: Model,
    state: LiveState,
    arrays: EventArrays,
    choices: Choices,
    observed: Observed,
    times: float = 1.0,
) -> dict[str, float]:
    """Learn a batch that the state has taken in, at `times` the update rates; `choices`, what its tested
    events chose from, are the ranker's examples, mixed with replayed ones; `observed`, the heads'.
    """
    config = model.config
    rng = np.random.default_rng((config.seed, model.row_steps, model.events))
    fresh = batches.fresh_stretches(state, arrays, config.window)
    losses = {"encoder": batches.learn_encoder(model, fresh, config.update_passes, rng, times)}
    chosen = examples.standardise(choices, model.scaling)
    replayed = model.replay.some_examples(batches.replayed(len(chosen.target), config.replay_share), rng)
    mixed = examples.join([chosen, replayed])
    rate = (times * config.ranker_update_rate, times * config.ranker_update_rate)
    losses["ranker"] = online.learn_examples(model, mixed, rate, rng)
    model.replay.add_stretches(fresh, rng)
    model.replay.add_examples(chosen, rng)
    losses["heads"] = heads.learn(model, observed, state.kinds, rng)
    model.events += batches.events_learnt(arrays)
    return losses

"""One micro-batch: tested, then learnt from. The same for the pipeline and for the evaluation."""

import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rec_assets.features.state import EventArrays, LiveState
from rec_assets.ranking import Candidates
from rec_assets.training import batches, examples, online, prequential
from rec_assets.training.model import Model
from rec_assets.training.prequential import SYSTEMS, Reference, Tested


class Cycle(NamedTuple):
    """What one micro-batch gave."""

    tested: Tested
    losses: dict[str, float]  # nats, before each step
    seconds: dict[str, float]


def run(
    model: Model,
    reference: Reference | None,
    state: LiveState,
    arrays: EventArrays,
    index: npt.NDArray[np.int64],
    systems: Sequence[str] = SYSTEMS,
    sources: bool = False,
) -> Cycle:
    """Score the events of `index`, with `sources` by each source alone too, then learn the whole batch, in place; the
    same state and batch give the same model.
    """
    began = time.perf_counter()
    tested = prequential.run(model, reference, state, arrays, index, systems, sources=sources)
    scored = time.perf_counter()
    losses = learn(model, state, arrays, tested.places, tested.candidates["online"])
    return Cycle(tested, losses, {"test": scored - began, "train": time.perf_counter() - scored})


def learn(
    model: Model,
    state: LiveState,
    arrays: EventArrays,
    places: npt.NDArray[np.int64],
    candidates: Candidates,
    times: float = 1.0,
) -> dict[str, float]:
    """Learn a batch that the state has taken in, at `times` the update rates; what its tested events, at `places` of
    it, chose from are the ranker's examples, mixed with replayed ones.
    """
    config = model.config
    rng = np.random.default_rng((config.seed, model.row_steps, model.events))
    fresh = batches.fresh_stretches(state, arrays, config.window)
    losses = {"encoder": batches.learn_encoder(model, fresh, config.update_passes, rng, times)}
    choices = examples.thin(candidates, arrays.user[places], arrays.time[places], rng)
    chosen = examples.standardise(choices, model.scaling)
    replayed = model.replay.some_examples(batches.replayed(len(chosen.target), config.replay_share), rng)
    mixed = examples.join([chosen, replayed])
    rate = (times * config.ranker_update_rate, times * config.ranker_update_rate)
    losses["ranker"] = online.learn_examples(model, mixed, rate, rng)
    model.replay.add_stretches(fresh, rng)
    model.replay.add_examples(chosen, rng)
    model.events += batches.events_learnt(arrays)
    return losses

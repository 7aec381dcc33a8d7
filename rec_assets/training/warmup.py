"""The first training: the ranker must see scores that the encoder gave to events it had not learnt from yet.

So the encoder is trained on the first part of the stream, then test-then-train over the rest in chunks, and what it
said before each chunk, with the features as they were at that moment, is what the ranker learns from.
"""

from collections.abc import Callable

import numpy as np

from rec_assets import ranking
from rec_assets.features import histories
from rec_assets.features.state import EventArrays, LiveState, take_all
from rec_assets.training import batches, examples, heads, online, stretches
from rec_assets.training.examples import Choices
from rec_assets.training.model import Model
from rec_assets.training.popularity import is_first

FIRST_PART = 0.6
CHUNKS = 12
EXAMPLES = 14_000
LAST_RATE = 0.3  # of the first, at the end of the passes

Progress = Callable[[str, float], None]  # what is being done, and how much of the whole warm-up is done, 0 to 1


def run(
    state: LiveState,
    arrays: EventArrays,
    progress: Progress = lambda _what, _done: None,
    model: Model | None = None,
) -> Model:
    """A model, the given one or a new one, that has learnt a stream's beginning, which is taken into the state."""
    model = model or Model(state.config)
    model.content = state.content
    rng = np.random.default_rng(state.config.seed)
    middle = int(len(arrays.user) * FIRST_PART)
    first = batches.between(arrays, 0, middle)
    take_all(state, first)
    heads.count(model, state, first)
    learn_first_part(model, first, rng, progress)
    bounds = np.linspace(middle, len(arrays.user), CHUNKS + 1).astype(int)
    choices, observed = [], []
    for number in range(CHUNKS):
        progress("encoder, a chunk after the other", 0.5 + 0.3 * number / CHUNKS)
        chunk = batches.between(arrays, int(bounds[number]), int(bounds[number + 1]))
        observed.append(heads.observe(model, state, chunk, EXAMPLES // CHUNKS))
        choices.append(choose(model, state, chunk, EXAMPLES // CHUNKS, rng))
        fresh = batches.fresh_stretches(state, chunk, model.config.window)
        batches.learn_encoder(model, fresh, model.config.update_passes, rng)
        model.replay.add_stretches(fresh, rng)
    learn_ranker(model, choices, rng, progress)
    heads.learn(model, heads.join(observed), state.kinds, rng, heads.FIRST_PASSES, heads.FIRST_RATE)
    model.events = batches.events_learnt(arrays)
    return model


def learn_first_part(model: Model, first: EventArrays, rng: np.random.Generator, progress: Progress) -> None:
    """The encoder's passes, at a falling rate."""
    config = model.config
    counted = (first.item >= 0) & (first.weight > 0) & ~first.excluded
    users, items = first.user[counted], first.item[counted]
    times, tags = first.time[counted], first.tag[counted]
    model.store.admit(items, float(times.max(initial=0.0)))
    rates = np.linspace(config.encoder_rate, config.encoder_rate * LAST_RATE, config.warmup_passes + 1)
    for number in range(config.warmup_passes):
        progress("encoder", 0.5 * number / config.warmup_passes)
        material = stretches.from_events(users, items, times, tags, config.window, rng)
        online.learn_stretches(model, material, (float(rates[number]), float(rates[number + 1])), rng)
        if number == config.warmup_passes - 1:
            model.replay.add_stretches(material, rng)


def choose(model: Model, state: LiveState, chunk: EventArrays, number: int, rng: np.random.Generator) -> Choices:
    """What at most `number` of a chunk's events chose from; the chunk is taken into the state."""
    wanted = chunk.target if state.config.repeats else chunk.target & is_first(state, chunk)
    index = batches.spread(np.flatnonzero(wanted & ~chunk.excluded), number)
    scored = np.zeros(len(chunk.user), bool)
    scored[index] = True
    window = histories.windows(state, chunk, index, model.config.window)
    logits = model.logits(window, len(state.items))
    [candidates] = ranking.walk(state, chunk, scored, [logits], [state.counters])
    return examples.thin(candidates, chunk.user[index], chunk.time[index], rng)


def learn_ranker(model: Model, choices: list[Choices], rng: np.random.Generator, progress: Progress) -> None:
    """Measure the inputs' scaling, then pass over the examples at a falling rate."""
    if not sum(len(each.target) for each in choices):
        return
    config = model.config
    model.scaling = examples.scaling(choices)
    material = examples.join([examples.standardise(each, model.scaling) for each in choices])
    choices.clear()
    rates = np.linspace(config.ranker_rate, config.ranker_update_rate, config.ranker_passes + 1)
    for number in range(config.ranker_passes):
        progress("ranker", 0.8 + 0.2 * number / config.ranker_passes)
        online.learn_examples(model, material, (float(rates[number]), float(rates[number + 1])), rng)
    model.replay.add_examples(material, rng)

"""May this candidate be served: finite numbers, a normal batch, and no worse than its parent on what both have
learnt.
"""

from typing import NamedTuple

import jax
import numpy as np
import numpy.typing as npt

from rec_assets.training import examples as example_arrays
from rec_assets.training.examples import Examples
from rec_assets.training.model import Model
from rec_assets.training.online import choose_rows, example_losses, padded, slots, target_losses
from rec_assets.training.packing import Lines, pack, step_batches

Z = 3.0
MARGIN = 0.01  # of the parent's loss: to learn what is new costs a little of what is old, on every stream
LEAST = 30  # losses, below which a difference says nothing
MIX_EVENTS, MIX_SHARE = 200, 0.5  # in a batch of so many events no item may have more than this share
EVENTS_PER_STEP = 128


class Gate(NamedTuple):
    """The decision, in words, and what it rests on."""

    passed: bool
    reason: str
    figures: dict[str, float]


class Replayed(NamedTuple):
    """Material that parent and candidate have both learnt."""

    lines: Lines
    examples: Examples
    rows: npt.NDArray[np.int32]  # of the parent's items: one that is new cannot count against the candidate
    correction: npt.NDArray[np.float32]  # of these rows' logits
    items: npt.NDArray[np.int32]  # places of the lines' items among these rows, for both: a row may go in between
    following: npt.NDArray[np.int32]


class Losses(NamedTuple):
    """One model's losses in nats on the same replayed material, in the same order."""

    encoder: npt.NDArray[np.float64]
    ranker: npt.NDArray[np.float64]


def replayed(model: Model, number: int, rng: np.random.Generator) -> Replayed:
    """A sample with at least `number` targets for each part of the model, or all there is."""
    lines = pack(model.replay.some_stretches(number, rng))
    rows, correction = choose_rows(model.store, lines, rng)
    items, following = (slots(rows, model.store.rows(keys)) for keys in (lines.items, lines.following))
    return Replayed(lines, model.replay.some_examples(number, rng), rows, correction, items, following)


def losses(model: Model, material: Replayed) -> Losses:
    """The model's losses, without dropout."""
    found: list[npt.NDArray] = [np.empty(0)]
    if len(material.lines.items):
        rows, correction = material.rows, material.correction
        gathered = model.store.gather(rows)["value"]
        content = padded(model.content_of(model.store.key_of[rows]), len(correction))
        for batch in step_batches(material.lines, material.items, material.following):
            each = target_losses(model.dense, gathered, content, correction, batch)
            found.append(np.asarray(each)[np.asarray(batch.weight) > 0])
    ranked: list[npt.NDArray] = [np.empty(0)]
    for start in range(0, len(material.examples.target), EVENTS_PER_STEP):
        part = material.examples.take(np.arange(start, min(start + EVENTS_PER_STEP, len(material.examples.target))))
        each = example_losses(model.ranker, example_arrays.step_batch(part, EVENTS_PER_STEP))
        ranked.append(np.asarray(each)[: len(part.target)])
    return Losses(np.concatenate(found).astype(np.float64), np.concatenate(ranked).astype(np.float64))


def z_score(parent: npt.NDArray[np.float64], candidate: npt.NDArray[np.float64]) -> float:
    """How many standard errors the candidate's mean loss lies above the parent's, event by event; 0 for too few
    events.
    """
    worse = candidate - parent
    if len(worse) < LEAST:
        return 0.0
    error = float(worse.std(ddof=1)) / len(worse) ** 0.5
    return float(worse.mean()) / error if error > 0 else 0.0


def worse_by(parent: npt.NDArray[np.float64], candidate: npt.NDArray[np.float64]) -> float:
    """By what share of the parent's mean loss the candidate's lies above it; 0 for too few events."""
    if len(parent) < LEAST:
        return 0.0
    return float((candidate.mean() - parent.mean()) / parent.mean()) if parent.mean() > 0 else 0.0


def judge(parent: Losses, candidate: Losses, is_finite: bool, items: npt.NDArray[np.int32], strange: str = "") -> Gate:
    """Decide. `items` are the keys of the batch that was learnt, -1 for events without one; `strange` says what is
    not normal about it.
    """
    counts = np.bincount(items[items >= 0]) if (items >= 0).any() else np.zeros(1, np.int64)
    share = float(counts.max() / max(counts.sum(), 1))
    figures = {
        "encoder_z": z_score(parent.encoder, candidate.encoder),
        "ranker_z": z_score(parent.ranker, candidate.ranker),
        "encoder_worse": worse_by(parent.encoder, candidate.encoder),
        "ranker_worse": worse_by(parent.ranker, candidate.ranker),
        "replayed_targets": float(len(parent.encoder)),
        "replayed_examples": float(len(parent.ranker)),
        "largest_item_share": share,
    }
    for part, each in candidate._asdict().items():
        if len(each):
            figures[f"{part}_loss"] = float(each.mean())
    finite = is_finite and bool(np.isfinite(candidate.encoder).all() and np.isfinite(candidate.ranker).all())
    if not finite:
        return Gate(False, "a weight or a loss is not a finite number", figures)
    if counts.sum() >= MIX_EVENTS and share > MIX_SHARE:
        return Gate(False, f"one item has {share:.0%} of the batch's events", figures)
    if strange:
        return Gate(False, strange, figures)
    for part in ("encoder", "ranker"):
        z, worse = figures[f"{part}_z"], figures[f"{part}_worse"]
        if z > Z and worse > MARGIN:
            reason = (
                f"the {part}'s loss on replayed events is {worse:.1%} and {z:.1f} standard errors above the parent's"
            )
            return Gate(False, reason, figures)
    return Gate(True, "no worse on replayed events", figures)


def is_finite(model: Model) -> bool:
    """Whether every weight is a finite number; of the item rows, those that are not the parent's."""
    leaves, store = jax.tree.leaves((model.dense, model.ranker, model.heads)), model.store
    touched = np.flatnonzero(store.touched)
    rows = (store.embedding["value"][touched], store.bias["value"][touched])
    return all(bool(np.isfinite(np.asarray(x)).all()) for x in (*leaves, *rows))

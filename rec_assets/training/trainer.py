"""The trainer of one process: it holds the promoted checkpoint in memory and learns one range of the log after the
other.
"""

import time
from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from rec_assets.events import parse
from rec_assets.features import state as live
from rec_assets.features import storage
from rec_assets.features.state import EventArrays, LiveState
from rec_assets.log import Log
from rec_assets.models.compile import use_cache
from rec_assets.registry import Registry
from rec_assets.settings import Settings
from rec_assets.training import checkpoint, cycle, gate, online, prequential, warmup
from rec_assets.training.gate import Gate
from rec_assets.training.model import Model
from rec_assets.training.prequential import Reference
from rec_assets.training.warmup import Progress

FROZEN = "frozen"  # the pin of the first checkpoint, to which later ones are compared
READ_ROWS = 20_000


class Learnt(NamedTuple):
    """A candidate that was written and waits for the gate's word to be promoted."""

    checkpoint_id: str
    parent: str | None
    metrics: dict[str, dict[str, float]]  # system -> figures of metrics.summary, taken before the range was learnt
    gate: Gate
    seconds: dict[str, float]


class Trainer:
    """Model, live state and reference at `checkpoint_id`, None before the first checkpoint. One thread uses it at a
    time.

    After an error it is half-way and must be thrown away: nothing was written, `Trainer.open` starts again.
    """

    def __init__(self, settings: Settings, log: Log, registry: Registry, state: LiveState) -> None:
        self.settings, self.log, self.registry, self.state = settings, log, registry, state
        self.checkpoint_id: str | None = None
        self.model: Model | None = None
        self.reference: Reference | None = None

    @classmethod
    def open(cls, settings: Settings) -> Self:
        """The trainer at the promoted checkpoint, its state brought to the watermark."""
        use_cache(settings.data / "compiled")
        registry = Registry(settings.checkpoints_dir)
        trainer = cls(settings, Log.open(settings.log_dir), registry, live.init(settings.train, settings.kinds))
        if (promoted := registry.promoted()) is not None:
            trainer.model, trainer.state = checkpoint.load(registry, promoted, settings.kinds)
            trainer.checkpoint_id = promoted
            trainer.catch_up(registry.manifest(promoted).watermark)
            trainer.reference = load_reference(registry, promoted, trainer.state)
        return trainer

    def close(self) -> None:
        """Close the log."""
        self.log.close()

    def warm(self) -> None:
        """Compile, or load from the cache, what testing and learning need."""
        if self.model is not None:
            self.model.warm(len(self.state.items))
            online.warm(self.model)

    def learn(
        self,
        start: int,
        end: int,
        progress: Progress = lambda _what, _done: None,
        excluded: npt.ArrayLike = (),
    ) -> Learnt:
        """Test on the offsets [start, end) of the log, learn them and write the candidate; does not promote it.

        The offsets `excluded` enter the live state, as they do in the service, but are neither scored nor learnt.
        What lies between the state and `start` enters the live state but is not learnt. ValueError where `start` is
        before it.
        """
        if not self.state.offset <= start < end <= self.log.head():
            where = f"the state has read to {self.state.offset}, the log ends at {self.log.head()}"
            raise ValueError(f"cannot learn [{start}, {end}): {where}")
        began = time.perf_counter()
        self.catch_up(start)
        parsed = parse(self.log.read(start, end), self.settings.kinds)
        seconds = {"read": time.perf_counter() - began}
        arrays = live.to_arrays(self.state, parsed, end)
        arrays = arrays._replace(excluded=np.isin(parsed.events.offset, excluded))
        if self.model is None:
            metrics, decision = self._begin(arrays, end, progress)
        else:
            metrics, decision, spent = self._go_on(self.model, arrays, parsed.events.event_id)
            seconds |= spent
        parent = self.checkpoint_id
        before_writing = time.perf_counter()
        assert self.model is not None
        extra = {"metrics": metrics, "gate": decision._asdict()}
        self.checkpoint_id = checkpoint.save(
            self.registry, self.model, self.state, parent, start, end, self.log.log_id, extra
        )
        if parent is None:
            self.registry.pin(FROZEN, self.checkpoint_id)
        seconds |= {"write": time.perf_counter() - before_writing, "all": time.perf_counter() - began}
        return Learnt(self.checkpoint_id, parent, metrics, decision, seconds)

    def catch_up(self, offset: int) -> None:
        """Take what the log has up to an offset into the live state without learning it."""
        for records in self.log.batches(self.state.offset, offset, READ_ROWS):
            live.update(self.state, parse(records, self.settings.kinds), records[-1].offset + 1)
        self.state.offset = offset

    def _begin(self, arrays: EventArrays, end: int, progress: Progress) -> tuple[dict[str, dict[str, float]], Gate]:
        self.model = warmup.run(self.state, arrays, progress)
        self.state.offset = end
        self.reference = Reference(self.model.copy(), storage.copy_counters(self.state))
        self.warm()  # now, when nothing waits, rather than in the first micro-batch of a running stream
        finite = gate.is_finite(self.model)
        return {}, Gate(finite, "the first checkpoint" if finite else "a weight is not a finite number", {})

    def _go_on(
        self, model: Model, arrays: EventArrays, event_ids: Sequence[str]
    ) -> tuple[dict[str, dict[str, float]], Gate, dict[str, float]]:
        began = time.perf_counter()
        material = gate.replayed(
            model, model.config.gate_events, np.random.default_rng((model.config.seed, model.row_steps))
        )
        before = gate.losses(model, material)
        gated = time.perf_counter()
        index = prequential.tested_index(self.state, arrays, event_ids, model.config.tested_events)
        done = cycle.run(model, self.reference, self.state, arrays, index)
        learnt = time.perf_counter()
        after = gate.losses(model, material)
        decision = gate.judge(before, after, gate.is_finite(model), arrays.item)
        spent = {**done.seconds, "gate": gated - began + time.perf_counter() - learnt}
        return prequential.figures(done.tested), decision, spent


def load_reference(registry: Registry, promoted: str, state: LiveState) -> Reference:
    """The pinned first checkpoint, as a system that learns no more; the oldest kept one where a kill came before the
    pin.
    """
    frozen = registry.pinned(FROZEN)
    if frozen is None:
        frozen = registry.chain(promoted)[-1].id
        registry.pin(FROZEN, frozen)
    model, old = checkpoint.load(registry, frozen, state.kinds)
    model.content = state.content
    return Reference(model, storage.copy_counters(old))

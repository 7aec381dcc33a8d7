"""The trainer of one process: it holds the promoted checkpoint in memory and learns one range of the log after the
other.
"""

import time
from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from rec_assets.events import Events, parse
from rec_assets.features import erasure, storage
from rec_assets.features import state as live
from rec_assets.features.state import EventArrays, LiveState
from rec_assets.log import Log
from rec_assets.models.compile import use_cache
from rec_assets.registry import NoCheckpoint, Registry
from rec_assets.settings import Settings
from rec_assets.training import checkpoint, cycle, gate, heads, mix, prequential, warmup
from rec_assets.training.compiling import Compiled
from rec_assets.training.gate import Gate
from rec_assets.training.mix import Usual
from rec_assets.training.model import Model
from rec_assets.training.prequential import Reference, Tested
from rec_assets.training.shadow import Shadow, Verdict, compare, judge
from rec_assets.training.warmup import Progress

FROZEN = "frozen"  # the pin of the first checkpoint, to which later ones are compared
READ_ROWS = 20_000

Metrics = dict[str, dict[str, float]]  # system -> figures of metrics.summary


class Learnt(NamedTuple):
    """A candidate that was written and waits for the gate's word to be promoted."""

    checkpoint_id: str
    parent: str | None
    metrics: Metrics  # taken before the range was learnt
    gate: Gate
    verdict: Verdict  # on what was served before; where it had dropped, the parent is the known-good one
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
        self.shadow: Shadow | None = None
        self.usual = Usual.of({})
        self.known_good: Model | None = None  # None where it is the reference's or what is served
        self.compiled = Compiled()

    @classmethod
    def open(cls, settings: Settings) -> Self:
        """The trainer at the promoted checkpoint, its state brought to the watermark."""
        use_cache(settings.data / "compiled")
        registry = Registry(settings.checkpoints_dir)
        trainer = cls(settings, Log.open(settings.log_dir), registry, live.init(settings.train, settings.kinds))
        if (promoted := registry.promoted()) is not None:
            start = trainer.log.start() if registry.manifest(promoted).log_id == trainer.log.log_id else 0
            trainer.model, trainer.state = checkpoint.load(registry, promoted, settings.kinds, start)
            trainer.checkpoint_id = promoted
            trainer.catch_up(max(registry.manifest(promoted).watermark, trainer.state.offset))
            trainer.reference = load_reference(registry, promoted, trainer.state)
            trainer.shadow = Shadow.of(registry.manifest(promoted).extra)
            trainer.usual = Usual.of(registry.manifest(promoted).extra)
            trainer.load_known_good()
        return trainer

    def close(self) -> None:
        """Close the log."""
        self.log.close()

    def warm(self) -> None:
        """Compile, or load from the cache, what testing and learning need."""
        if self.model is not None:
            self.compiled.now(self.model)

    def learn(
        self,
        start: int,
        end: int,
        progress: Progress = lambda _what, _done: None,
        excluded: npt.ArrayLike = (),
        times: float = 1.0,
    ) -> Learnt:
        """Test on the offsets [start, end) of the log, learn them and write the candidate; does not promote it.

        The offsets `excluded` enter the live state, as they do in the service, but are neither scored nor learnt.
        `times` the update rates are learnt at.
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
        arrays = arrays._replace(excluded=arrays.excluded | np.isin(parsed.events.offset, excluded))
        verdict = Verdict(False, 0.0, 0.0, 0)
        if self.model is None:
            metrics, decision = self._begin(arrays, end, progress)
        else:
            metrics, verdict, decision, spent = self._go_on(
                self.model, arrays, parsed.events, self._follows(start), times
            )
            seconds |= spent
        before_writing = time.perf_counter()
        parent = self._write(start, end, metrics, decision)
        assert self.checkpoint_id is not None and self.model is not None
        self.compiled.ahead(self.model)
        seconds |= {"write": time.perf_counter() - before_writing, "all": time.perf_counter() - began}
        return Learnt(self.checkpoint_id, parent, metrics, decision, verdict, seconds)

    def _write(self, start: int, end: int, metrics: Metrics, decision: Gate) -> str | None:
        """Write the candidate, from then on `checkpoint_id`, and return its parent."""
        assert self.model is not None
        parent, log_id, skipped = self.checkpoint_id, self.log.log_id, []
        if parent is not None and (known := self.registry.manifest(parent)).log_id == log_id:
            skipped = self.registry.passed_over(log_id, known.watermark, start) if known.watermark < start else []
        extra = {"metrics": metrics, "gate": decision._asdict(), "usual": self.usual._asdict()}
        if self.shadow is not None:
            extra["shadow"] = self.shadow.plain()
        self.checkpoint_id = checkpoint.save(
            self.registry, self.model, self.state, parent, start, end, log_id, extra, skipped
        )
        if parent is None:
            self.registry.pin(FROZEN, self.checkpoint_id)
            self.shadow = Shadow(self.checkpoint_id)
        return parent

    def learn_again(self, start: int, end: int) -> Learnt:
        """Learn a range that was refused or rolled back, with the state as it was before it, as a child of what is
        promoted; does not promote it. The trainer must be opened anew afterwards.

        ValueError where part of it was learnt, or not yet passed over.
        """
        assert self.checkpoint_id is not None and self.model is not None
        parent = self.registry.manifest(self.checkpoint_id)
        twice = [each for each in parent.learnt if each.start < end and start < each.end]
        if twice:
            raise ValueError(f"[{start}, {end}) was learnt already, as part of [{twice[0].start}, {twice[0].end})")
        if not 0 <= start < end <= self.state.offset:
            raise ValueError(f"[{start}, {end}) is no range before offset {self.state.offset}, where learning stands")
        self.state = state_at(self.registry, self.settings, self.log.log_id, start)
        self.model.content = self.state.content
        self.known_good, shadow = None, self.shadow
        assert self.reference is not None
        self.shadow, self.reference.model.content = Shadow(self.checkpoint_id), self.state.content
        began = time.perf_counter()
        self.catch_up(start)
        parsed = parse(self.log.read(start, end), self.settings.kinds)
        arrays = live.to_arrays(self.state, parsed, end)
        metrics, verdict, decision, seconds = self._go_on(self.model, arrays, parsed.events, False)
        self.shadow = shadow
        before = self._write(start, end, metrics, decision)
        seconds["all"] = time.perf_counter() - began
        return Learnt(str(self.checkpoint_id), before, metrics, decision, verdict, seconds)

    def catch_up(self, offset: int) -> None:
        """Take what the log has up to an offset into the live state without learning it."""
        for records in self.log.batches(self.state.offset, offset, READ_ROWS):
            arrays = live.to_arrays(self.state, parse(records, self.settings.kinds), records[-1].offset + 1)
            live.take_all(self.state, arrays)
            self.forget([user for _, user in arrays.forgotten])
        self.state.offset = offset

    def forget(self, users: Sequence[int]) -> None:
        """Forget users, by key, beside the live state, which has forgotten them already."""
        for model in (self.model, self.known_good):
            if model is not None:
                model.replay.forget(users)
        if self.reference is not None:
            for user in users:
                erasure.clear_counters(self.reference.counters, user)

    def _begin(self, arrays: EventArrays, end: int, progress: Progress) -> tuple[Metrics, Gate]:
        self.model = warmup.run(self.state, arrays, progress)
        self.state.offset = end
        self.reference = Reference(self.model.copy(), storage.copy_counters(self.state))
        self.warm()  # now, when nothing waits, rather than in the first micro-batch of a running stream
        finite = gate.is_finite(self.model)
        return {}, Gate(finite, "the first checkpoint" if finite else "a weight is not a finite number", {})

    def _go_on(
        self, model: Model, arrays: EventArrays, events: Events, follows: bool, times: float = 1.0
    ) -> tuple[Metrics, Verdict, Gate, dict[str, float]]:
        began = time.perf_counter()
        index = prequential.tested_index(self.state, arrays, events.event_id, model.config.tested_events)
        observed = heads.observe(model, self.state, arrays)
        tested = prequential.run(model, self.reference, self.state, arrays, index, known_good=self.known_good)
        self.forget([user for _, user in arrays.forgotten])
        scored = time.perf_counter()
        verdict, system = self._look_back(tested)
        assert self.model is not None
        if self.model is not model:  # the known-good one, after a drop: its heads were not asked
            model, observed = self.model, observed.take(np.zeros(0, np.int64))
            heads.count(model, self.state, arrays)
        material = gate.replayed(
            model, model.config.gate_events, np.random.default_rng((model.config.seed, model.row_steps))
        )
        before = gate.losses(model, material)
        gated = time.perf_counter()
        cycle.learn(model, self.state, arrays, tested.choices[system], observed, times)
        learnt = time.perf_counter()
        after = gate.losses(model, material)
        seen = mix.seen(events.event, tested.fit)
        strange = mix.strange(self.usual, seen) if follows and not verdict.dropped else ""
        decision = gate.judge(before, after, gate.is_finite(model), arrays.item, strange)
        self.usual = self.usual.after(seen)
        spent = {"test": scored - began, "train": learnt - gated}
        spent["gate"] = gated - scored + time.perf_counter() - learnt
        return prequential.figures(tested), verdict, decision, spent

    def _follows(self, start: int) -> bool:
        """Whether nothing was passed over just before `start`, so that the batch can be held against what is usual."""
        parent = self.registry.manifest(str(self.checkpoint_id))
        return parent.log_id == self.log.log_id and parent.watermark == start

    def _look_back(self, tested: Tested) -> tuple[Verdict, str]:
        """Compare what is served with what is known to be good, and go back to that after a drop.

        Returns the verdict and the system whose model goes on.
        """
        assert self.checkpoint_id is not None
        shadow = self.shadow or self._begun_shadow()
        system = "known_good" if "known_good" in tested.systems else "frozen_weights"
        if self.checkpoint_id == shadow.known_good:
            self.shadow, verdict = shadow, Verdict(False, 0.0, 0.0, 0)
        else:
            seen = compare(tested.systems["online"].ranks, tested.systems[system].ranks)
            verdict = judge((*shadow.evidence, seen))
            if verdict.dropped:
                self._roll_back(shadow.known_good, verdict.reason)
                return verdict, system
            self.shadow = shadow.after(self.checkpoint_id, seen)
        if self.shadow.known_good != shadow.known_good:
            self.load_known_good()
        self._keep_served()
        return verdict, "online"

    def _roll_back(self, known_good: str, reason: str) -> None:
        self.registry.rollback(known_good, reason, given_up=self.checkpoint_id)
        assert self.reference is not None
        self.model = (self.known_good or self.reference.model).copy()
        self.checkpoint_id, self.shadow = known_good, Shadow(known_good)

    def _keep_served(self) -> None:
        """What is served is about to change: keep it where it is what is known to be good."""
        assert self.shadow is not None and self.model is not None
        is_first = self.shadow.known_good == self.registry.pinned(FROZEN)
        if self.shadow.known_good == self.checkpoint_id and self.known_good is None and not is_first:
            self.known_good = self.model.copy()

    def load_known_good(self) -> None:
        """Bring the known-good checkpoint's weights into memory, unless the reference or the model are these."""
        self.shadow = self.shadow or self._begun_shadow()
        known_good, self.known_good = self.shadow.known_good, None
        if known_good in (self.registry.pinned(FROZEN), self.checkpoint_id):
            return
        try:
            self.known_good = checkpoint.load_model(self.registry, known_good)
            self.known_good.content = self.state.content
        except NoCheckpoint:  # a person rolled back to before it, and retention took it
            self.shadow = self._begun_shadow()

    def _begun_shadow(self) -> Shadow:
        """Nothing is known but that the first one was good."""
        return Shadow(self.registry.pinned(FROZEN) or str(self.checkpoint_id))


def state_at(registry: Registry, settings: Settings, log_id: str, offset: int) -> LiveState:
    """The newest kept live state of this log at or before an offset, else an empty one: the caller reads on."""
    earlier = [each for each in registry.carriers(log_id) if each.end <= offset]
    if earlier:
        return checkpoint.load_state(registry, earlier[-1].id, settings.kinds)
    return live.init(settings.train, settings.kinds)


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

"""What ranks: the promoted weights and a live state that has read the log to its head. For the computing thread."""

import dataclasses
import math
import random
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from rec_assets.events import parse
from rec_assets.features import erasure, rings
from rec_assets.features import state as live
from rec_assets.features.idmap import FORGOTTEN
from rec_assets.features.state import LiveState
from rec_assets.log import Log, Record, forget_jobs
from rec_assets.ranking import propose
from rec_assets.ranking.propose import query_of
from rec_assets.registry import Promoted, Registry
from rec_assets.serving import listing, loading, making, messages
from rec_assets.serving.catalogue import Entry
from rec_assets.serving.loading import READ_ROWS, Served
from rec_assets.serving.making import TOGETHER, Asked, Ranked
from rec_assets.serving.messages import Control
from rec_assets.serving.rules import RulesFile
from rec_assets.settings import Settings, TrainConfig
from rec_assets.training import checkpoint as checkpoints
from rec_assets.training import heads
from rec_assets.training.scorer import Scorer

FEW_ROWS = 1_000  # records read at once while somebody waits


class Engine:
    """State, weights and tail of one worker. Only `adopt` may be called from another thread."""

    def __init__(self, settings: Settings, packed: Path | None = None) -> None:
        """Open the log, load what is promoted and read on to the head; takes seconds for a long log."""
        self._settings = settings
        self.rules = RulesFile(settings.rules)
        self._random = np.random.default_rng()
        self._log = Log.open(settings.log_dir)
        self.log_id = self._log.log_id
        self._compiled: TrainConfig | None = None
        self.served = loading.open_served(settings, self._log, packed)
        self.catch_up()

    def warm(self) -> None:
        """Compile what lists need and make the first ones, so that none has to wait for what is done once."""
        served = self.served
        self._compile(served.state.config if served.model is None else served.model.config)
        _rehearse(served.state)
        users = [user for user in served.state.users.ids[-1:] if user != FORGOTTEN]
        for wish in (Control(history_item_ids=[]), *(Control(user_id=user) for user in users)):
            self.recommend([Asked(wish, 10)])

    def _compile(self, config: TrainConfig) -> None:
        """Compile what a model needs. Its shapes are all that counts, and the catalogue's size is none of them."""
        if config != self._compiled:
            scorer = Scorer(config)
            scorer.warm(TOGETHER)
            heads.warm_telling(scorer)
            self._compiled = config

    def close(self) -> None:
        """Close the log."""
        self._log.close()

    def catch_up(self, seconds: float = math.inf) -> bool:
        """Take in what the log has beyond the state, all of it or for about so long; microseconds when there is
        nothing. Returns whether all is in.
        """
        return self._catch_up(self.served, time.monotonic() + seconds)

    def _catch_up(self, served: Served, until: float) -> bool:
        """The same until a time of the monotonic clock; something is taken in even after it."""
        state, head = served.state, self._log.head()
        if state.offset >= head:
            return True
        for records in self._log.batches(state.offset, head, READ_ROWS if until == math.inf else FEW_ROWS):
            parsed = parse(records, state.kinds)  # those the state can weigh
            live.update(state, parsed, records[-1].offset + 1)
            served.catalogue.take(parsed.items)
            served.clock.take(parsed.events)
            if time.monotonic() > until:
                break
        return state.offset >= head

    def adopt(self, registry: Registry, pointer: Promoted) -> None:
        """Serve a checkpoint: load what has changed and warm it beside the old one, then one assignment. Raises
        loading.UNUSABLE.

        The live state stays, for its keys are those of the same log; a checkpoint of another log brings its own.
        """
        served = self.served
        if registry.manifest(pointer.id).log_id == served.keys_of:
            model = checkpoints.load_scorer(registry, pointer.id, served.model, served.checkpoint)
            model.content = served.state.content
            self._compile(model.config)
            model.prepare(len(served.state.items))
            self.served = dataclasses.replace(
                served,
                model=model,
                checkpoint=pointer.id,
                watermark=pointer.watermark if pointer.log_id == self.log_id else 0,
                promoted_at=pointer.promoted_at,
                served_at=time.time_ns() // 1_000,
            )
            return
        log = Log.open(self._settings.log_dir)
        try:
            replaced = loading.load(self._settings, registry, pointer.id, log, None, pointer)
        finally:
            log.close()
        assert replaced.model is not None
        self._compile(replaced.model.config)
        replaced.model.prepare(len(replaced.state.items))
        self.served = replaced

    def recommend(self, asked: Sequence[Asked]) -> list[Ranked | Exception]:
        """A list for each wish, or what is wrong with it, with all of the log up to now taken in. At most TOGETHER.

        A list is shorter than k only where no more may be. Who has waited too long, or would for the log to be read,
        gets what is popular.
        """
        served = self.served  # before the log is read: its watermark is then never beyond the state
        at_head = self._catch_up(served, min(one.until for one in asked))
        return making.lists(served, asked, self.rules.rules, served.clock.now(), at_head, self._random)

    def best(
        self, value: Callable[[LiveState], npt.NDArray[np.float64]], k: int, filter_: str | None
    ) -> list[messages.Shown]:
        """The k items with the highest value [I] that may be listed; -inf is no value."""
        self.catch_up()
        served = self.served
        state, now = served.state, served.clock.now()
        wish = Control(history_item_ids=[], filter=filter_)
        plan = listing.plan(wish, state, served.catalogue, served.masks, self.rules.rules, now)
        values = np.where(plan.may_list, value(state)[: len(state.items)], -np.inf)
        best = np.argsort(-values, kind="stable")[:k]
        return [self.shown(state.items.ids[key]) for key in best if values[key] > -np.inf]

    def not_learnt(self, served: Served) -> int:
        """How many events the state has taken in that the served weights have not learnt from."""
        return self._log.count_events(served.watermark, served.state.offset)

    def weights_seconds(self, served: Served) -> float | None:
        """From the receipt of the last record that the weights know to their serving; None where the log has it not."""
        records = list(self._log.read(served.watermark - 1, served.watermark)) if served.watermark > 0 else []
        return (served.served_at - records[0].received_at) / 1e6 if records else None

    def search(self, query: str, limit: int) -> list[messages.Shown]:
        """Items whose title, categories or names hold every word of `query`."""
        self.catch_up()
        found = self.served.catalogue.search(query, limit)
        return [messages.Shown(one.item_id, *_card(one.entry)) for one in found]

    def sample_users(self, limit: int) -> list[messages.SomeUser]:
        """Some users, at random, with the number of their events that are kept."""
        state = self.served.state
        keys = random.sample(range(len(state.users)), min(limit, len(state.users)))
        keys = [key for key in keys if state.users.ids[key] != FORGOTTEN]
        return [messages.SomeUser(state.users.ids[key], int(state.histories.count[key])) for key in sorted(keys)]

    def user(self, user_id: str, limit: int) -> messages.User:
        """What is known of a user, with the items of the last events, newest first; of a new one, nothing."""
        self.catch_up()
        state = self.served.state
        key = state.users.key(user_id)
        items, times = rings.read(state.histories, key, 1 << state.history_bits)
        first, last = (iso(times[0]), iso(times[-1])) if len(times) else (None, None)
        newest = list(zip(items.tolist(), times.tolist(), strict=True))[: -limit - 1 : -1]
        shown = [self._had(state.items.ids[item], time) for item, time in newest]
        events = int(state.histories.count[key]) if key >= 0 else 0
        forgetting = forget_jobs.read(self._log, user_id).is_open
        return messages.User(user_id, events, first, last, shown, forgetting)

    def key_in_log(self, user_id: str) -> int:
        """The user's key in the live state of the log, -1 for none, and where the state's keys are of another log."""
        self.catch_up()
        served = self.served
        return served.state.users.key(user_id) if served.keys_of == self.log_id else -1

    def _had(self, item_id: str, seconds: float) -> messages.Had:
        return messages.Had(item_id, *_card(self.served.catalogue[item_id]), iso(seconds))

    def knows(self, item_id: str) -> bool:
        """Whether an event or the catalogue has named the item."""
        self.catch_up()
        return self.served.state.items.key(item_id) >= 0

    def shown(self, item_id: str) -> messages.Shown:
        """An item as a card shows it."""
        return messages.Shown(item_id, *_card(self.served.catalogue[item_id]))


def _rehearse(state: LiveState) -> None:
    """Compile what takes an event in and a user out, on a state that is thrown away: a log may be empty until the first
    click, and the first who is to be forgotten must not hold up the others for seconds.
    """
    kind = next(name for name, kind in state.kinds.items() if kind.weight > 0)
    payload = msgspec.json.encode({"user_id": "u", "item_id": "i", "event": kind})
    records = [Record(offset, "event", "", None, offset, str(offset), payload) for offset in range(2)]
    scratch = live.init(state.config, state.kinds)
    live.update(scratch, parse(records, state.kinds), len(records))
    propose(scratch, scratch.counters, query_of(scratch, 0, 1.0))
    erasure.clear(scratch, 0)


def _card(entry: Entry) -> tuple[str | None, list[str], msgspec.Raw]:
    return entry.title, entry.categories, entry.attributes


def iso(seconds: float) -> str:
    """A time of the log as text, UTC."""
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None).isoformat()

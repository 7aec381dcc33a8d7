"""What ranks: the promoted weights and a live state that has read the log to its head. For the computing thread.

The functions called here are those of the trainer and the evaluator, so that a list is made as it was tested.
"""

import dataclasses
import random
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from rec_assets.events import parse
from rec_assets.features import histories, rings
from rec_assets.features import state as live
from rec_assets.features.histories import Windows
from rec_assets.features.idmap import FORGOTTEN
from rec_assets.features.state import LiveState
from rec_assets.log import Log, Record, forget_jobs
from rec_assets.models.compile import bucket
from rec_assets.ranking import FEATURES, Candidates, Query, propose
from rec_assets.ranking.propose import blank, query_of
from rec_assets.registry import Promoted, Registry
from rec_assets.serving import listing, loading, messages
from rec_assets.serving.catalogue import Entry
from rec_assets.serving.listing import Place
from rec_assets.serving.loading import READ_ROWS, Served
from rec_assets.serving.messages import Control, Who
from rec_assets.serving.rules import RulesFile
from rec_assets.settings import Settings, TrainConfig
from rec_assets.training import checkpoint as checkpoints
from rec_assets.training.model import Model

POPULARITY = FEATURES.index("popular_2000_events")  # what a list is made of before anything is learnt
HISTORY_SPACING = 60.0  # seconds between the items of a history that was told without times
_NONE = np.zeros(0, np.int32)


class Ranked(NamedTuple):
    """One list, best first, and what it was made from."""

    items: list[str]
    places: list[Place]
    checkpoint: str | None
    offset: int
    now: float  # seconds, the log's clock
    rules: str  # version of the business rules


class Engine:
    """State, weights and tail of one worker. Only `adopt` and `prepare` may be called from another thread."""

    def __init__(self, settings: Settings, packed: Path | None = None) -> None:
        """Open the log, load what is promoted and read on to the head; takes seconds for a long log."""
        self._settings = settings
        self.rules = RulesFile(settings.rules)
        self._random = np.random.default_rng()
        self._log = Log.open(settings.log_dir)
        self.log_id = self._log.log_id
        self._prepared: tuple[TrainConfig, int] | None = None
        self.served = loading.open_served(settings, self._log, packed)
        self.catch_up()

    def prepare(self) -> None:
        """Compile ahead for the catalogue as large as it is and will be, before a request needs it."""
        served = self.served
        config = served.state.config if served.model is None else served.model.config
        wanted = (config, bucket(len(served.state.items)))
        if wanted != self._prepared:
            _compile(config, len(served.state.items))
            if self._prepared is None:
                _rehearse(served.state)
            self._prepared = wanted

    def warm(self) -> None:
        """Make the first lists, so that none has to wait for what is done once."""
        self.prepare()
        served = self.served
        users = [user for user in served.state.users.ids[-1:] if user != FORGOTTEN]
        for wish in (Control(history_item_ids=[]), *(Control(user_id=user) for user in users)):
            self.recommend(wish, 10)

    def close(self) -> None:
        """Close the log."""
        self._log.close()

    def catch_up(self) -> None:
        """Take in what the log has beyond the state; microseconds when there is nothing."""
        self._catch_up(self.served)

    def _catch_up(self, served: Served) -> None:
        state, head = served.state, self._log.head()
        if state.offset >= head:
            return
        for records in self._log.batches(state.offset, head, READ_ROWS):
            parsed = parse(records, state.kinds)  # those the state can weigh
            live.update(state, parsed, records[-1].offset + 1)
            served.catalogue.take(parsed.items)
            served.clock.take(parsed.events)

    def adopt(self, registry: Registry, pointer: Promoted) -> None:
        """Serve a checkpoint: load what has changed and warm it beside the old one, then one assignment. Raises
        loading.UNUSABLE.

        The live state stays, for its keys are those of the same log; a checkpoint of another log brings its own.
        """
        served = self.served
        if registry.manifest(pointer.id).log_id == served.keys_of:
            model = checkpoints.load_served(registry, pointer.id, served.model, served.checkpoint)
            model.content = served.state.content
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
        _compile(replaced.model.config, len(replaced.state.items))
        self.served = replaced

    def recommend(self, wish: Control, k: int, among: Sequence[str] | None = None) -> Ranked:
        """The best k items for a user or for a told history, with all of the log up to now taken in.

        `among` names the only items that may be listed. Shorter than k only where no more may be.
        """
        served = self.served  # before the log is read: its watermark is then never beyond the state
        self._catch_up(served)
        now, state = served.clock.now(), served.state
        plan = listing.plan(wish, state, served.catalogue, served.masks, self.rules.rules, now)
        if among is not None:
            named = np.zeros_like(plan.may_list)
            named[_keys(state, among)] = True
            plan = plan._replace(may_list=plan.may_list & named)
        query = query_for(state, wish, now, plan.bar_had)
        candidates = self.candidates(served, query, plan.may_list)
        scores = self.scores(served, candidates)[0]
        places = listing.places(plan, query, candidates, scores, k, state, served.catalogue, self._random)
        items = [state.items.ids[place.key] for place in places]
        return Ranked(items, places, served.checkpoint, state.offset, now, plan.rules)

    def candidates(self, served: Served, query: Query, may_list: npt.NDArray[np.bool_] | None = None) -> Candidates:
        """What is ranked, with its features; out of the whole catalogue by default."""
        state = served.state
        logits = None
        if served.model is not None:
            window = histories.history_window(query.items, query.times, query.now, served.model.config.window)
            logits = served.model.logits(window, len(state.items))[0]
        return propose(state, state.counters, query, logits, may_list)

    def scores(self, served: Served, candidates: Candidates) -> npt.NDArray[np.float32]:
        """Scores [n, C] by the model, by popularity before there is one; -inf on padding."""
        return served.model.rank(candidates) if served.model is not None else _popularity(candidates)

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


def _compile(config: TrainConfig, items: int) -> None:
    """Compile what one list needs with so many items, and with more than fit into their bucket.

    Shapes are what counts, so a model that has learnt nothing does, and none that serves is touched.
    """
    model = Model(config)
    window = Windows(np.full((1, config.window), -1, np.int32), np.zeros((1, config.window)), np.zeros(1))
    for size in (items, bucket(items) + 1):
        model.logits(window, size)
    model.rank(blank(1, config.candidates))


def _rehearse(state: LiveState) -> None:
    """Compile what takes an event in, on a state that is thrown away: a log may be empty until the first click."""
    kind = next(name for name, kind in state.kinds.items() if kind.weight > 0)
    payload = msgspec.json.encode({"user_id": "u", "item_id": "i", "event": kind})
    records = [Record(offset, "event", "", None, offset, str(offset), payload) for offset in range(2)]
    scratch = live.init(state.config, state.kinds)
    live.update(scratch, parse(records, state.kinds), len(records))
    propose(scratch, scratch.counters, query_of(scratch, 0, 1.0), None)


def query_for(state: LiveState, who: Who, now: float, bar_had: bool) -> Query:
    """What the next list of a user or of a told session is made from; `bar_had`: without what was had."""
    if who.user_id is not None:
        return query_of(state, state.users.key(who.user_id), now)._replace(bar_had=bar_had)
    items = _keys(state, who.history_item_ids or [])
    times = now - HISTORY_SPACING * np.arange(len(items), 0, -1, dtype=np.float64)
    # What a session tells that it had is no news to it.
    return Query(items, times, -1, now, _NONE, bar_had)


def _card(entry: Entry) -> tuple[str | None, list[str], msgspec.Raw]:
    return entry.title, entry.categories, entry.attributes


def iso(seconds: float) -> str:
    """A time of the log as text, UTC."""
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None).isoformat()


def _keys(state: LiveState, ids: Sequence[str]) -> npt.NDArray[np.int32]:
    """Keys of the known ones among these items."""
    keys = np.array([state.items.key(id_) for id_ in ids], np.int32)
    return keys[keys >= 0]


def _popularity(candidates: Candidates) -> npt.NDArray[np.float32]:
    """Scores [1, C] before anything is learnt."""
    column = candidates.features[:, :, POPULARITY]
    return np.where(candidates.items >= 0, column, np.float32(-np.inf))

"""One worker: the engine and the threads around it, and what the worker says of itself."""

import gc
import logging
import os
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from rec_assets.models.compile import use_cache
from rec_assets.registry import Registry
from rec_assets.serving import measures
from rec_assets.serving.drain import Drain
from rec_assets.serving.engine import Engine, iso
from rec_assets.serving.feedback import Writer
from rec_assets.serving.keys import Guard
from rec_assets.serving.lists import ServedLists
from rec_assets.serving.making import TOGETHER, Asked, Ranked
from rec_assets.serving.messages import Checkpoint, Item, Models, Recommended
from rec_assets.serving.spool import Served as ServedList
from rec_assets.serving.watch import Watcher
from rec_assets.settings import Settings

WAITING_LISTS = 256  # beyond these a request for a list gets 429
WAITING_FEEDBACK = 2_048
IDLE_SECONDS = 0.05  # of reading the log, after which a request gets its turn
PUBLISHED = (
    "end",
    "events",
    "rejected",
    "micro_batches",
    "metrics",
    "recent",
    "drift",
    "freshness",
    "promise_broken",
    "updated_at",
)  # of the pipeline's status file
logger = logging.getLogger(__name__)
_list_json = msgspec.json.Encoder()


class Worker:
    """Everything one process of the service holds."""

    def __init__(self, settings: Settings, packed: Path | None = None) -> None:
        """`packed`: the folder of a bento's model, served where nothing else is promoted."""
        self.settings, self._packed = settings, packed
        self.name = f"{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self.compute: Drain[Asked, bytes] = Drain(self._idle, WAITING_LISTS, self.lists_for, TOGETHER)
        self.feedback = Writer(settings.log_dir, WAITING_FEEDBACK)
        self.guard = Guard(settings.keys_path, settings.workers, settings.anyone)
        self.lists = ServedLists(settings.spool_path, settings.log_dir)
        self.engine: Engine
        self.ready, self.failed, self.stopping = False, False, False
        self._watcher: Watcher | None = None
        self._published: tuple[int, dict[str, Any]] = (0, {})
        self._behind, self._told_at = 0, 0.0
        self._waiting: tuple[str | None, int] | None = None  # the checkpoint that events are ahead of, and since when
        self._weights_of: str | None = None  # the checkpoint that the next figure is of
        self._weights_seconds: float | None = None

    def start(self) -> None:
        """Start the threads; `ready` is set once the first list has been made."""
        self.feedback.start()
        self.lists.start()
        self.compute.start()
        self.compute.post(self._open)

    def begin_stop(self) -> None:
        """End the event streams and answer /readyz with no."""
        self.stopping = True

    def stop(self) -> None:
        """Store what is in memory and end the threads."""
        self.begin_stop()
        self.ready = False
        if self._watcher is not None:
            self._watcher.stop()
        for thread in (self.compute, self.feedback, self.lists):
            thread.stop()

    def _open(self) -> None:
        try:
            use_cache(self.settings.data / "compiled")
            self.engine = Engine(self.settings, self._packed)
            self.engine.warm()
        except Exception:
            self.failed = True  # /livez says so, and whoever supervises starts another
            logger.exception("the worker could not start")
            return
        self._weights_of = self.engine.served.checkpoint  # it was learnt before this worker began: no figure for it
        # What is there now stays: the collector need not look at it again in the middle of a request.
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 50, 100)
        self._watcher = Watcher(
            self.engine, Registry(self.settings.checkpoints_dir), self.settings.spool_path, self.name
        )
        self._watcher.start()
        self.ready = True

    def _idle(self) -> None:
        if not self.ready:
            return
        while not self.engine.catch_up(IDLE_SECONDS) and not self.compute.waiting:
            pass  # a long backlog is taken in with all the time that nobody else needs
        if time.monotonic() - self._told_at >= 1:
            self._told_at = time.monotonic()
            self._measure()

    def lists_for(self, asked: Sequence[Asked]) -> list[bytes | Exception]:
        """The answer to each wish as JSON, or why there is none; the lists are kept. For the computing thread."""
        started = time.perf_counter()
        found: list[bytes | Exception] = []
        for one, ranked in zip(asked, self.engine.recommend(asked), strict=True):
            found.append(ranked if isinstance(ranked, Exception) else self._answer(one, ranked, started))
        return found

    def _answer(self, asked: Asked, ranked: Ranked, started: float) -> bytes:
        request_id, catalogue = uuid.uuid4().hex, self.engine.served.catalogue
        items = []
        for item_id, place in zip(ranked.items, ranked.places, strict=True):
            entry = catalogue[item_id]
            items.append(
                Item(
                    item_id, place.score, place.source, entry.title, entry.categories, entry.attributes,
                    place.propensity,
                )
            )  # fmt: skip
        now = iso(ranked.now)
        answer = Recommended(
            request_id, ranked.checkpoint, ranked.offset, now, ranked.rules, items, "late" if ranked.late else None
        )
        body = msgspec.json.encode(answer)
        seconds = time.perf_counter() - started
        self.lists.add(_kept(request_id, asked, ranked, seconds))
        if ranked.late:
            measures.late.inc()
        measures.list_seconds.observe(seconds)
        return body

    def models(self) -> Models:
        """The checkpoints that are kept, the newest first."""
        serving = self.engine.served.checkpoint
        listed = Registry(self.settings.checkpoints_dir).list()
        kept = [
            Checkpoint(
                one.id, one.manifest.parent, iso(one.manifest.created_at / 1e6), one.manifest.start,
                one.manifest.watermark, one.state == "promoted",
            )
            for one in listed
            if one.manifest is not None
        ]  # fmt: skip
        return Models(serving, sorted(kept, key=lambda one: one.id, reverse=True))

    def status(self) -> dict[str, Any]:
        """What is served and how fresh it is; times in µs UTC, `now` is the log's own time."""
        status: dict[str, Any] = {
            "ready": self.ready,
            "worker": self.name,
            "workers": [one._asdict() for one in self._watcher.workers] if self._watcher is not None else [],
            "promise": self.settings.promise.model_dump(),
            "pipeline": self._pipeline(),
        }
        if not self.ready:
            return status | {"checkpoint": None, "offset": 0, "behind": 0, "now": iso(time.time())}
        served = self.engine.served
        return status | {
            "log_id": self.engine.log_id,
            "checkpoint": served.checkpoint,
            "watermark": served.watermark,
            "promoted_at": served.promoted_at or None,
            "served_at": served.served_at or None,
            "offset": served.state.offset,
            "behind": self._behind,
            "behind_since": self._waiting[1] if self._waiting is not None else None,
            "rules": self.engine.rules.rules.version,
            "rules_error": self.engine.rules.error,
            "weights_seconds": self._weights_seconds,
            "users": len(served.state.users),
            "items": len(served.state.items),
            "now": iso(served.clock.now()),
        }

    def _measure(self) -> None:
        """About once a second, between requests: what is costly to know."""
        served = self.engine.served
        self._behind = self.engine.not_learnt(served)
        if not self._behind:
            self._waiting = None
        elif self._waiting is None or self._waiting[0] != served.checkpoint:
            self._waiting = (served.checkpoint, time.time_ns() // 1_000)
        if served.checkpoint is not None and self._weights_of != served.checkpoint:
            self._weights_of, self._weights_seconds = served.checkpoint, self.engine.weights_seconds(served)
        measures.offset.set(served.state.offset)
        measures.behind.set(self._behind)
        measures.queue.labels("compute").set(self.compute.waiting)
        measures.queue.labels("feedback").set(self.feedback.waiting)
        if served.promoted_at:
            measures.checkpoint_age.set(time.time() - served.promoted_at / 1e6)
        published = self._pipeline()
        for name, seconds in (published.get("freshness", {}).get("weights") or {}).items():
            if name.startswith("p"):
                measures.waited.labels(f"0.{name[1:3]}").set(seconds)
        measures.promise_broken.set(len(published.get("promise_broken", ())))
        if self._weights_seconds is not None:
            measures.weights_seconds.set(self._weights_seconds)

    def _pipeline(self) -> dict[str, Any]:
        """What the pipeline published last, read again when the file has changed."""
        try:
            changed = self.settings.status_path.stat().st_mtime_ns
            if changed != self._published[0]:
                content = msgspec.json.decode(self.settings.status_path.read_bytes(), type=dict[str, Any])
                self._published = (changed, {key: content[key] for key in PUBLISHED if key in content})
        except (OSError, msgspec.DecodeError):
            return {}
        return self._published[1]


def _kept(request_id: str, asked: Asked, ranked: Ranked, seconds: float) -> ServedList:
    """The list as the log keeps it."""
    wish = asked.wish
    payload = {
        "request_id": request_id,
        "user_id": wish.user_id,
        "placement": wish.placement,
        "k": asked.k,
        "item_ids": ranked.items,
        "positions": list(range(1, len(ranked.items) + 1)),
        "sources": [place.source for place in ranked.places],
        "scores": [place.score for place in ranked.places],
        "propensities": [place.propensity for place in ranked.places],
        "checkpoint": ranked.checkpoint,
        "offset": ranked.offset,
        "rules": ranked.rules,
        "latency_ms": round(seconds * 1e3, 3),
    }
    return ServedList(wish.user_id, time.time_ns() // 1_000, _list_json.encode(payload))

"""The demo from beginning to end."""

import contextlib
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import msgspec
from rich.console import Console
from rich.live import Live

from rec_assets import datasets, durable
from rec_assets.demo.loop import Loop
from rec_assets.demo.probe import OwnListProbe
from rec_assets.demo.stream import Stream
from rec_assets.demo.view import SYSTEMS, Snapshot, render
from rec_assets.replay import replay
from rec_assets.settings import Settings
from rec_assets.tables import status
from rec_assets.tables.status import Status

DATASET = "movielens-100k"
FIRST_CHECKPOINT_SECONDS, CATCH_UP_SECONDS = 900.0, 300.0
PROBE_SECONDS = 0.5  # between two measurements of the own list
PLAIN_SECONDS = 15.0  # between two lines where nobody watches a terminal
DERIVED = (
    "bentoml",
    "checkpoints",
    "dagster",
    "landing",
    "log",
    "logs",
    "spool.sqlite",
    "status.json",
    "warehouse.duckdb",
)


@dataclass(frozen=True)
class Options:
    """What can be said to `rec demo`."""

    rate: float = 220.0  # events/s
    exit: bool = False
    report: Path | None = None


def reset(settings: Settings) -> None:
    """Remove all that earlier runs stored, but not the data sets and compiled code."""
    for name in DERIVED:
        for path in settings.data.glob(f"{name}*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


class Demo:
    """One run of the demo; `snapshot` is what the terminal shows."""

    def __init__(self, settings: Settings, options: Options, console: Console) -> None:
        self.settings, self.options, self.console = settings, options, console
        self.snapshot = Snapshot()
        self.probe: OwnListProbe | None = None

    def run(self) -> None:
        """Run it; returns when it is told to exit, or at Ctrl-C. Nothing that it started is left behind."""
        stream = Stream.read(datasets.fetch(DATASET, self.settings.data / "datasets", self.console))
        stream.land_first_half(self.settings.landing_dir)
        loop = Loop.prepare(self.settings, self.console.print)
        self.snapshot.addresses = {"page": loop.service_url, "Dagster": loop.dagster_url}
        self.snapshot.events_total = stream.events.num_rows
        self.console.print(f"Logs of all processes: {loop.supervisor.logs}")
        try:
            with self._watched(loop, stream.catalogue_rows):
                self._say("Starting Dagster and the service")
                loop.start()
                self._say("Training the first checkpoint on the first half of the stream: a minute or two")
                loop.wait_first_checkpoint(FIRST_CHECKPOINT_SECONDS)
                self._replay(loop, stream)
                self._say("All is sent: waiting until the last events are learnt from and served")
                final = loop.wait_learnt(CATCH_UP_SECONDS)
                self._say("Done")
            self._finish(final)
            if not self.options.exit:
                self.console.print("Serving until Ctrl-C.")
                threading.Event().wait()
        finally:
            self.console.print("Stopping what was started.")
            loop.supervisor.stop()

    def _replay(self, loop: Loop, stream: Stream) -> None:
        with loop.open_log() as log:
            row = stream.next_row(log)
        self._say(f"Replaying the second half through {loop.service_url}/feedback, {self.options.rate:.0f} events/s")
        with httpx.Client(base_url=loop.service_url, timeout=30.0) as client:
            self.probe = OwnListProbe(client, PROBE_SECONDS)
            replay(stream.second_half(row), client, rate=self.options.rate, on_sent=self.probe.sent)

    @contextlib.contextmanager
    def _watched(self, loop: Loop, catalogue_rows: int) -> Iterator[None]:
        """Keep the snapshot true and show it: as a live picture on a terminal, as lines elsewhere."""
        stop = threading.Event()
        watcher = threading.Thread(target=self._watch, args=(loop, catalogue_rows, stop), daemon=True)
        watcher.start()
        live = Live(get_renderable=lambda: render(self.snapshot), console=self.console, refresh_per_second=4)
        try:
            with live if self.console.is_terminal else contextlib.nullcontext():
                yield
        finally:
            stop.set()
            watcher.join()

    def _watch(self, loop: Loop, catalogue_rows: int, stop: threading.Event) -> None:
        said_at = time.monotonic()
        with loop.open_log() as log:
            while not stop.wait(0.5):
                head = log.head()
                # The catalogue's records are in the log too; people count events.
                self.snapshot.events = max(log.count_events(0, head) - catalogue_rows, 0)
                if (found := status.read(self.settings.status_path)) is not None:
                    self._take(found)
                    self.snapshot.behind = log.count_events(found.watermark or 0, head)
                if not self.console.is_terminal and time.monotonic() - said_at > PLAIN_SECONDS:
                    said_at = time.monotonic()
                    self.console.print(line(self.snapshot), soft_wrap=True)

    def _take(self, found: Status) -> None:
        shown = self.snapshot
        shown.micro_batches, shown.checkpoint, shown.metrics = found.micro_batches, found.checkpoint, found.metrics
        weights = found.freshness["weights"]
        shown.weights = (weights["p50_s"], weights["p95_s"]) if weights else None
        own = self.probe.percentiles(50, 99) if self.probe else None
        shown.own_list = (own[0], own[1]) if own else None

    def _say(self, stage: str) -> None:
        self.snapshot.stage = stage
        if not self.console.is_terminal:
            self.console.print(stage)

    def _finish(self, final: Status) -> None:
        self._take(final)
        self.snapshot.behind = 0  # or it would not be over
        self.console.print(render(self.snapshot))
        if self.options.report is not None:
            self.options.report.parent.mkdir(parents=True, exist_ok=True)
            durable.replace(self.options.report, msgspec.json.format(msgspec.json.encode(report(self.snapshot))))


def report(shown: Snapshot) -> dict[str, float | int | None]:
    """The figures of the final table; null where nothing was measured."""
    figures: dict[str, float | int | None] = {"events": shown.events, "micro_batches": shown.micro_batches}
    for metric in ("hit20", "ndcg10"):
        for system in SYSTEMS:
            figures[f"{metric}_{system}"] = shown.metrics.get(system, {}).get(metric)
    own, weights = shown.own_list or (None, None), shown.weights or (None, None)
    figures |= {"own_list_p50_ms": own[0], "own_list_p99_ms": own[1]}
    return figures | {"weights_p50_s": weights[0], "weights_p95_s": weights[1]}


def line(shown: Snapshot) -> str:
    """The picture in one line, where nobody watches a terminal."""
    hits = ", ".join(f"{system} {row['hit20']:.3f}" for system, row in shown.metrics.items() if "hit20" in row)
    return (
        f"{shown.events:,} of {shown.events_total:,} events, {shown.micro_batches} micro-batches, "
        f"{shown.behind:,} not yet learnt from; hit@20: {hits or '–'}"
    )

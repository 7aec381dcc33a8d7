"""Two thousand micro-batches in a row by plain calls, from log to promoted checkpoint: nothing grows but events."""

import json
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from chain_stream import KINDS, SMALL, chain

from rec_assets.log import Draft, Log
from rec_assets.registry import Registry
from rec_assets.settings import Settings
from rec_assets.tables import finish, freshness, status, warehouse, write
from rec_assets.training.trainer import Trainer

FIRST, BATCHES, BATCH, KEPT = 600, 2_000, 4, 5


def drafts(rows, first):
    for number, (user, item, seconds) in enumerate(rows, first):
        event = {"event_id": f"e{number}", "user_id": user, "item_id": item, "event": "click", "occurred_at": seconds}
        yield Draft("event", json.dumps(event).encode(), f"e{number}", user)


def size(path: Path) -> int:
    return sum(each.stat().st_size for each in path.rglob("*") if each.is_file())


def step(settings: Settings, log: Log, trainer: Trainer, registry: Registry, start: int, end: int) -> None:
    with warehouse.connect(settings.warehouse_path) as con:
        write.write(con, log, start, end, settings.kinds, "run")
        learnt = trainer.learn(start, end)
        assert learnt.gate.passed, learnt.gate
        finish.trained(con, start, end, learnt.checkpoint_id, learnt.metrics)
        pointer = registry.promote(learnt.checkpoint_id)
        finish.promoted(con, start, end, pointer.id, pointer.promoted_at)
        freshness.measure(con, log, settings.spool_path, warehouse.microseconds())
        built = status.build(con, pointer.id, pointer.watermark, warehouse.microseconds())
        status.write(settings.status_path, built)
    if len(registry.ids()) > 2 * KEPT:
        registry.retain(KEPT)


@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_two_thousand_micro_batches_stay_flat(tmp_path):
    settings = Settings(data=tmp_path, kinds=KINDS, train=SMALL, keep_checkpoints=KEPT)
    rows = chain(FIRST + BATCHES * BATCH)
    registry, process = Registry(settings.checkpoints_dir), psutil.Process()
    seconds, memory, disk = [], [], []
    with Log.open(settings.log_dir) as log:
        log.append(list(drafts(rows[:FIRST], 0)), "test")
        trainer = Trainer.open(settings)
        step(settings, log, trainer, registry, 0, FIRST)
        for number in range(BATCHES):
            start = FIRST + number * BATCH
            log.append(list(drafts(rows[start : start + BATCH], start)), "test")
            began = time.process_time()
            step(settings, log, trainer, registry, start, start + BATCH)
            seconds.append(time.process_time() - began)
            if number % 100 == 99:
                memory.append(process.memory_info().rss)
                disk.append(size(settings.checkpoints_dir))
        trainer.close()
        assert log.verify() == []
    now = status.read(settings.status_path)
    assert (now.micro_batches, now.events, now.end) == (BATCHES + 1, len(rows), len(rows))
    assert registry.manifest(registry.promoted()).watermark == len(rows)
    early, late = np.median(seconds[200:500]), np.median(seconds[-300:])
    assert late < 1.5 * early, (early, late)
    assert memory[-1] < memory[4] + 150 * 2**20, memory
    assert disk[-1] < 1.5 * disk[4], disk
    assert size(settings.warehouse_path.parent) - disk[-1] - size(settings.log_dir) < 50 * 2**20

"""An installation whose log has lost its start goes on: restart, service, rollback, rebuild, forgetting, doctor."""

import itertools
import json
import shutil

import duckdb
import pytest
from chain_stream import SMALL, chain

from rec_assets import log_retention
from rec_assets.cli.provenance import of_list
from rec_assets.cli.stored import findings
from rec_assets.events import parse
from rec_assets.features import state as live
from rec_assets.forgetting import forget
from rec_assets.log import Draft, Log, RecordsDropped
from rec_assets.registry import Registry
from rec_assets.serving.bento import pack
from rec_assets.serving.engine import Engine
from rec_assets.serving.messages import Recommend
from rec_assets.settings import Settings
from rec_assets.tables import published, rebuild, status, warehouse, write
from rec_assets.tables.rebuild import BY_OFFSET
from rec_assets.training.trainer import FROZEN, Trainer

ROWS = chain(900)
BOUNDS = (0, 400, 500, 600, 700, 800)
LATER = 10**16  # µs, after all there is
CONFIG = SMALL.__class__(**{**vars(SMALL), "state_every_events": 200})


def drafts(start, end):
    found = []
    for n, (user, item, seconds) in enumerate(ROWS[start:end], start):
        row = {"user_id": user, "item_id": item, "event": "click", "occurred_at": seconds}
        found.append(Draft("event", json.dumps(row).encode(), f"e{n}", user))
    return found


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Live states at 400, 600 and 800; segments of about a hundred records."""
    settings = Settings(data=tmp_path_factory.mktemp("made"), train=CONFIG, log_keep_days=0)
    with Log.open(settings.log_dir) as log, warehouse.connect(settings.warehouse_path) as con:
        log.append([Draft("item", b'{"item_id":"i3","title":"The third"}', "title")], "test")
        for start, end in itertools.pairwise(BOUNDS):
            log.append(drafts(max(log.head(), start), end), "test")
            log.compact(0)
            write.write(con, log, start, end, settings.kinds, "run")
        published.everything(con, settings.published_dir, 1)
    trainer = Trainer.open(settings)
    for start, end in itertools.pairwise(BOUNDS):
        trainer.registry.promote(trainer.learn(start, end).checkpoint_id)
    trainer.close()
    with duckdb.connect(str(settings.warehouse_path)) as con:
        con.execute("update micro_batches set state = 'promoted'")
        now = status.build(con, trainer.registry.promoted(), 800, 1)
    status.write(settings.status_path, now)
    return settings


@pytest.fixture
def settings(made, tmp_path):
    shutil.copytree(made.data, tmp_path / "data")
    return made.model_copy(update={"data": tmp_path / "data"})


def dropped(settings):
    """The same after the checkpoints that nothing needs are gone and the log's start with them."""
    Registry(settings.checkpoints_dir).retain(2)
    with Log.open(settings.log_dir) as log:
        assert log_retention.apply(settings, log, LATER)
        return log.start()


def test_only_what_no_checkpoint_reads_again_goes(settings):
    registry = Registry(settings.checkpoints_dir)
    with Log.open(settings.log_dir) as log:
        assert log_retention.apply(settings.model_copy(update={"log_keep_days": None}), log, LATER) == []
        assert log_retention.needed(settings, log).offset == 400
        assert log_retention.apply(settings, log, LATER) == [(0, 400)]
        registry.retain(2)  # of the first only what it weighs: a pin keeps it
        assert registry.pinned(FROZEN) in registry.ids()
        bound = log_retention.needed(settings, log)
        assert bound.offset == 600 and "live state of checkpoint" in bound.by
        settings.status_path.unlink()
        assert log_retention.needed(settings, log).offset == 0


def test_restart_service_bento_and_rollback_read_on_from_what_is_kept(settings, tmp_path):
    whole = Trainer.open(settings)
    assert dropped(settings) == 600
    engine, trainer = Engine(settings), Trainer.open(settings)
    assert trainer.state.users.ids == whole.state.users.ids and trainer.state.offset == 800
    assert engine.served.checkpoint == trainer.checkpoint_id and engine.served.state.offset == 800
    assert engine.served.catalogue["i3"].title == "The third"  # its record was dropped
    assert len(engine.recommend(Recommend(user_id="u1"), 5).item_ids) == 5
    pack(settings, tmp_path / "packed")
    trainer.log.append(drafts(800, 850), "test")
    trainer.registry.promote(trainer.learn(800, 850).checkpoint_id)
    trainer.registry.rollback()
    again = Trainer.open(settings)
    assert (again.checkpoint_id, again.state.offset) == (whole.checkpoint_id, 800)
    assert again.learn(850, 851).checkpoint_id if again.log.append(drafts(850, 851), "test") else None


def test_weights_whose_own_state_is_gone_go_on_with_another(settings):
    dropped(settings)
    registry = Registry(settings.checkpoints_dir)
    first = registry.pinned(FROZEN)
    pointer = json.loads((registry.directory / "promoted.json").read_bytes())
    (registry.directory / "promoted.json").write_text(json.dumps(pointer | {"id": first, "watermark": 400}))
    trainer = Trainer.open(settings)
    assert (trainer.checkpoint_id, trainer.state.offset) == (first, 600)
    engine = Engine(settings)
    engine.catch_up()
    assert (engine.served.checkpoint, engine.served.state.offset) == (first, 800)


def test_a_rebuild_keeps_the_rows_that_the_log_no_longer_has(settings):
    def contents():
        with warehouse.connect(settings.warehouse_path) as con:
            tables = (*BY_OFFSET, *published.WHOLE, "micro_batches")
            return {table: con.execute(f"select * from {table} order by all").fetchall() for table in tables}

    before, start = contents(), dropped(settings)
    with duckdb.connect(str(settings.warehouse_path)) as con:
        con.execute("delete from interactions where log_offset >= $start", {"start": start})
    with Log.open(settings.log_dir) as log:
        rebuild.rebuild(settings.warehouse_path, log, settings.kinds, "run", 100)
        assert contents() == before
        settings.warehouse_path.unlink()
        with pytest.raises(RecordsDropped, match=r"begins at offset 600.*Put back a copy of .*warehouse\.duckdb"):
            rebuild.rebuild(settings.warehouse_path, log, settings.kinds, "run", 100)


def test_a_user_is_forgotten_and_all_others_keep_their_keys(settings):
    dropped(settings)
    trainer = Trainer.open(settings)
    with Log.open(settings.log_dir) as log:
        log.append(drafts(800, 900), "test")
    trainer.catch_up(900)
    report = forget(settings, "u3")
    assert report.offset == 900 and report.counts["tables"]["interactions"] > 20
    again, registry = Trainer.open(settings), Registry(settings.checkpoints_dir)
    again.catch_up(901)
    ids = [None if each == "u3" else each for each in trainer.state.users.ids]
    assert [each or None for each in again.state.users.ids] == ids or again.state.users.key("u3") < 0
    assert len(again.state.users.ids) == len(ids)
    assert all(again.state.users.key(each) == key for key, each in enumerate(ids) if each)
    assert again.state.items.ids == trainer.state.items.ids
    with Log.open(settings.log_dir) as log:
        assert log.verify() == []
        read = live.init(CONFIG, settings.kinds)
        assert log.find("u3") == [] and parse(log.read(log.start(), 901), settings.kinds)
        assert read.offset == 0 and registry.promoted() in registry.ids()


def test_doctor_finds_nothing_wrong(settings):
    dropped(settings)
    found = list(findings(settings))
    assert [each for each in found if not each.ok] == []
    assert "but for the first 600, which were dropped" in found[0].found
    with Log.open(settings.log_dir) as log:
        assert all(each.ok for each in of_list(settings, log, None))

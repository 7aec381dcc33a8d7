"""An installation whose log has lost its start goes on: restart, service, rollback, rebuild, forgetting, doctor."""

import dataclasses
import itertools
import json
import shutil

import duckdb
import pytest
from chain_stream import SMALL, chain

from rec_assets import log_retention
from rec_assets.cli.provenance import of_list
from rec_assets.cli.stored import findings
from rec_assets.features.idmap import FORGOTTEN
from rec_assets.forgetting import forget
from rec_assets.log import Draft, Log, RecordsDropped, forget_jobs
from rec_assets.registry import Registry
from rec_assets.serving.bento import pack
from rec_assets.serving.engine import Engine
from rec_assets.serving.making import Asked
from rec_assets.serving.messages import Recommend
from rec_assets.settings import Settings
from rec_assets.tables import published, rebuild, status, warehouse, write
from rec_assets.tables.rebuild import BY_OFFSET
from rec_assets.training import shadow
from rec_assets.training.trainer import FROZEN, Trainer

ROWS = chain(900)
BOUNDS = (0, 400, 500, 600, 700, 800)
LATER = 10**16  # µs, after all there is
CONFIG = dataclasses.replace(SMALL, state_every_events=200)


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
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shadow, "PROVEN", 1)  # so that the first checkpoint is not the known-good one for long
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
        forget_jobs.ask(log, "u1", 1)
        assert log_retention.needed(settings, log) == (0, "a user is being forgotten; `rec forget` finishes it")
        forget_jobs.end(log, "u1")
        assert log_retention.needed(settings, log) == bound
        settings.status_path.unlink()
        assert log_retention.needed(settings, log).offset == 0


def test_restart_service_bento_and_rollback_read_on_from_what_is_kept(settings, tmp_path):
    whole = Trainer.open(settings)
    assert dropped(settings) == 600
    engine, trainer = Engine(settings), Trainer.open(settings)
    assert trainer.state.users.ids == whole.state.users.ids and trainer.state.offset == 800
    assert engine.served.checkpoint == trainer.checkpoint_id and engine.served.state.offset == 800
    assert engine.served.catalogue["i3"].title == "The third"  # its record was dropped
    assert engine.recommend([Asked(Recommend(user_id="u1"), 5)])[0].items
    pack(settings, tmp_path / "packed")
    trainer.log.append(drafts(800, 850), "test")
    trainer.registry.promote(trainer.learn(800, 850).checkpoint_id)
    trainer.registry.rollback()
    again = Trainer.open(settings)
    assert (again.checkpoint_id, again.state.offset) == (whole.checkpoint_id, 800)
    assert again.learn(800, 850).gate.passed


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
    late = {"user_id": "u12", "item_id": "i-late", "event": "click", "occurred_at": ROWS[-1][2]}
    trainer.log.append([Draft("event", json.dumps(late).encode(), "late", "u12")], "test")
    trainer.catch_up(901)
    for number, user in enumerate(("u3", "u12")):  # known before the log's start, and not
        report = forget(settings, user)
        assert report.offset == 901 + number and report.counts["log"]["event"] > 0
    assert forget(settings, "nobody").counts["log"] == {}
    again = Trainer.open(settings)
    again.catch_up(again.log.head())
    gone = [user if user not in ("u3", "u12") else FORGOTTEN for user in trainer.state.users.ids]
    assert again.state.users.ids == gone
    assert again.state.items.ids == trainer.state.items.ids
    assert again.log.verify() == [] and again.log.find("u3") == []


def test_doctor_finds_nothing_wrong(settings):
    dropped(settings)
    found = list(findings(settings))
    assert [each for each in found if not each.ok] == []
    assert "but for the first 600, which were dropped" in found[0].found
    with Log.open(settings.log_dir) as log:
        assert all(each.ok for each in of_list(settings, log, None))

"""Forgetting a user in a whole installation: no byte of the id stays, and all that goes on is as if it went on."""

import itertools
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import msgspec
import numpy as np
import pyarrow.parquet as pq
import pytest
from chain_stream import SMALL, chain

from rec_assets.events import parse
from rec_assets.features import state as live
from rec_assets.forgetting import forget
from rec_assets.log import Draft, Log, forget_jobs
from rec_assets.log.record import digest_of
from rec_assets.registry import NoCheckpoint, Registry
from rec_assets.serving.engine import Engine
from rec_assets.serving.making import Asked
from rec_assets.serving.messages import Recommend
from rec_assets.serving.spool import Served, Spool
from rec_assets.settings import Settings
from rec_assets.sources.files import collect_landed
from rec_assets.tables import published, rebuild, warehouse, write
from rec_assets.training.trainer import Trainer

WHO = "person-who-goes-3"
BOUNDS = (0, 600, 700, 800, 900)


def named(user):
    return WHO if user == "u3" else user


def drafts(rows, first=0):
    return [
        Draft(
            "event",
            json.dumps({"user_id": named(u), "item_id": i, "event": "click", "occurred_at": t}).encode(),
            f"{named(u)}/{n}",
            named(u),
        )
        for n, (u, i, t) in enumerate(rows, first)
    ]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """An installation with all that may know a user; to be copied, not changed."""
    settings = Settings(data=tmp_path_factory.mktemp("made"), train=SMALL)
    shared = Path("data") / "compiled"
    shared.mkdir(parents=True, exist_ok=True)
    (settings.data / "compiled").symlink_to(shared.absolute())  # what an earlier run compiled serves this one
    settings.landing_dir.mkdir()
    rows = [f"{WHO if n % 4 else 'u1'},i{n % 30},click,{1_000_100_000 + n}" for n in range(40)]
    (settings.landing_dir / "more.csv").write_text("user_id,item_id,event,occurred_at\n" + "\n".join(rows) + "\n")
    with Log.open(settings.log_dir) as log:
        log.append(drafts(chain(700)), "test")
        log.append([Draft("user", json.dumps({"user_id": WHO, "age": 40}).encode(), "about", WHO)], "test")
        log.append([Draft("event", json.dumps({"user_id": WHO, "event": "dance"}).encode(), "bad", WHO)], "test")
        only = {"user_id": WHO, "item_id": "only-theirs", "event": "click", "occurred_at": 1e9 + 60 * 702}
        log.append([Draft("event", json.dumps(only).encode(), "only", WHO)], "test")
        collect_landed(settings, log)
        log.append(drafts(chain(900)[log.head() :], log.head()), "test")
        log.compact(250)
        with warehouse.connect(settings.warehouse_path) as con:
            for start, end in itertools.pairwise(BOUNDS):
                write.write(con, log, start, end, settings.kinds, "run")
            published.everything(con, settings.published_dir, 1)
    trainer = Trainer.open(settings)
    for start, end in itertools.pairwise(BOUNDS):
        trainer.registry.promote(trainer.learn(start, end).checkpoint_id)
    trainer.close()
    with duckdb.connect(str(settings.warehouse_path)) as con:
        con.execute("update micro_batches set checkpoint = $id", {"id": trainer.checkpoint_id})
    spool = Spool(settings.spool_path)
    spool.add([Served(user, 1, json.dumps({"user_id": user}).encode()) for user in (WHO, "u1")])
    spool.close()
    return settings


@pytest.fixture
def settings(made, tmp_path):
    shutil.copytree(made.data, tmp_path / "data", symlinks=True)
    return made.model_copy(update={"data": tmp_path / "data"})


def holding(settings):
    """Files that have the id in them, Parquet and DuckDB decoded too."""
    found = []
    for path in sorted(each for each in settings.data.rglob("*") if each.is_file() and "compiled" not in each.parts):
        content = path.read_bytes()
        if path.suffix == ".parquet":
            content += repr(pq.read_table(path).to_pylist()).encode()
        if WHO.encode() in content:
            found.append(str(path.relative_to(settings.data)))
    with duckdb.connect(str(settings.warehouse_path)) as con:
        tables = [row[0] for row in con.execute("select table_name from duckdb_tables()").fetchall()]
        found += [table for table in tables if WHO in repr(con.execute(f"select * from {table}").fetchall())]
    return found


def same_state(a, b):
    assert (a.users.ids, a.items.ids, a.offset) == (b.users.ids, b.items.ids, b.offset)
    for key in range(len(a.users)):
        for one, other in zip(had(a, key), had(b, key), strict=True):
            np.testing.assert_array_equal(one, other)


def had(state, key):
    from rec_assets.features import rings

    items, times = rings.read(state.histories, key, 64)
    start, size = state.seen.start[key], (1 << state.seen.bits[key]) if state.seen.bits[key] else 0
    return items, times, np.sort(state.seen.keys[start : start + size])


def test_nothing_of_the_user_is_left_and_everything_goes_on(settings):
    trainer, engine = Trainer.open(settings), Engine(settings)
    before = Registry(settings.checkpoints_dir)
    old, pinned, learnt = before.promoted(), before.pins(), before.manifest(before.promoted()).learnt
    places = set(holding(settings))
    assert {"landing/done/more.csv", "warehouse.duckdb", "spool.sqlite", "interactions", "users"} <= places
    report = forget(settings, WHO)
    assert holding(settings) == []
    assert report.still_hold == []
    assert report.counts["log"]["event"] > 50 and report.counts["log"]["user"] == 1
    assert report.counts["checkpoints"]["stretches"] > 0 and report.counts["checkpoints"]["history"] > 0
    assert report.counts["tables"]["interactions"] > 50
    # The registry: new ids, the same chain, all files as their manifests say.
    registry = Registry(settings.checkpoints_dir)
    assert old not in registry.ids() and len(registry.ids()) == len(BOUNDS) - 1
    chain_now = registry.chain(registry.promoted())
    assert chain_now[0].learnt == learnt and len(chain_now) == len(BOUNDS) - 1
    assert registry.pins() == {name: report.checkpoints[each] for name, each in pinned.items()}
    for checkpoint_id in registry.ids():
        registry.load(checkpoint_id)
    with duckdb.connect(str(settings.warehouse_path)) as con:
        assert con.execute("select distinct checkpoint from micro_batches").fetchall() == [(registry.promoted(),)]
    # What is in memory from before is not written any more.
    with Log.open(settings.log_dir) as log:
        log.append(drafts(chain(1000)[900:], 2000), "test")
        assert log.verify() == []
        head = log.head()
    with pytest.raises(NoCheckpoint):
        trainer.learn(900, head)
    # The service that ran on, one that starts now, and the trainer know the same.
    pointer = registry.pointer()
    engine.catch_up()
    engine.adopt(registry, pointer)
    started, opened = Engine(settings), Trainer.open(settings)
    opened.learn(900, head)
    same_state(engine.served.state, started.served.state)
    same_state(engine.served.state, opened.state)
    assert len(engine.recommend([Asked(Recommend(user_id=WHO), 10)])[0].items) > 0  # as somebody seen again since
    engine.close()
    started.close()


def test_tables_are_those_of_a_rebuild(settings):
    forget(settings, WHO)
    asked = {
        "interactions": "select * from interactions order by log_offset",
        "users": "select * from users order by user_id",
        "items": "select * from items order by item_id",
        "rejected_events": "select * from rejected_events order by log_offset",
        "micro_batches": "select start_offset, interactions, rejected from micro_batches order by 1",
    }
    with duckdb.connect(str(settings.warehouse_path)) as con:
        erased = {name: con.execute(query).fetchall() for name, query in asked.items()}
    with Log.open(settings.log_dir) as log:
        rebuild.rebuild(settings.warehouse_path, log, settings.kinds, "run", 100)
    with duckdb.connect(str(settings.warehouse_path)) as con:
        for name, query in asked.items():
            assert con.execute(query).fetchall() == erased[name], name


def test_a_state_read_from_the_erased_log_has_the_keys_of_the_one_that_forgot(settings):
    with Log.open(settings.log_dir) as log:
        ran = live.init(settings.train, settings.kinds)
        live.update(ran, parse(log.read(0, 900), settings.kinds), 900)
        offset = forget(settings, WHO).offset
        live.update(ran, parse(log.read(900, offset + 1), settings.kinds), offset + 1)
        read = live.init(settings.train, settings.kinds)
        live.update(read, parse(log.read(0, offset + 1), settings.kinds), offset + 1)
        same_state(ran, read)
        assert "only-theirs" in read.items.ids


def test_again_there_is_nobody_and_who_comes_back_can_be_forgotten_again(settings):
    assert forget(settings, "nobody-at-all").offset is None
    first = forget(settings, WHO)
    with Log.open(settings.log_dir) as log:
        assert log.head() == first.offset + 1
        assert forget(settings, WHO).offset is None
        back = {"user_id": WHO, "item_id": "i1", "event": "click"}
        assert log.append(drafts(chain(700)[:50]), "test") == list(range(50))  # what was erased does not come back
        log.append([Draft("event", json.dumps(back).encode(), "back", WHO)], "test")
    second = forget(settings, WHO)
    assert (second.offset, second.counts["log"]) == (first.offset + 2, {"event": 1})
    assert holding(settings) == []


def test_what_the_service_was_asked_is_worked_off(settings):
    with Log.open(settings.log_dir) as log:
        first = forget_jobs.ask(log, WHO, -1)  # as by a worker that serves another log's checkpoint
        assert forget_jobs.ask(log, WHO, -1) == first
        back = {"user_id": WHO, "item_id": "i1", "event": "click"}
        log.append([Draft("event", json.dumps(back).encode(), "back", WHO)], "test")
        assert forget_jobs.ask(log, WHO, -1) == first + 2
        assert forget_jobs.waiting(log) == [WHO]
        report = forget(settings, WHO)
        assert (report.offset, len(report.still_hold), forget_jobs.waiting(log)) == (first, 1, [WHO])
        assert report.counts["checkpoints"]["stretches"] > 0
        second = forget(settings, WHO)
        assert (second.offset, second.still_hold, forget_jobs.waiting(log)) == (first + 2, [], [])
    assert holding(settings) == []
    assert forget(settings, WHO).offset is None


def test_asked_again_while_the_job_is_worked_on_it_stays_open(settings):
    with Log.open(settings.log_dir) as log:
        forget_jobs.ask(log, WHO, -1)
        job = forget_jobs.begin(log, WHO, 3, {})
        log.append([Draft("event", json.dumps({"user_id": WHO, "event": "click"}).encode(), "back", WHO)], "test")
        forget_jobs.ask(log, WHO, -1)
        assert forget_jobs.read(log, WHO) == msgspec.structs.replace(job, asked=2)
        again = forget_jobs.end(log, WHO)
        assert (again.number, again.is_open, again.left) == (2, True, None)
        assert not forget_jobs.end(log, WHO).is_open


def test_a_forget_record_in_the_middle_of_a_batch_reaches_replay_and_reference(settings):
    with Log.open(settings.log_dir) as log:
        log.append(drafts(chain(950)[900:], 2000), "test")
        trainer = Trainer.open(settings)
        trainer.catch_up(log.head())
        key = trainer.state.users.key(WHO)
        payload = {"user": digest_of(WHO, log.log_id), "salt": log.log_id, "key": key}
        log.append([Draft("forget", json.dumps(payload).encode())], "test")
        log.append(drafts(chain(1000)[950:], 3000), "test")
        trainer = Trainer.open(settings)
        trainer.learn(900, log.head())
        replay, reference = trainer.model.replay, trainer.reference.counters
        assert key not in replay.stretches.user and key not in replay.examples.user
        assert not reference.averages[key].any()
        read = live.init(settings.train, settings.kinds)
        live.update(read, parse(log.read(0, log.head()), settings.kinds), log.head())
        same_state(read, trainer.state)


RUN = """
import sys
from pathlib import Path
from rec_assets.forgetting import forget
from rec_assets.settings import Settings
sys.path[:0] = {path!r}
from chain_stream import SMALL
sys.stdout.write("begun\\n")
sys.stdout.flush()
forget(Settings(data=Path({data!r}), train=SMALL), {who!r})
"""


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
def test_killed_at_any_instant_it_is_finished_by_the_same_call(settings, seed):
    rng = np.random.default_rng(seed)
    code = RUN.format(path=sys.path, data=str(settings.data), who=WHO)
    for _ in range(2):
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
        process.stdout.readline()
        time.sleep(rng.uniform(0, 1.2))
        process.send_signal(signal.SIGKILL)
        process.wait()
        with Log.open(settings.log_dir) as log:
            assert log.verify() == []
        Trainer.open(settings).close()  # whatever there is can be loaded
    forget(settings, WHO)
    assert holding(settings) == []
    registry = Registry(settings.checkpoints_dir)
    assert len(registry.ids()) == len(BOUNDS) - 1
    assert len(registry.chain(registry.promoted())) == len(BOUNDS) - 1
    with Log.open(settings.log_dir) as log:
        assert log.verify() == []
        assert sum(record.kind == "forget" for record in log.read(0, log.head())) == 1
        read = live.init(settings.train, settings.kinds)
        live.update(read, parse(log.read(0, log.head()), settings.kinds), log.head())
    trainer = Trainer.open(settings)
    trainer.catch_up(trainer.log.head())
    same_state(read, trainer.state)

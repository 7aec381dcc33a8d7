"""Lists for many users in one file: those that the engine gives, whole, and without who was forgotten."""

import dagster as dg
import pyarrow.parquet as pq
import pytest

from rec_assets import durable
from rec_assets.definitions import defs
from rec_assets.log import Log, forget_jobs
from rec_assets.serving import batch
from rec_assets.serving.bodies import Refused
from rec_assets.serving.engine import Engine
from rec_assets.serving.making import Asked


@pytest.fixture
def engine(trained):
    engine = Engine(trained)
    yield engine
    engine.close()


@pytest.fixture
def log(trained):
    with Log.open(trained.log_dir) as log:
        yield log


def nothing(done, of):
    pass


def test_each_list_is_the_one_that_the_engine_gives(trained, engine, log, monkeypatch):
    monkeypatch.setattr(batch, "TOLD_USERS", 2)
    path, users, told = trained.lists_dir / "mail.parquet", ["u1", "u2", "nobody yet"], []
    control = {"filter": '"War" in categories', "seen": "allowed"}
    made = batch.write(engine, log, users, 4, control, path, lambda *done: told.append(done))
    assert (made.users, made.rows, made.empty, told) == (3, 12, 0, [(2, 3), (3, 3)])
    table = pq.read_table(path)
    assert table.schema == batch.SCHEMA
    for user in users:
        [ranked] = engine.recommend([Asked(batch.wish_for(user, control), 4)])
        rows = [row for row in table.to_pylist() if row["user_id"] == user]
        assert [row["item_id"] for row in rows] == ranked.items
        assert [row["position"] for row in rows] == [1, 2, 3, 4]
        assert {row["checkpoint"] for row in rows} == {ranked.checkpoint}


def test_a_wish_that_cannot_be_met_leaves_the_file_as_it_was(trained, engine, log):
    path = trained.lists_dir / "lists.parquet"
    batch.write(engine, log, ["u1"], 2, {}, path, nothing)
    before = path.read_bytes()
    with pytest.raises(Refused):
        batch.write(engine, log, ["u1"], 2, {"filter": "price <"}, path, nothing)
    with durable.locked(path.with_name(".lists.lock")), pytest.raises(BlockingIOError):
        batch.write(engine, log, ["u1"], 2, {}, path, nothing)
    assert path.read_bytes() == before
    assert batch.write(engine, log, [], 2, {}, path, nothing).rows == 0
    assert len(pq.read_table(path)) == 0


def test_who_is_forgotten_is_in_no_file(trained, engine, log):
    path = trained.lists_dir / "lists.parquet"
    batch.write(engine, log, ["u1", "u2"], 3, {}, path, nothing)
    assert (batch.forget(trained.lists_dir, "u1"), batch.forget(trained.lists_dir, "u1")) == (3, 0)
    assert set(pq.read_table(path)["user_id"].to_pylist()) == {"u2"}
    forget_jobs.ask(log, "u1", -1)
    made = batch.write(engine, log, ["u1", "u2"], 3, {}, path, nothing)  # named before the tables knew of it
    assert (made.rows, made.forgotten) == (3, 1)
    assert set(pq.read_table(path)["user_id"].to_pylist()) == {"u2"}


def test_the_asset_takes_users_from_a_list(trained, monkeypatch):
    monkeypatch.setenv("REC_DATA", str(trained.data))
    config = {"name": "two", "users": ["u1", "u2", "u1"], "k": 3, "control": {"seen": "allowed"}}
    with dg.DagsterInstance.ephemeral() as instance:
        run = defs.resolve_job_def("make_batch_lists").execute_in_process(
            instance=instance, run_config={"ops": {"batch_lists": {"config": config}}}
        )
    [made] = run.asset_materializations_for_node("batch_lists")
    assert (made.metadata["users"].value, made.metadata["rows"].value) == (2, 6)
    assert len(pq.read_table(trained.lists_dir / "two.parquet")) == 6

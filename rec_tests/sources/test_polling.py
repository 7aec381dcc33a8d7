"""What Dagster does about sources that are asked from time to time."""

import json
import sqlite3

import dagster as dg
import pytest

from rec_assets.definitions import defs
from rec_assets.log import Log
from rec_assets.sources.assets import Due, polled_sources
from rec_assets.sources.sensors import sources_due


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """A database with one order, and the settings that name it beside a table that is not there."""
    con = sqlite3.connect(tmp_path / "shop.db")
    con.execute("create table orders (id integer, user_id text, item_id text, ts integer, updated_at integer)")
    con.execute("insert into orders values (1, 'u', 'i', 1700000000, 1700000000)")
    con.commit()
    orders = {"type": "sql", "url": f"sqlite:///{tmp_path}/shop.db", "table": "orders", "every_seconds": 3_600}
    clicks = {"type": "kafka", "servers": "127.0.0.1:9", "topic": "clicks"}
    sources = {"lost": {**orders, "table": "none", "every_seconds": 0}, "orders": orders, "clicks": clicks}
    monkeypatch.setenv("REC_DATA", str(tmp_path))
    monkeypatch.setenv("REC_SOURCES", json.dumps(sources))
    return tmp_path


def materialize(*names):
    return dg.materialize(
        [polled_sources],
        resources={"log": defs.resources["log"]},
        run_config=dg.RunConfig(ops={"polled_sources": Due(names=list(names))}),
        raise_on_error=False,
    )


def test_rows_are_collected_and_one_broken_source_holds_up_no_other(shop):
    assert not materialize().success
    with Log.open(shop / "log") as log:
        assert log.head() == 1
    result = materialize("orders")
    metadata = result.asset_materializations_for_node("polled_sources")[0].metadata
    assert (metadata["records"].value, metadata["refused"].value, metadata["watermark"].value) == (0, 0, 1)
    [failure] = [event for event in materialize("lost").all_events if event.is_step_failure]
    assert "lost: there is no table none; there are orders" in failure.step_failure_data.user_failure_data.description


def test_each_source_is_asked_for_when_its_time_has_come(shop, monkeypatch):
    with dg.DagsterInstance.ephemeral() as instance:
        result = sources_due(dg.build_sensor_context(instance))
        assert result.run_requests[0].run_config["ops"]["polled_sources"]["config"] == {"names": ["lost", "orders"]}
        result = sources_due(dg.build_sensor_context(instance, cursor=result.cursor))
        assert result.run_requests[0].run_config["ops"]["polled_sources"]["config"] == {"names": ["lost"]}
        assert json.loads(result.cursor).keys() == {"lost", "orders"}
        monkeypatch.setenv("REC_SOURCES", "{}")
        assert isinstance(sources_due(dg.build_sensor_context(instance)), dg.SkipReason)

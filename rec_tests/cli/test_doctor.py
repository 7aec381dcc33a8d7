import json
import shutil
import socket

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from rec_assets.cli import doctor as doctoring
from rec_assets.cli import stored
from rec_assets.log import Draft, Log
from rec_assets.registry import Registry
from rec_assets.settings import Settings
from rec_assets.tables import finish, status, warehouse
from rec_assets.tables.write import write


@pytest.fixture
def settings(tmp_path, monkeypatch):
    monkeypatch.setenv("REC_DATA", str(tmp_path))
    for name in ("DAGSTER_HOME", "BENTOML_DO_NOT_TRACK"):
        monkeypatch.delenv(name, raising=False)
    return Settings()


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Three micro-batches: the first two learnt and promoted, the third refused."""
    settings = Settings(data=tmp_path_factory.mktemp("whole"))
    registry = Registry(settings.checkpoints_dir)
    with Log.open(settings.log_dir) as log, warehouse.connect(settings.warehouse_path) as con:
        parent = None
        for start in (0, 2, 4):
            events = [{"user_id": "u", "item_id": f"i{n}", "event": "click"} for n in range(2)]
            log.append([Draft("event", json.dumps(event).encode()) for event in events], "test")
            write(con, log, start, start + 2, settings.kinds, "run")
            arrays = {"encoder": {"item": np.zeros(2, np.float32)}}
            name = registry.write(parent, start, start + 2, arrays, log_id=log.log_id)
            finish.trained(con, start, start + 2, name, {})
            if start == 4:
                registry.refuse(name, "loss rose")
                finish.refused(con, start, start + 2, name, "loss rose")
            else:
                parent = registry.promote(name).id
                finish.promoted(con, start, start + 2, name)
        status.write(settings.status_path, status.build(con, parent, 4, 0))
    return settings.data


@pytest.fixture
def whole(built, settings):
    shutil.copytree(built, settings.data, dirs_exist_ok=True)
    return Registry(settings.checkpoints_dir)


def _problems(settings):
    return {finding.subject: finding for finding in stored.findings(settings) if not finding.ok}


def _change(settings, sql):
    with warehouse.connect(settings.warehouse_path) as con:
        con.execute(sql)


def test_all_is_well(settings, whole):
    assert _problems(settings) == {}
    subjects = [finding.subject for finding in stored.findings(settings)]
    assert {"log", "checkpoints", "promoted", "chain", "each event once", "ledger", "ledger and chain"} <= set(subjects)


def test_a_new_installation_is_well(settings):
    assert _problems(settings) == {}


def test_the_command_prints_a_line_each_and_fails_on_a_problem(settings, whole):
    app = typer.Typer()
    app.command()(doctoring.doctor)
    result = CliRunner().invoke(app)
    assert "log: 6 records, all there" in result.output
    assert "python: 3.11" in result.output
    _change(settings, "update micro_batches set start_offset = 3 where start_offset = 2")
    result = CliRunner().invoke(app)
    assert result.exit_code == 1
    assert "→ rebuild the tables" in result.output


def test_a_harmed_checkpoint(settings, whole):
    path = settings.checkpoints_dir / whole.ids()[0] / "encoder.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    assert "encoder.safetensors" in _problems(settings)["checkpoints"].found


def test_a_promoted_checkpoint_that_is_gone(settings, whole):
    whole.directory.joinpath(whole.promoted()).rename(settings.data / "elsewhere")
    assert "rollback" in _problems(settings)["promoted"].advice


def test_a_log_that_is_older_than_what_was_learnt(settings, whole):
    for path in settings.log_dir.glob("*"):
        path.unlink()
    Log.open(settings.log_dir).close()
    problems = _problems(settings)
    assert "made from log" in problems["tables"].found
    assert "status.json" in problems


@pytest.mark.parametrize(
    ("sql", "subject"),
    [
        ("insert into interactions from interactions limit 1", "each event once"),
        ("delete from interactions where log_offset = 1", "ledger"),
        ("update micro_batches set state = 'skipped' where start_offset = 2", "ledger and chain"),
        ("update micro_batches set state = 'promoted' where start_offset = 4", "ledger and chain"),
        ("alter table users drop column first_at", "tables"),
    ],
)
def test_tables_that_do_not_agree(settings, whole, sql, subject):
    _change(settings, sql)
    assert subject in _problems(settings)


def test_a_promotion_that_the_ledger_misses_is_no_problem(settings, whole):
    _change(settings, "update micro_batches set state = 'stored' where start_offset = 2")
    found = {finding.subject: finding for finding in stored.findings(settings)}["ledger and chain"]
    assert found.ok
    assert "[2, 4)" in found.found


def test_a_status_that_cannot_be_read(settings, whole):
    settings.status_path.write_text("{")
    assert str(settings.status_path) in _problems(settings)["status.json"].advice


def test_a_taken_port_is_named(settings, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        found = list(doctoring.listeners(settings.model_copy(update={"service_port": port})))
    assert not found[0].ok
    assert str(port) in found[0].found
    assert "REC_SERVICE_PORT" in found[0].advice


def test_telemetry_that_is_on_is_told(settings, monkeypatch):
    assert all(finding.ok for finding in doctoring.telemetry(settings))
    monkeypatch.setenv("BENTOML_DO_NOT_TRACK", "1")
    home = settings.data / "dagster"
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry:\n  enabled: true\n")
    assert [finding.ok for finding in doctoring.telemetry(settings)] == [False, False]
    (home / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    assert [finding.ok for finding in doctoring.telemetry(settings)] == [False, True]


def test_packages_are_those_that_are_asked_for():
    [found] = doctoring.packages()
    assert found.ok, found.found


def serve(settings, request_id, checkpoint):
    served = {"request_id": request_id, "checkpoint": checkpoint, "offset": 4, "item_ids": [], "positions": []}
    with Log.open(settings.log_dir) as log:
        log.append([Draft("list", json.dumps(served).encode())], "test")


def origin(settings, request_id=None):
    return {finding.subject: finding for finding in doctoring.origin(settings, request_id)}


def test_a_served_list_leads_to_the_offsets_it_was_learnt_from(settings, whole):
    assert origin(settings)["served list"].found == "none in the log yet"
    first, second = whole.ids()[:2]
    with Log.open(settings.log_dir) as log:
        arrays = {"encoder": {"item": np.zeros(2, np.float32)}}
        skipped = whole.passed_over(log.log_id, 4, 6)
        log.append([Draft("event", b"{}")] * 2, "test")
        third = whole.write(second, 6, 8, arrays, log_id=log.log_id, skipped=skipped)
    for request_id, checkpoint in (("r1", first), ("r2", None), ("r3", third)):
        serve(settings, request_id, checkpoint)
    found = origin(settings)
    assert "r3" in found["served list"].found and third in found["served list"].found
    assert "3 kept links" in found["served list"].found
    assert found["learnt from"].found == "[0, 4); [6, 8)"
    assert found["not learnt from"].found == "[4, 6): refused: loss rose"
    assert origin(settings, "r1")["learnt from"].found == "[0, 2)"
    assert "before anything" in origin(settings, "r2")["served list"].found
    assert not origin(settings, "r9")["served list"].ok
    harmed = settings.checkpoints_dir / third / "encoder.safetensors"
    harmed.write_bytes(harmed.read_bytes()[:-1])
    assert not origin(settings, "r3")["served list"].ok
    shutil.rmtree(harmed.parent)
    assert "retention" in origin(settings, "r3")["served list"].found

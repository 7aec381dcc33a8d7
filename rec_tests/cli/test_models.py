import json

import numpy as np
import pytest
from typer.testing import CliRunner

from rec_assets.cli.models import app
from rec_assets.log import Draft, Log
from rec_assets.registry import Registry
from rec_assets.settings import Settings
from rec_assets.tables import finish, ledger, warehouse, write

ARRAYS = {"encoder": {"item": np.zeros((2, 2), np.float32)}}


@pytest.fixture
def registry(tmp_path, monkeypatch):
    monkeypatch.setenv("REC_DATA", str(tmp_path))
    return Registry(tmp_path / "checkpoints")


def _write(registry, parent, start, end, **manifest):
    return registry.write(parent, start, end, ARRAYS, manifest=manifest, log_id="log")


def _run(*arguments):
    return CliRunner().invoke(app, list(arguments))


def test_an_empty_list_says_so(registry):
    result = _run("list")
    assert result.exit_code == 0
    assert "No checkpoint yet" in result.output


def test_the_list_shows_what_became_of_each(registry):
    first = _write(registry, None, 0, 10, metrics={"online": {"hit@20": 0.25}})
    registry.promote(first)
    registry.pin("frozen", first)
    second = _write(registry, first, 10, 20)
    registry.promote(second)
    third = _write(registry, second, 20, 30)
    registry.refuse(third, "loss rose")
    result = _run("list")
    newest, middle, oldest = result.output.splitlines()[1:]
    assert third in newest and "refused (loss rose)" in newest and "[20, 30)" in newest
    assert second in middle and " promoted" in middle
    assert first in oldest and "was promoted, pinned as frozen" in oldest and "0.250" in oldest
    assert len(_run("list", "--limit", "1").output.splitlines()) == 2


def test_show_prints_the_manifest_and_the_history(registry):
    name = _write(registry, None, 0, 10)
    registry.promote(name)
    result = _run("show", "000001")
    manifest, end = json.JSONDecoder().raw_decode(result.output)
    assert (manifest["id"], manifest["watermark"]) == (name, 10)
    assert f"{name} promoted" in result.output[end:]


def test_promote_and_roll_back(registry):
    first = _write(registry, None, 0, 10)
    assert _run("promote", first).exit_code == 0
    second = _write(registry, first, 10, 20)
    assert "Promoted" in _run("promote", "000002").output
    assert registry.promoted() == second
    result = _run("rollback", "--reason", "worse")
    assert first in result.output
    assert registry.promoted() == first
    assert "rolled back (worse)" in _run("list").output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("show", "000009"), "No checkpoint begins with"),
        (("promote", "00000"), "2 checkpoints begin with"),
        (("promote", "000002"), "builds on 000001"),
        (("rollback",), "nothing to roll back"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(registry, arguments, message):
    first = _write(registry, None, 0, 10)
    _write(registry, first, 10, 20)
    result = _run(*arguments)
    assert result.exit_code == 1
    assert message in result.output
    assert "Traceback" not in result.output


def test_a_harmed_checkpoint_is_named(registry):
    name = _write(registry, None, 0, 10)
    (registry.directory / name / "encoder.safetensors").write_bytes(b"")
    for command in ("show", "promote"):
        result = _run(command, name)
        assert result.exit_code == 1
        assert "encoder.safetensors" in result.output


def test_a_rollback_by_hand_is_in_the_ledger_at_once(registry, tmp_path):
    settings = Settings()
    with Log.open(settings.log_dir) as log, warehouse.connect(settings.warehouse_path) as con:
        parent = None
        for start in (0, 1):
            log.append([Draft("event", b'{"user_id": "u", "item_id": "i", "event": "click"}')], "test")
            write.write(con, log, start, start + 1, settings.kinds, "run")
            name = registry.write(parent, start, start + 1, ARRAYS, log_id=log.log_id)
            finish.trained(con, start, start + 1, name, {})
            parent = registry.promote(name).id
            finish.promoted(con, start, start + 1, name)
    _run("rollback", "--reason", "worse")
    with warehouse.connect(settings.warehouse_path) as con:
        states = [(line.state, line.reason) for line in ledger.lines(con)]
    assert states == [("promoted", None), ("skipped", "rolled back: worse")]

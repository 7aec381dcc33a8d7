import json

import pytest
from chain_stream import SMALL, chain
from typer import Typer
from typer.testing import CliRunner

from rec_assets.cli.train import train
from rec_assets.log import Log
from rec_assets.log.record import Draft
from rec_assets.registry import Registry
from rec_assets.settings import Settings

app = Typer()
app.command()(train)


@pytest.fixture
def settings(tmp_path, monkeypatch):
    monkeypatch.setenv("REC_DATA", str(tmp_path))
    monkeypatch.setenv("REC_BATCH_EVENTS", "100")
    for name in ("embedding_dim", "blocks", "window", "candidates", "per_source", "warmup_passes", "ranker_passes"):
        monkeypatch.setenv(f"REC_TRAIN__{name.upper()}", str(getattr(SMALL, name)))
    with Log.open(tmp_path / "log") as log:
        rows = [{"user_id": u, "item_id": i, "event": "click", "occurred_at": t} for u, i, t in chain(800)]
        log.append([Draft("event", json.dumps(row).encode()) for row in rows], "test")
    return Settings()


def run(*arguments):
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    return result.output


def test_a_range_one_batch_and_the_rest(settings):
    registry = Registry(settings.checkpoints_dir)
    run("--to", "500")
    run()
    assert registry.manifest(registry.promoted()).watermark == 600
    output = run("--to-head")
    manifest = registry.manifest(registry.promoted())
    assert (manifest.watermark, manifest.learnt) == (800, [(0, 800)])
    assert "passed" in output
    assert "Nothing to learn" in run()


def test_a_range_that_was_rolled_back_is_learnt_again(settings):
    registry = Registry(settings.checkpoints_dir)
    run("--to", "500")
    run("--to-head")
    [second, third, _last] = registry.ids()[1:]
    registry.rollback(registry.ids()[0])
    run("--from", "700")
    assert registry.manifest(registry.promoted()).learnt == [(0, 500), (700, 800)]
    run("--range", "600:700")
    manifest = registry.manifest(registry.promoted())
    assert (manifest.learnt, manifest.watermark) == ([(0, 500), (600, 800)], 800)
    assert second not in registry.ancestors(manifest.id) and third not in registry.ancestors(manifest.id)
    for wrong in ("600:700", "450:550", "800:900", "a:b"):
        assert CliRunner().invoke(app, ["--range", wrong]).exit_code != 0
    run("--range", "500:600")
    with Log.open(settings.log_dir) as log:
        row = {"user_id": "u1", "item_id": "i1", "event": "click", "occurred_at": 2e9}
        log.append([Draft("event", json.dumps(row).encode())], "test")
    run("--to-head")
    assert registry.manifest(registry.promoted()).learnt == [(0, 801)]

import json
import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from rec_assets import cli
from rec_assets.log import Draft, Log
from rec_assets.serving.holding import holding, stores
from rec_assets.settings import Settings


@pytest.fixture
def log(tmp_path, monkeypatch):
    monkeypatch.setenv("REC_DATA", str(tmp_path))
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path / "bentoml"))
    with Log.open(Settings().log_dir) as log:
        rows = [{"user_id": user, "item_id": "i", "event": "click"} for user in ("ada", "bob")]
        log.append([Draft("event", json.dumps(row).encode(), user_id=row["user_id"]) for row in rows], "test")
        yield log


def run(*arguments, answer=None):
    return CliRunner().invoke(cli.build("forget"), ["forget", *arguments], input=answer)


def test_it_asks_first(log):
    asked = run("ada", answer="n\n")
    assert asked.exit_code == 1 and "cannot be undone" in asked.output
    assert len(log.find("ada")) == 1


def test_an_unknown_user_gets_an_answer(log):
    told = run("eve", "--yes")
    assert (told.exit_code, log.head()) == (0, 2)
    assert "Nobody here knows user 'eve'" in told.output


def test_the_report_says_what_went_where(log):
    told = run("ada", "--yes", "--json")
    assert told.exit_code == 0, told.output
    report = json.loads(told.stdout.splitlines()[-1])
    assert (report["offset"], report["counts"]["log"], report["still_hold"]) == (2, {"event": 1}, [])
    assert (log.find("ada"), len(log.find("bob"))) == ([], 1)
    assert "Forgotten at offset 3" in run("bob", "--yes").output


def test_without_a_log_it_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("REC_DATA", str(tmp_path / "nothing"))
    told = run("ada", "--yes")
    assert told.exit_code == 1 and "there is no log" in told.output


STORE = """
import sys, bentoml, pyarrow as pa, pyarrow.parquet as pq
from pathlib import Path
from rec_assets.serving.holding import holding, stores
from rec_assets.serving.service import MODEL
for users in (["ada", "bob"], ["bob"]):
    with bentoml.models.create(MODEL) as model:
        (Path(model.path) / "state").mkdir()
        pq.write_table(pa.table({"id": users}), Path(model.path) / "state" / "users.parquet")
there = stores(Path(sys.argv[1]))
print(len(holding("ada", there)), len(holding("bob", there)), len(holding("eve", there)))
"""


def test_models_that_know_the_user_are_listed_once_and_from_any_shell(tmp_path, monkeypatch):
    home = tmp_path / "data" / "bentoml"  # that of `rec serve`
    environment = {**os.environ, "BENTOML_HOME": str(home), "BENTOML_DO_NOT_TRACK": "True"}
    run = [sys.executable, "-c", STORE, str(tmp_path / "data")]
    told = subprocess.run(run, env=environment, capture_output=True, text=True, check=True)
    assert told.stdout.split()[-3:] == ["1", "2", "0"]
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path / "of this shell"))
    found = stores(tmp_path / "data")
    assert found == [tmp_path / "of this shell", home]
    [line] = holding("ada", found)
    tag = line.removeprefix("model ").split(": ")[0]
    assert line == f"model {tag}: BENTOML_HOME={home} bentoml models delete {tag}"

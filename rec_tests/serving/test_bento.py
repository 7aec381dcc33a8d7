import os
import shutil
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import httpx
import pytest
import yaml
from live_service import Server

from rec_assets.cli.serve import environment
from rec_assets.registry import Registry
from rec_assets.serving.engine import Engine
from rec_assets.serving.making import Asked
from rec_assets.serving.messages import Control
from rec_assets.settings import Settings

ROOT = Path(__file__).parents[2]


def bentoml(home, *arguments, settings, cwd=None):
    env = environment(settings, 1) | {"BENTOML_HOME": str(home)}
    run = subprocess.run([sys.executable, "-m", *arguments], env=env, capture_output=True, text=True, cwd=cwd)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout.strip()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_an_exported_bento_serves_its_checkpoint_beside_an_empty_log(trained, tmp_path):
    settings, checkpoint = trained, Registry(trained.checkpoints_dir).promoted()
    engine = Engine(settings)
    engine.warm()
    home, unpacked, empty = tmp_path / "home", tmp_path / "unpacked", Settings(data=tmp_path / "elsewhere")
    tag = bentoml(home, "rec_assets.serving.bento", settings=settings).splitlines()[-1]
    bentoml(home, "bentoml", "export", tag, str(tmp_path / "it.bento"), settings=settings)
    shutil.rmtree(home)
    unpacked.mkdir()
    shutil.unpack_archive(tmp_path / "it.bento", unpacked, "gztar")
    described = yaml.safe_load((unpacked / "bento.yaml").read_text())
    [model] = described["models"]
    assert model["tag"].startswith("rec-checkpoint:")
    assert not model["tag"].endswith("latest")
    assert not list(unpacked.rglob("demo/*")) + list(unpacked.rglob("*.sqlite"))

    os.environ["BENTOML_HOME"] = str(tmp_path / "empty home")
    try:
        arguments = [sys.executable, "-m", "bentoml", "serve", ".", "--host", "127.0.0.1"]
        server = Server(empty, arguments=arguments, cwd=unpacked)
    finally:
        del os.environ["BENTOML_HOME"]
    try:
        server.wait()
        answer = server.recommend(user_id="u1", k=5)
        assert answer["checkpoint"] == checkpoint
        assert answer["offset"] == 0
        for user in ("u1", "u2", "u3"):
            now = server.recommend(user_id=user, k=5)["items"]
            [beside] = engine.recommend([Asked(Control(user_id=user), 5)])
            # The clock went on in between, and features follow it: near ties may have changed places.
            assert len({item["item_id"] for item in now} & set(beside.items)) >= 4
            assert all(item["title"].startswith("Film ") for item in now)
        first = answer["items"][0]["item_id"]
        event = {"user_id": "u1", "item_id": first, "event": "click", "occurred_at": answer["now"] + "Z"}
        assert server.feedback(event).json()["offsets"] == [0]
        after = server.recommend(user_id="u1", k=5)
        assert after["offset"] == 1
        assert first not in [item["item_id"] for item in after["items"]]
        assert httpx.get(f"{server.http.base_url}/").status_code == 200
        time.sleep(1.5)
        assert server.recommend(user_id="u1")["checkpoint"] == checkpoint
    finally:
        server.stop()
        engine.close()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_gpu_variant_names_jax_for_cuda(trained, tmp_path):
    home = tmp_path / "home"
    tag = bentoml(home, "rec_assets.serving.bento", "--gpu", settings=trained).splitlines()[-1]
    folder = home / "bentos" / tag.replace(":", "/")
    assert "jax[cuda12]==0.10.2" in (folder / "env" / "python" / "requirements.txt").read_text()
    described = yaml.safe_load((folder / "bento.yaml").read_text())
    assert described["labels"]["variant"] == "gpu"
    assert described["image"]["base_image"].startswith("python:3.11")
    assert "FROM python:3.11" in (folder / "env" / "docker" / "Dockerfile").read_text()


def test_the_bento_installs_what_the_service_needs():
    described = yaml.safe_load((ROOT / "bentofile.yaml").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = project["dependencies"] + project["optional-dependencies"]["serve"]
    assert sorted(described["python"]["packages"]) == sorted(needed)

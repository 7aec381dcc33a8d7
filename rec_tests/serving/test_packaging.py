"""The files around the bento: compose files by Compose's own schema, versions that must agree, JAX on a GPU."""

import re
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
import yaml

from rec_assets.features.histories import Windows
from rec_assets.settings import TrainConfig
from rec_assets.training.model import Model

ROOT = Path(__file__).parents[2]
COMPOSE = ("docker-compose.yaml", "docker-compose.gpu.yaml")


def composed(name):
    return yaml.safe_load((ROOT / name).read_text())


@pytest.mark.parametrize("name", COMPOSE)
def test_the_loop_in_containers_is_valid_compose(name):
    checked = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(ROOT / name)],
        capture_output=True,
        text=True,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_pipeline_and_service_share_their_data_and_are_published_to_this_machine_alone():
    services = composed("docker-compose.yaml")["services"]
    for name in ("pipeline", "service"):
        assert services[name]["volumes"] == ["data:/data"]
        assert all(port.startswith("127.0.0.1:") for port in services[name]["ports"])
    assert set(composed("docker-compose.gpu.yaml")["services"]) <= set(services)


def test_images_name_the_jax_that_is_locked():
    [locked] = re.findall(r"^jax==([\d.]+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    args = composed("docker-compose.gpu.yaml")["services"]["pipeline"]["build"]["args"]
    assert args["JAX_EXTRA"] == f"jax[cuda12]=={locked}"
    assert args["JAX_EXTRA"] in (ROOT / "Dockerfile").read_text()
    assert f'"jax=={locked}"' in (ROOT / "bentofile.yaml").read_text()


def test_what_the_pipelines_image_copies_is_there():
    for line in (ROOT / "Dockerfile").read_text().splitlines():
        if line.startswith("COPY "):
            assert all((ROOT / source).exists() for source in line.split()[1:-1]), line


def test_the_encoder_gives_the_same_logits_on_a_gpu():
    try:
        gpu = jax.devices("gpu")[0]
    except RuntimeError as error:
        pytest.skip(f"JAX finds no GPU here: {error}")
    config = TrainConfig(embedding_dim=16, blocks=1, heads=2, window=8)
    items, times, tags = np.array([[-1, -1, 3, 1, 4, 1, 5, 9]], np.int32), np.arange(8.0)[None], np.full((1, 8), 65)
    window = Windows(items, times, tags.astype(np.int16), np.full(1, 9.0))
    with jax.default_device(jax.devices("cpu")[0]):
        on_cpu = np.asarray(Model(config).logits(window, 10))
    with jax.default_device(gpu):
        on_gpu = np.asarray(Model(config).logits(window, 10))
    np.testing.assert_allclose(on_gpu, on_cpu, rtol=1e-3, atol=1e-3)

import socket
import subprocess
import sys

import pytest

from rec_assets.cli.serve import command, environment, listening
from rec_assets.settings import Settings


@pytest.fixture
def taken():
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        yield holder.getsockname()[1]


def test_a_taken_port_is_named(taken):
    assert "in use" in listening("127.0.0.1", taken)
    program = "import typer; from rec_assets.cli.serve import serve; typer.run(serve)"
    run = subprocess.run([sys.executable, "-c", program, "--port", str(taken)], capture_output=True, text=True)
    assert run.returncode == 1
    assert f"127.0.0.1:{taken}" in run.stderr
    assert "--port" in run.stderr
    assert "Traceback" not in run.stderr


def test_the_environment_is_lean(tmp_path):
    lean = environment(Settings(data=tmp_path), workers=3)
    assert lean["BENTOML_DO_NOT_TRACK"] == "True"
    assert lean["OPENBLAS_NUM_THREADS"] == lean["OMP_NUM_THREADS"] == "1"
    assert lean["REC_WORKERS"] == "3"
    assert command("127.0.0.1", 3000)[:3] == [sys.executable, "-m", "bentoml"]


def test_the_service_needs_neither_dagster_nor_duckdb():
    program = (
        "import sys; sys.modules.update(dict.fromkeys(['dagster', 'duckdb', 'matplotlib'])); "
        "import rec_assets.serving.service, rec_assets.cli.serve; print('fine')"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert run.stdout.strip() == "fine", run.stderr

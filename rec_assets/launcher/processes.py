"""The processes of a running Dagster, code server, webserver, daemon and warm worker; and those that follow sources."""

import json
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from rec_assets import durable
from rec_assets.launcher import channel, home
from rec_assets.launcher.supervisor import Child
from rec_assets.settings import Settings
from rec_assets.sources.configured import streams

MODULE = "rec_assets.definitions"
LOCATION = "rec_assets"  # the name that sensors' and schedules' states hang on, also in workspace.yaml

NICE = 5  # whoever waits for a list goes before whoever trains


def dagster(settings: Settings, port: int, worker: bool = True) -> list[Child]:
    """What to supervise for a whole Dagster whose pages are on settings.host:port; prepares DAGSTER_HOME.

    Without `worker` everything works too, only slower.
    """
    prepared = home.prepare(settings.data / "dagster")
    code_port = _free_port()
    workspace = prepared / "workspace.yaml"
    # JSON is YAML too.
    server = {"host": "127.0.0.1", "port": code_port, "location_name": LOCATION}
    durable.replace(workspace, json.dumps({"load_from": [{"grpc_server": server}]}).encode())
    env = {
        "DAGSTER_HOME": str(prepared),
        "DAGSTER_DISABLE_TELEMETRY": "1",
        "OPENBLAS_NUM_THREADS": "1",  # a second thread on busy cores makes small products slower, not faster
        "REC_DATA": str(settings.data.absolute()),
    }
    python = [sys.executable, "-m"]
    serve = ["dagster", "api", "grpc", "--module-name", MODULE, "--host", "127.0.0.1", "--port", str(code_port)]
    # The entry point makes clients start runs with this Python, whatever `dagster` is on the PATH.
    serve += ["--location-name", LOCATION, "--use-python-environment-entry-point"]
    pages = ["dagster_webserver", "--workspace", str(workspace), "--host", settings.host, "--port", str(port)]
    children = [
        Child("code-server", [*python, *serve], env, ready=lambda: _listens("127.0.0.1", code_port), nice=NICE),
        Child("worker", [*python, "rec_assets.launcher.worker"], env, ready=lambda: worker_ready(prepared), nice=NICE),
        Child(
            "daemon", [*python, "rec_assets.launcher.daemon", "--workspace", str(workspace)], env, after="code-server"
        ),
        Child("webserver", [*python, *pages], env, ready=lambda: _answers(settings.host, port), after="code-server"),
    ]
    return [child for child in children if worker or child.name != "worker"]


def collectors(settings: Settings, names: Sequence[str] | None = None) -> list[Child]:
    """One process per source to follow, by default all streams of rec.toml: none where it names none."""
    command = [sys.executable, "-c", "from rec_assets.cli import app; app()", "collect", "--here"]
    env = {"REC_DATA": str(settings.data.absolute())}
    followed = streams(settings) if names is None else names
    return [Child(f"collect-{name}", [*command, name], env) for name in followed]


def worker_ready(prepared: Path) -> bool:
    """Whether the worker of this DAGSTER_HOME has warmed up."""
    try:
        return bool(channel.ask(prepared, {"ask": "hello"}, timeout=0.5)["ready"])
    except (channel.NoWorker, TimeoutError):
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _listens(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex((host, port)) == 0


def _answers(host: str, port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://{host}:{port}/server_info", timeout=1.0) as reply:
            return bool(reply.status == 200)
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return False

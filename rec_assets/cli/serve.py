"""`rec serve`: the recommender service with lean settings, in the foreground."""

import os
import socket
import sys
from typing import Annotated

import typer

from rec_assets.settings import Settings

SERVICE = "rec_assets.serving.service:Recommender"
GRACE_SECONDS = 5  # for requests in flight when the service is told to stop
# Read by numpy's BLAS when it is loaded: a second thread on busy cores turns a product of 0.1 ms into 12.
THREADS = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def environment(settings: Settings, workers: int) -> dict[str, str]:
    """The environment of the service's processes. What is set already stays."""
    lean = {
        **THREADS,
        "BENTOML_DO_NOT_TRACK": "True",  # "1" does not stop the usage reports
        "BENTOML_HOME": str((settings.data / "bentoml").absolute()),
    }
    return {**lean, **os.environ, "REC_DATA": str(settings.data), "REC_WORKERS": str(workers)}


def command(host: str, port: int) -> list[str]:
    """What runs in place of this process, so that signals reach it."""
    options = ["--host", host, "--port", str(port), "--timeout-graceful-shutdown", str(GRACE_SECONDS)]
    return [sys.executable, "-m", "bentoml", "serve", SERVICE, *options]


def listening(host: str, port: int) -> str | None:
    """Why nothing can listen on host:port, or None where it can."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return error.strerror or str(error)
    return None


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on; this machine alone by default.")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Port to listen on.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, max=64, help="Processes that answer.")] = None,
) -> None:
    """Serve lists, take feedback, show the page. Ctrl-C stops it."""
    settings = Settings()
    host, port, workers = host or settings.host, port or settings.service_port, workers or settings.workers
    if (reason := listening(host, port)) is not None:
        typer.echo(
            f"Cannot listen on {host}:{port}: {reason}. Choose another with --port or REC_SERVICE_PORT.", err=True
        )
        raise typer.Exit(1)
    settings.data.mkdir(parents=True, exist_ok=True)
    typer.echo(f"Page and API: http://{host}:{port}/  (ready when /readyz answers 200)")
    sys.stdout.flush()
    os.execve(sys.executable, command(host, port), environment(settings, workers))  # noqa: S606

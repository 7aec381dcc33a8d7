"""The whole loop as processes under one supervisor: Dagster and the service. Demo, benches and kill tests use it."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import httpx

from rec_assets.cli import serve
from rec_assets.launcher.processes import collectors, dagster
from rec_assets.launcher.supervisor import Child, Supervisor
from rec_assets.log import Log
from rec_assets.ports import find_free
from rec_assets.settings import Settings
from rec_assets.tables import status

READY_SECONDS = 240.0
POLL_SECONDS = 0.1


@dataclass
class Loop:
    """A running loop. `say` gets a line for people whenever something they should know happens."""

    settings: Settings
    service_url: str
    dagster_url: str
    supervisor: Supervisor

    @classmethod
    def prepare(cls, settings: Settings, say: Callable[[str], None]) -> "Loop":
        """Find ports and name the processes; nothing runs yet."""
        settings.data.mkdir(parents=True, exist_ok=True)
        service_port, taken = find_free(settings.host, settings.service_port)
        dagster_port, also_taken = find_free(settings.host, settings.dagster_port)
        for note in filter(None, (taken, also_taken)):
            say(note)
        url = f"http://{settings.host}:{service_port}"
        service = Child(
            "service",
            [*serve.command(settings.host, service_port)],
            serve.environment(settings, settings.workers),
            ready=lambda: answers(url + "/readyz"),
        )
        children = [*dagster(settings, dagster_port), service, *collectors(settings)]
        supervisor = Supervisor(children, settings.data.absolute() / "logs")
        return cls(settings, url, f"http://{settings.host}:{dagster_port}", supervisor)

    def start(self) -> None:
        """Start everything and wait until all of it is ready; raises NotReady, which names the process and its log."""
        self.supervisor.start()
        self.supervisor.wait_ready(READY_SECONDS)

    def wait_learnt(self, timeout: float) -> status.Status:
        """Wait until every event that the log has now is in a settled micro-batch; raises TimeoutError."""
        deadline = time.monotonic() + timeout
        with Log.open(self.settings.log_dir) as log:
            end = log.head()
            while time.monotonic() < deadline:
                now = status.read(self.settings.status_path)
                # Served lists at the log's end wait for the next event: they ask for no micro-batch.
                if now is not None and not now.open and log.count_events(now.end, end) == 0:
                    return now
                time.sleep(POLL_SECONDS)
        raise TimeoutError(f"offset {end} was not learnt from within {timeout:.0f} s: see {self.supervisor.logs}")

    def wait_first_checkpoint(self, timeout: float) -> status.Status:
        """Wait until a checkpoint is promoted and stands in status.json; raises TimeoutError."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            now = status.read(self.settings.status_path)
            if now is not None and now.checkpoint is not None:
                return now
            time.sleep(POLL_SECONDS)
        raise TimeoutError(f"no checkpoint was promoted within {timeout:.0f} s: see {self.supervisor.logs}")

    def open_log(self) -> Log:
        """A reader of the log, for the thread that asks."""
        return Log.open(self.settings.log_dir)


def answers(url: str) -> bool:
    """Whether a GET is answered with 200."""
    try:
        return httpx.get(url, timeout=2.0).status_code == 200
    except httpx.HTTPError:
        return False

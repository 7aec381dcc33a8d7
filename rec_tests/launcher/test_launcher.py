"""The contract with Dagster's private parts: a job runs through launcher and worker, and every death is survived."""

import logging
import os
import signal
import sys
import time
from pathlib import Path
from typing import NamedTuple

import dagster as dg
import pytest
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import ModuleTarget
from dagster._daemon.monitoring.run_monitoring import execute_run_monitoring_iteration

from rec_assets.launcher import channel, home
from rec_assets.launcher.processes import worker_ready
from rec_assets.launcher.supervisor import Child, Supervisor
from rec_tests.launcher import waiting_job

ROOT = Path(__file__).parents[2]
MODULE = "rec_tests.launcher.waiting_job"


class Dagster(NamedTuple):
    home: Path
    instance: dg.DagsterInstance
    workspace: WorkspaceProcessContext

    def launch(self, seconds: float = 0.0) -> str:
        """Ask for a run as the daemon does."""
        context = self.workspace.create_request_context()
        [entry] = context.get_code_location_entries().values()
        [repository] = entry.code_location.get_repositories().values()
        remote = repository.get_full_job("waiting")
        run = self.instance.create_run_for_job(
            waiting_job.waiting,
            run_config={"ops": {"wait": {"config": {"seconds": seconds}}}},
            tags=dict(waiting_job.waiting.tags),
            remote_job_origin=remote.get_remote_origin(),
            job_code_origin=remote.get_python_origin(),
        )
        return self.instance.launch_run(run.run_id, context).run_id

    def run(self, run_id: str) -> dg.DagsterRun:
        run = self.instance.get_run_by_id(run_id)
        assert run is not None
        return run

    def wait(self, run_id: str, *statuses: str, seconds: float = 30.0) -> dg.DagsterRun:
        deadline = time.monotonic() + seconds
        while self.run(run_id).status.value not in statuses:
            assert time.monotonic() < deadline, self.run(run_id).status
            time.sleep(0.02)
        return self.run(run_id)

    def worker(self) -> dict:
        deadline = time.monotonic() + 60
        while not worker_ready(self.home):
            assert time.monotonic() < deadline, "no worker"
            time.sleep(0.05)
        return channel.ask(self.home, {"ask": "hello"})

    def monitor(self) -> None:
        """One round of the daemon's monitoring."""
        assert not [error for error in execute_run_monitoring_iteration(self.workspace, logging.getLogger()) if error]


def worker_child(prepared: Path, *arguments: str) -> Child:
    argv = [sys.executable, "-m", "rec_assets.launcher.worker", "--module", MODULE, "--warm-up", f"{MODULE}:warm_up"]
    env = {"DAGSTER_HOME": str(prepared), "PYTHONPATH": str(ROOT)}
    return Child("worker", [*argv, *arguments], env, ready=lambda: worker_ready(prepared))


@pytest.fixture(scope="module")
def dagster(tmp_path_factory):
    prepared = home.prepare(tmp_path_factory.mktemp("home"))
    with pytest.MonkeyPatch.context() as patch, home.instance(prepared) as instance:
        patch.setenv("PYTHONPATH", str(ROOT))
        target = ModuleTarget(MODULE, attribute=None, working_directory=str(ROOT), location_name="rec_assets")
        with WorkspaceProcessContext(instance, target) as workspace:
            yield Dagster(prepared, instance, workspace)
    os.environ.pop("DAGSTER_HOME")


def test_without_a_worker_a_run_starts_cold(dagster):
    run = dagster.wait(dagster.launch(seconds=1.0), "STARTED")
    dagster.monitor()  # the code server knows the run
    run = dagster.wait(run.run_id, "SUCCESS", "FAILURE")
    assert run.status.value == "SUCCESS"
    assert int(run.tags["pid"]) != os.getpid()
    assert not run.tags.get(channel.WORKER_TAG)


def test_runs_go_through_the_worker_and_survive_its_death(dagster, tmp_path):
    with Supervisor([worker_child(dagster.home)], tmp_path) as supervisor:
        supervisor.wait_ready(60)
        pid = dagster.worker()["pid"]

        # Warm: in the worker, and a busy one queues.
        first, second = dagster.launch(seconds=0.3), dagster.launch()
        assert {int(dagster.wait(each, "SUCCESS").tags["pid"]) for each in (first, second)} == {pid}

        # Asked to stop: that run alone.
        stopped, waiting = dagster.launch(seconds=60), dagster.launch(seconds=60)
        dagster.wait(stopped, "STARTED")
        for each in (waiting, stopped):
            assert dagster.instance.run_launcher.terminate(each)
        for each in (waiting, stopped):
            dagster.wait(each, "CANCELED")
        assert dagster.worker()["pid"] == pid

        # Killed: the run that it had begun is marked as failed, the one that waited is taken over by its successor.
        killed, handed = dagster.launch(seconds=60), dagster.launch()
        dagster.wait(killed, "STARTED")
        dagster.monitor()
        assert dagster.run(killed).status.value == "STARTED"
        os.kill(pid, signal.SIGKILL)
        while supervisor.status()["worker"].pid == pid:
            time.sleep(0.02)
        dagster.monitor()
        assert dagster.run(killed).status.value == "FAILURE"
        assert int(dagster.wait(handed, "SUCCESS").tags["pid"]) == dagster.worker()["pid"] != pid

        # A retry copies the tags of the failed run; they say nothing of the retry.
        copied = dagster.run(killed).tags[channel.WORKER_TAG]
        retry = dagster.launch(seconds=0.5)
        dagster.wait(retry, "STARTED")
        dagster.instance.add_run_tags(retry, {channel.WORKER_TAG: copied})
        dagster.monitor()
        assert dagster.wait(retry, "SUCCESS", "FAILURE").status.value == "SUCCESS"
    assert not channel.address(dagster.home).exists() or not worker_ready(dagster.home)


def test_a_worker_that_is_used_up_replaces_itself_and_loses_no_run(dagster, tmp_path):
    with Supervisor([worker_child(dagster.home, "--runs", "1")], tmp_path) as supervisor:
        supervisor.wait_ready(60)
        before = dagster.worker()
        runs = [dagster.launch() for _ in range(3)]
        assert {dagster.wait(each, "SUCCESS").tags["pid"] for each in runs} == {str(before["pid"])}
        assert dagster.worker()["worker"] != before["worker"]
        assert supervisor.status()["worker"].starts == 1


def test_a_boot_that_does_not_end_keeps_no_run_waiting(dagster, tmp_path):
    (dagster.home / "worker.booting").touch()  # as the former one left it when it was killed
    with Supervisor([worker_child(dagster.home)], tmp_path) as supervisor:
        deadline = time.monotonic() + 10
        answer: dict = {}
        while not answer and time.monotonic() < deadline:
            try:
                answer = channel.ask(dagster.home, {"ask": "hello"})
            except channel.NoWorker:
                time.sleep(0.01)
        assert not answer["accepts"]
        assert not channel.ask(dagster.home, {"ask": "take", "run": "some"})["taken"]
        supervisor.wait_ready(60)
        assert dagster.worker()["accepts"]
        assert not (dagster.home / "worker.booting").exists()

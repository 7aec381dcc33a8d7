"""The launcher's side: a run goes to the warm worker, and to a process of its own where there is no worker."""

from pathlib import Path

import dagster as dg
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.launcher.base import CheckRunHealthResult, LaunchRunContext, WorkerStatus
from dagster._core.launcher.default_run_launcher import DefaultRunLauncher
from dagster._grpc.types import CanCancelExecutionRequest, CanCancelExecutionResult
from dagster._serdes import deserialize_value

from rec_assets.launcher.channel import WARM_TAG, WORKER_TAG, NoWorker, ask

HANDOVER_SECONDS = 20.0  # a worker that compiles may not answer for a while; that is no reason to start another process


class WarmRunLauncher(DefaultRunLauncher):
    """Named in dagster.yaml. Runs tagged rec/warm go to the worker, all others and all without a worker start cold."""

    @property
    def home(self) -> Path:
        """DAGSTER_HOME, which also says where the worker listens."""
        return Path(self._instance.root_directory)

    def launch_run(self, context: LaunchRunContext) -> None:
        """Hand the run over; a busy worker queues it."""
        run = context.dagster_run
        if run.tags.get(WARM_TAG) != "true" or not self._hand_over(run.run_id):
            super().launch_run(context)

    def _hand_over(self, run_id: str) -> bool:
        try:
            worker = ask(self.home, {"ask": "hello"}, HANDOVER_SECONDS)
            if not worker["accepts"]:
                return False
            # The tag first: written after the worker has begun, it could overwrite what the run has become.
            self._instance.add_run_tags(run_id, {WORKER_TAG: f"{run_id}:{worker['worker']}"})
            return bool(ask(self.home, {"ask": "take", "run": run_id}, HANDOVER_SECONDS)["taken"]) or self._untag(
                run_id
            )
        except NoWorker:
            return self._untag(run_id)
        except TimeoutError as error:
            # It may have taken the run. It begins none that is marked as failed, so this cannot run it twice.
            raise TimeoutError(f"the worker did not answer within {HANDOVER_SECONDS:.0f} s") from error

    def _untag(self, run_id: str) -> bool:
        # Else the health check would look for the cold run in a worker.
        self._instance.add_run_tags(run_id, {WORKER_TAG: ""})
        return False

    def terminate(self, run_id: str) -> bool:
        """Interrupt the run, or take it out of the worker's queue; False where it was over already."""
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished or not self._is_warm(run):
            return bool(super().terminate(run_id))  # type: ignore[no-untyped-call]
        self._instance.report_run_canceling(run)
        try:
            return bool(ask(self.home, {"ask": "stop", "run": run_id}, HANDOVER_SECONDS)["stopped"])
        except NoWorker:
            return False

    @property
    def supports_check_run_worker_health(self) -> bool:
        """So that the run of a killed worker is marked as failed within seconds."""
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Whether somebody still works on a run that has started."""
        return self._warm_health(run) if self._is_warm(run) else self._cold_health(run)

    def _is_warm(self, run: dg.DagsterRun) -> bool:
        return run.tags.get(WORKER_TAG, "").startswith(f"{run.run_id}:")

    def _warm_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        try:
            worker = ask(self.home, {"ask": "hello"})
        except NoWorker as error:
            return CheckRunHealthResult(WorkerStatus.FAILED, str(error))
        except TimeoutError:
            return CheckRunHealthResult(WorkerStatus.RUNNING, "the worker lives, but is too busy to answer")
        if run.run_id in worker["runs"]:
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(WorkerStatus.NOT_FOUND, f"worker {worker['worker']} does not have the run")

    def _cold_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        client = self._get_grpc_client_for_termination(run.run_id)  # type: ignore[no-untyped-call]
        if client is None:  # started by hand in a process that nobody can ask
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        question = CanCancelExecutionRequest(run_id=run.run_id)
        try:
            reply = deserialize_value(client.can_cancel_execution(question, timeout=5), CanCancelExecutionResult)
        except DagsterUserCodeUnreachableError as error:
            if "timed out" in str(error):
                return CheckRunHealthResult(WorkerStatus.RUNNING, "the code server is too busy to answer")
            return CheckRunHealthResult(WorkerStatus.FAILED, f"the code server that started the run is gone: {error}")
        if reply.can_cancel:
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(WorkerStatus.NOT_FOUND, "the code server does not have the run")

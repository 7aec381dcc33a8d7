"""What the launcher's contract test runs: a job that says which process it ran in, and can be made to wait."""

import os
import time

import dagster as dg


class Wait(dg.Config):
    seconds: float = 0.0


@dg.op
def wait(context: dg.OpExecutionContext, config: Wait) -> None:
    context.instance.add_run_tags(context.run_id, {"pid": str(os.getpid())})
    deadline = time.monotonic() + config.seconds
    while time.monotonic() < deadline:
        time.sleep(0.02)


@dg.job(tags={"rec/warm": "true"}, executor_def=dg.in_process_executor)
def waiting():
    wait()


def warm_up() -> None:
    """The worker calls it before it is ready."""


defs = dg.Definitions(jobs=[waiting])

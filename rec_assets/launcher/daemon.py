"""dagster-daemon with a shorter pause between two rounds of its sensors.

The pause is a constant of 5 s in Dagster: the least time from one micro-batch to the next, where a run takes one or two
seconds. With the stock daemon everything works too, only slower.
"""

import sys

from dagster._daemon import sensor
from dagster._daemon.cli import run_command

PAUSE_SECONDS = 1  # the sensor waits inside its tick, so this is no polling


def main() -> None:
    """Run the daemon with the arguments of `dagster-daemon run`."""
    assert hasattr(sensor, "MIN_INTERVAL_LOOP_TIME"), "Dagster's sensor daemon has changed"
    sensor.MIN_INTERVAL_LOOP_TIME = PAUSE_SECONDS
    run_command(sys.argv[1:])


if __name__ == "__main__":
    main()

"""Odd requests to every address of the API, until they are many: no 5xx, no hang, no growth of memory.

First schemathesis, which makes its own from the OpenAPI document and compares each answer with what the document says;
then those of rec_tests/serving/fuzzing.py, in whose bodies pieces are cut out, doubled and replaced. What is stored
makes a worker larger as it should, so memory is looked at over the second half, when the odd users and items are known.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import environment
import hosting
import httpx
import synthetic
from bars import Bar, at_least, at_most, write

sys.path.append(str(environment.ROOT / "rec_tests" / "serving"))

import fuzzing
from live_service import fill, settings_in

from rec_assets.serving import keys

NAMES = ("schemathesis", "bodies")
GROWTH_MIB = 8.0  # over the second half of the bodies
# A refusal may also be a 413: too many events are too large a request.
CONFIG = """
[checks]
negative_data_rejection.expected-statuses = ["400", "401", "403", "404", "405", "413", "422", "429"]
"""
# The stream of events never ends. What a schema cannot say is refused though the schema has it: the words of a filter,
# a time that is too far off, control characters.
NOT_ASKED = ["--exclude-path", fuzzing.STREAM, "--exclude-checks", "positive_data_acceptance"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", nargs="*", choices=NAMES, default=list(NAMES))
    parser.add_argument("--examples", type=int, default=320, help="that schemathesis makes up for each operation")
    parser.add_argument("--bodies", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    wanted = parser.parse_args()
    bars: list[Bar] = []
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        settings = settings_in(Path(folder))
        fill(settings).close()
        with hosting.service(settings, 1) as port:
            [pid] = hosting.pids(port, 1)
            key = keys.add(settings.keys_path, "all", ["read", "feedback", "admin"], None)
            while httpx.get(f"http://127.0.0.1:{port}/status").status_code != 401:  # until the key counts
                time.sleep(0.1)
            if "schemathesis" in wanted.parts:
                figures["schemathesis"], met = generated(port, key, Path(folder), wanted.examples, wanted.seed)
                bars += met
            if "bodies" in wanted.parts:
                figures["bodies"], met = torn(port, key, pid, wanted.bodies, wanted.seed)
                bars += met
        output = (settings.data / "service.txt").read_text()
    bars.append(at_most("tracebacks in the service's log", output.count("Traceback"), 0))
    if "Traceback" in output:
        print(output[output.index("Traceback") - 500 :][:5_000])
    write("fuzz", bars, **figures)


def generated(port: int, key: str, folder: Path, examples: int, seed: int) -> tuple[dict[str, Any], list[Bar]]:
    """What schemathesis makes of the document."""
    url, report = f"http://127.0.0.1:{port}", folder / "schemathesis.json"
    command = [
        sys.executable, "-m", "schemathesis.cli", "run", f"{url}/openapi.json",
        "--header", f"Authorization: Bearer {key}",
        "--phases", "examples,coverage,fuzzing", "--max-examples", str(examples), "--seed", str(seed), *NOT_ASKED,
        "--request-timeout", str(fuzzing.SECONDS), "--no-shrink", "--continue-on-failure", "--no-color",
        "--suppress-health-check", "all", "--generation-database", "none", "--report-json-path", str(report),
    ]  # fmt: skip
    (folder / "schemathesis.toml").write_text(CONFIG)
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    for line in [*run.stdout.splitlines(), *run.stderr.splitlines()]:
        print(line[:400], flush=True)
    told: dict[str, Any] = json.loads(report.read_text())
    cases, operations = told["test_cases"], told["operations"]
    bars = [
        at_least("cases of schemathesis", cases["generated"], 5_000),
        at_least("operations tested", operations["tested"], operations["selected"]),
        at_most("cases that broke a promise of the document", cases["with_failures"] + cases["errored"], 0),
    ]
    return {name: told[name] for name in ("test_cases", "operations", "failures", "errors", "running_time")}, bars


def torn(port: int, key: str, pid: int, number: int, seed: int) -> tuple[dict[str, Any], list[Bar]]:
    """Bodies that are nearly right, and far from it."""
    memory = [synthetic.resident(pid)["rss"]]
    found = fuzzing.Found()
    for part in range(4):
        asked = fuzzing.requests(seed + part, number // 4)
        found.add(fuzzing.send(f"http://127.0.0.1:{port}", key, asked))
        memory.append(synthetic.resident(pid)["rss"])
        print(f"{sum(found.statuses.values())} sent, {memory[-1]:.0f} MiB", flush=True)
    for asked_, wrong in found.wrong[:20]:
        print(asked_.method, asked_.url[:200], asked_.body[:300], wrong)
    sent = sum(found.statuses.values())
    bars = [
        at_least("bodies", sent, 20_000),
        at_most("bodies answered wrongly: a 5xx, a hang, a refusal without a reason", len(found.wrong), 0),
        at_most("slowest answer", found.slowest, fuzzing.SECONDS, "s"),
        at_most("growth of the worker over the second half", memory[4] - memory[2], GROWTH_MIB, "MiB"),
    ]
    return {"statuses": dict(sorted(found.statuses.items())), "memory_mib": memory}, bars


if __name__ == "__main__":
    main()

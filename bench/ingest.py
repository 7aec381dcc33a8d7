"""What bringing events in costs: bulk files, micro-batches in small and large tables, the feedback endpoint; kills."""

import argparse
import asyncio
import contextlib
import itertools
import json
import multiprocessing
import os
import random
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent import futures
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import duckdb
import hosting
import httpx
from bars import at_least, at_most, write
from rich.console import Console

from rec_assets import datasets
from rec_assets.cli import serve
from rec_assets.demo.loop import answers
from rec_assets.launcher.supervisor import Child, Supervisor
from rec_assets.log import Draft, Log
from rec_assets.settings import KINDS, Settings
from rec_assets.sources.files import collect_landed
from rec_assets.tables import warehouse
from rec_assets.tables import write as writing

BATCH, BATCHES = 2_000, 15
RATE = 5  # events/s of the stream in the tables, so that both have the same number of rows in a rule's window
BEGAN = 1_700_000_000
CLIENTS = 50
PARTS = ["bulk", "memory", "micro", "feedback", "kills"]
TIMES = 3  # that the bulk file and DuckDB alone take turns; medians are compared
KILLS = Path(__file__).parents[1] / "rec_tests" / "sources" / "test_kills.py"
ALONE = """
create table alone as
select * exclude copy from (
  select
    cast("user" as varchar) as user_id, cast(item as varchar) as item_id, event, cast(value as double) as value,
    make_timestamp(ts * 1000000) as occurred_at, row_number() over (partition by "user", item, event, ts) as copy
  from read_parquet($path)
) where copy = 1 order by occurred_at, user_id, item_id
"""
STORED = """
insert into interactions by name select
  -1 - range as log_offset, 'bench' as source, 'old' || range as event_id, 'u' || hash(range) % 50000 as user_id,
  'i' || hash(range + 1) % 20000 as item_id, 'click' as event, 1.0 as weight, true as target,
  false as value_filled, false as occurred_at_filled, 0 as hour, 1 as weekday,
  make_timestamp($began - range * 1000000 // $rate) as occurred_at, occurred_at as received_at
from range($rows)
"""


def apart(work: Callable[..., Any], *arguments: Any) -> Any:
    """Run it in a process of its own, so that its peak memory is its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(work, arguments)


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def copies(events: Path, target: Path, rows: int) -> None:
    """`rows` events of the data set, again with other users where it has fewer."""
    with duckdb.connect() as con:
        [(there,)] = con.execute("select count(*) from read_parquet($path)", {"path": str(events)}).fetchall()
        times = -(-rows // there)
        con.execute(
            """create table t as select "user" || '-' || n as "user", item, ts, event, value
               from read_parquet($path), range($times) as copies(n) limit $rows""",
            {"path": str(events), "times": times, "rows": rows},
        )
        con.execute(f"copy t to '{target}' (format parquet)")


def alone(path: Path) -> dict[str, float]:
    """DuckDB alone copies, casts, sorts and dedups the file."""
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder, duckdb.connect(str(Path(folder, "alone.duckdb"))) as con:
        con.execute(ALONE, {"path": str(path)})
    return {"seconds": time.perf_counter() - began, "peak_mib": peak_mib()}


def bulk(path: Path) -> dict[str, float]:
    """The file through landing, log and tables."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data=Path(folder))
        settings.landing_dir.mkdir(parents=True)
        os.link(path, settings.landing_dir / path.name)
        began = time.perf_counter()
        with Log.open(settings.log_dir) as log, warehouse.connect(settings.warehouse_path) as con:
            [taken] = collect_landed(settings, log)
            stored = time.perf_counter()
            counts = writing.write(con, log, 0, log.head(), settings.kinds, "bench")
        seconds = time.perf_counter() - began
        assert counts.interactions == taken.records, (counts, taken)
        return {
            "seconds": seconds, "to_log": stored - began, "to_tables": began + seconds - stored, "peak_mib": peak_mib()
        }  # fmt: skip


def micro_batches(rows: int) -> dict[str, float]:
    """Median seconds of a micro-batch from log to finished interactions, in a table that holds `rows` already."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Log.open(Path(folder, "log")) as log,
        warehouse.connect(Path(folder, "w.duckdb")) as con,
    ):
        # Older rows have offsets below 0: the log holds the new ones alone.
        con.execute(STORED, {"rows": rows, "began": BEGAN * 1_000_000, "rate": RATE})
        con.execute("insert into users (user_id) select distinct user_id from interactions")
        con.execute("insert into items (item_id) select distinct item_id from interactions")
        con.execute("checkpoint")
        seconds, cpu = [], []
        for number in range(BATCHES):
            start = number * BATCH
            drafts = []
            for n in range(start, start + BATCH):
                event = {
                    "user_id": f"u{n * 7919 % 50_000}", "item_id": f"i{n * 104_729 % 20_000}", "event": "click",
                    "occurred_at": BEGAN + n / RATE,
                }  # fmt: skip
                drafts.append(Draft("event", json.dumps(event).encode(), f"new{n}"))
            log.append(drafts, "bench")
            began, used = time.perf_counter(), time.process_time()
            writing.write(con, log, start, start + BATCH, KINDS, "bench")
            seconds.append(time.perf_counter() - began)
            cpu.append(time.process_time() - used)
        median, used = statistics.median(seconds), statistics.median(cpu)
        return {"median": median, "cpu": used, "longest": max(seconds), "peak_mib": peak_mib()}


async def posts(port: int, path: str, bodies: list[bytes], seconds: float) -> float:
    """Answers per second to CLIENTS keep-alive connections that each send the next body at once."""
    deadline, next_body, answered = time.perf_counter() + seconds, itertools.cycle(bodies), 0

    async def client(number: int) -> None:
        nonlocal answered
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for sent in itertools.count():
            if time.perf_counter() >= deadline:
                break
            body = next(next_body).replace(b"NUMBER", b"%d-%d-%d" % (number, sent, port + int(deadline)))
            method = b"POST" if body else b"GET"
            head = b"%b %b HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
            writer.write(head % (method, path.encode(), len(body)) + body)
            answer = await reader.readuntil(b"\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 200"), answer
            length = next(line for line in answer.lower().split(b"\r\n") if line.startswith(b"content-length"))
            await reader.readexactly(int(length.split(b":")[1]))
            answered += 1
        writer.close()

    began = time.perf_counter()
    await asyncio.gather(*(client(number) for number in range(CLIENTS)))
    return answered / (time.perf_counter() - began)


def feedback(seconds: float) -> dict[str, float]:
    """Durable posts/s, events/s in posts of 100, and what an empty endpoint of the same service answers per second."""
    one = {"event_id": "NUMBER", "user_id": "u", "item_id": "i", "event": "click"}
    hundred = [one | {"event_id": f"NUMBER-{n}"} for n in range(100)]
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data=Path(folder))
        port = hosting.free_port()
        url = f"http://{settings.host}:{port}"
        service = Child(
            "service", [*serve.command(settings.host, port)], serve.environment(settings, 1),
            ready=lambda: answers(url + "/livez"),
        )  # fmt: skip
        supervisor = Supervisor([service], settings.data / "logs")
        supervisor.start()
        try:
            supervisor.wait_ready(240)
            empty = asyncio.run(posts(port, "/hello", [b""], seconds))
            single = asyncio.run(posts(port, "/feedback", [json.dumps(one).encode()], seconds))
            batched = asyncio.run(posts(port, "/feedback", [json.dumps(hundred).encode()], seconds))
        finally:
            supervisor.stop()
    return {"empty_per_s": empty, "posts_per_s": single, "events_per_s": 100 * batched}


def source_kills(each: int) -> dict[str, int]:
    """The slow test of kills, with so many of each kind of source; how many tests there were and failed."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.xml")
        options = ["-q", "-m", "slow", "-o", "timeout=1800", f"--junitxml={report}", str(KILLS)]
        subprocess.run(
            [sys.executable, "-m", "pytest", *options], env=os.environ | {"REC_KILLS": str(each)}, check=False
        )
        found = ElementTree.parse(report).getroot().find("testsuite")
    assert found is not None
    counts = {name: int(found.get(name, 0)) for name in ("tests", "failures", "errors", "skipped")}
    return counts | {"kills": each * (counts["tests"] - counts["skipped"])}


def feedback_kills(kills: int) -> dict[str, int]:
    """Kill the service under CLIENTS clients again and again; what was acknowledged and is not in the log once."""
    instants, acknowledged = random.Random(1), list[str]()
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data=Path(folder))
        for number in range(kills):
            port = hosting.free_port()
            with Path(folder, "service.txt").open("wb") as output:
                service = subprocess.Popen(
                    serve.command(settings.host, port), env=serve.environment(settings, 1), stdout=output,
                    stderr=output, start_new_session=True,
                )  # fmt: skip
            while not answers(f"http://{settings.host}:{port}/livez"):
                assert service.poll() is None
                time.sleep(0.1)
            # The worker too: it is what stores, and it outlives its parent by a while.
            threading.Timer(instants.uniform(0.2, 1.0), os.killpg, (service.pid, signal.SIGKILL)).start()
            with futures.ThreadPoolExecutor(CLIENTS) as pool:
                sent = pool.map(
                    partial(post_until_killed, f"http://{settings.host}:{port}/feedback", number), range(CLIENTS)
                )
                acknowledged += itertools.chain.from_iterable(sent)
            service.wait()
        with Log.open(settings.log_dir) as log:
            kept = Counter(record.event_id for record in log.read(0, log.head()))
            problems = len(log.verify())
    lost = sum(kept[each] == 0 for each in acknowledged)
    twice = sum(kept[each] > 1 for each in acknowledged)
    return {"kills": kills, "acknowledged": len(acknowledged), "lost": lost, "twice": twice, "problems": problems}


def post_until_killed(url: str, number: int, client: int) -> list[str]:
    """The event_ids that were acknowledged to one client."""
    acknowledged = []
    with httpx.Client(timeout=10) as http, contextlib.suppress(httpx.HTTPError):
        for n in itertools.count():
            event_id = f"{number}-{client}-{n}"
            event = {"event_id": event_id, "user_id": f"u{client}", "item_id": "i", "event": "click"}
            if http.post(url, json=event).status_code == 200:
                acknowledged.append(event_id)
    return acknowledged


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000, help="of the bulk file")
    parser.add_argument("--large", type=int, default=10_000_000, help="rows of the large table and file")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each kind of post")
    parser.add_argument("--data-set", default="movielens-1m")
    parser.add_argument("--part", action="append", choices=PARTS, help="only this, may repeat")
    parser.add_argument("--kills", type=int, default=15, help="of each kind of source")
    parser.add_argument("--service-kills", type=int, default=20)
    arguments = parser.parse_args()
    parts = arguments.part or PARTS
    console, bars = Console(), []
    figures: dict[str, Any] = {"load_before": os.getloadavg()[0]}
    if "bulk" in parts:
        folder = datasets.fetch(arguments.data_set, Settings().data / "datasets", console)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".bench-") as work:
            path = Path(work, "events.parquet")
            copies(folder / "events.parquet", path, arguments.events)
            console.print(f"{arguments.events:,} events: DuckDB alone, then through landing, log and tables")
            turns = [(apart(alone, path), apart(bulk, path)) for _ in range(TIMES)]
        figures["alone"], figures["bulk"] = zip(*turns, strict=True)
        own, duckdbs = (statistics.median(turn["seconds"] for turn in figures[of]) for of in ("bulk", "alone"))
        bars.append(at_most(f"{arguments.events:,} events, times DuckDB alone", own / duckdbs, 3))
        peak = max(turn["peak_mib"] for turn in figures["bulk"])
        bars.append(at_most("peak memory of it", peak, 2_048, "MiB"))
    if "memory" in parts:
        folder = datasets.fetch(arguments.data_set, Settings().data / "datasets", console)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".bench-") as work:
            path = Path(work, "events.parquet")
            apart(copies, folder / "events.parquet", path, arguments.large)
            console.print(f"{arguments.large:,} events through landing, log and tables")
            figures["memory"] = apart(bulk, path)
        bars.append(at_most(f"peak memory, {arguments.large:,} events", figures["memory"]["peak_mib"], 2_048, "MiB"))
    if "micro" in parts:
        console.print(f"Micro-batches of {BATCH:,} events in tables of 100,000 and {arguments.large:,} rows")
        small, large = apart(micro_batches, 100_000), apart(micro_batches, arguments.large)
        figures["micro_small"], figures["micro_large"] = small, large
        bars.append(at_most("micro-batch, 100,000 rows", small["median"], 0.3, "s"))
        bars.append(at_most(f"micro-batch, {arguments.large:,} rows", large["median"], 0.3, "s"))
        bars.append(at_most("the one by the other", large["median"] / small["median"], 1.3))
    if "feedback" in parts:
        console.print(f"{CLIENTS} clients post feedback")
        figures["feedback"] = found = feedback(arguments.seconds)
        least = min(1_000, 0.5 * found["empty_per_s"])
        bars.append(at_least("durable posts", found["posts_per_s"], round(least), "/s"))
        bars.append(at_least("events in posts of 100", found["events_per_s"], 10_000, "/s"))
    if "kills" in parts:
        console.print(f"{arguments.kills} kills of each kind of source, {arguments.service_kills} of the service")
        figures["source_kills"] = killed = source_kills(arguments.kills)
        figures["feedback_kills"] = posted = feedback_kills(arguments.service_kills)
        bars.append(at_least("kills of sources", killed["kills"], 100))
        bars.append(at_most("kinds of source with rows lost or twice", killed["failures"] + killed["errors"], 0))
        bars.append(at_least("kills of the service", posted["kills"], 20))
        wrong = posted["lost"] + posted["twice"] + posted["problems"]
        bars.append(at_most("acknowledged events lost or twice, faults of the log", wrong, 0))
    write("ingest", bars, **figures)


if __name__ == "__main__":
    main()

"""What `rec doctor` looks at in the data folder: log, checkpoints, tables and status, alone and against each other."""

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import duckdb

from rec_assets.durable import NewerFormat, OlderFormat, OtherFormat
from rec_assets.log import DamagedLog, Log, RecordsDropped
from rec_assets.log import NewerFormat as NewerLog
from rec_assets.registry import CorruptCheckpoint, Manifest, NoCheckpoint, Range, Registry
from rec_assets.registry import manifest as manifests
from rec_assets.settings import Settings
from rec_assets.tables import checks, ledger, status, warehouse

REBUILD = "rebuild the tables from the log with the Dagster job `rebuild`"
UNREADABLE = (NewerLog, DamagedLog, RecordsDropped)
SHOWN = 3  # problems of one kind that are listed


class Finding(NamedTuple):
    """One line: what was looked at, what was found, and what to do where it is a problem."""

    ok: bool
    subject: str
    found: str
    advice: str = ""


def findings(settings: Settings) -> Iterator[Finding]:
    """Read all that is stored; takes seconds per million events."""
    if not (settings.log_dir / "tail.sqlite").exists():
        yield Finding(True, "log", "none yet: nothing to look at")
        return
    try:
        with Log.open(settings.log_dir, create=False) as log:
            yield from of_log(log)
            yield from of_registry(settings, log)
            yield from of_tables(settings, log)
            yield from of_status(settings, log)
    except UNREADABLE as error:
        yield Finding(False, "log", str(error), "use the newer program, or take back a copy of data/log")


def of_log(log: Log) -> Iterator[Finding]:
    """Whether every record is there, once, as it was stored."""
    problems = log.verify()
    first = f", but for the first {log.start()}, which were dropped" if log.start() else ""
    found = _some(problems) if problems else f"{log.head()} records, all there{first}"
    yield Finding(not problems, "log", found, "see `rec log verify`, and take back a copy of data/log")


def of_registry(settings: Settings, log: Log) -> Iterator[Finding]:
    """Whether every checkpoint is what was written, and the chain of the promoted one learnt each offset once."""
    registry = Registry(settings.checkpoints_dir)
    problems = []
    for each in registry.ids():
        try:
            registry.verify(each)
        except (CorruptCheckpoint, OtherFormat) as error:
            problems.append(str(error))
    found = _some(problems) if problems else f"{len(registry.ids())}, each as it was written"
    yield Finding(not problems, "checkpoints", found, "remove these directories; if promoted: `rec models rollback`")
    pointer = registry.pointer()
    if pointer is None:
        yield Finding(True, "promoted", "none yet")
        return
    try:
        chain = registry.chain(pointer.id)
    except (NoCheckpoint, CorruptCheckpoint, OtherFormat) as error:
        yield Finding(False, "promoted", str(error), "`rec models rollback`")
        return
    ahead = pointer.log_id == log.log_id and pointer.watermark > log.head()
    where = f"offset {pointer.watermark} of {log.head()}" if pointer.log_id == log.log_id else "from another log"
    advice = "the log was replaced by an older copy: take back the newer one, or start over with an empty data folder"
    yield Finding(not ahead, "promoted", f"{pointer.id}, {where}", advice)
    broken = breaks(chain)
    gaps = ", ".join(f"[{low}, {high})" for low, high in _gaps(chain[0]))
    whole = f"{len(chain)} kept links; offsets [0, {chain[0].watermark}) learnt once" + (f" but {gaps}" if gaps else "")
    yield Finding(not broken, "chain", _some(broken) if broken else whole, "`rec models rollback` to before the break")


def of_tables(settings: Settings, log: Log) -> Iterator[Finding]:
    """Whether the tables hold each event once and the ledger says what the promoted checkpoint's manifest says."""
    if not settings.warehouse_path.exists():
        yield Finding(True, "tables", "none yet")
        return
    try:
        con = warehouse.connect(settings.warehouse_path)
    except duckdb.IOException as error:
        busy = "lock" in str(error).lower()
        found = "in use by a run, not looked at" if busy else str(error).splitlines()[0]
        yield Finding(busy, "tables", found, REBUILD)
        return
    except NewerFormat as error:
        yield Finding(False, "tables", str(error), "use the newer program")
        return
    except OlderFormat as error:
        yield Finding(False, "tables", str(error), REBUILD)
        return
    with con:
        if warehouse.log_id(con) not in (None, log.log_id):
            yield Finding(False, "tables", f"made from log {warehouse.log_id(con)}, this is {log.log_id}", REBUILD)
            return
        results = {
            "tables": checks.schema(con, 0, log.head()),
            "ids known": checks.ids_known(con, 0, log.head()),
            "each event once": checks.each_event_once_anywhere(con),
            "ledger": checks.ledger_contiguous(con),
        }
        for subject, result in results.items():
            figures = ", ".join(f"{name} {value}" for name, value in result.figures.items())
            offenders = f": {_some([str(row) for row in result.offenders])}" if result.offenders else ""
            yield Finding(result.passed, subject, figures + offenders, REBUILD)
        lines = ledger.lines(con)
    if lines and lines[-1].end > log.head():
        yield Finding(False, "ledger", f"reads to {lines[-1].end}, the log to {log.head()}", REBUILD)
    yield from _against_checkpoint(settings, log, lines)


def of_status(settings: Settings, log: Log) -> Iterator[Finding]:
    """Whether status.json can be read and is of this log."""
    advice = f"remove {settings.status_path}: the next run writes it again"
    try:
        last = status.read(settings.status_path)
    except ValueError as error:
        yield Finding(False, "status.json", str(error), advice)
        return
    ok = last is None or (last.log_id in (None, log.log_id) and last.end <= log.head())
    found = "none yet" if last is None else f"ledger to {last.end}, {last.micro_batches} micro-batches"
    yield Finding(ok, "status.json", found, advice)


def _against_checkpoint(settings: Settings, log: Log, lines: Sequence[ledger.Line]) -> Iterator[Finding]:
    registry = Registry(settings.checkpoints_dir)
    pointer = registry.pointer()
    if pointer is None or pointer.log_id != log.log_id:
        return
    try:
        manifest = registry.manifest(pointer.id)
    except (NoCheckpoint, CorruptCheckpoint, OtherFormat):
        return  # said already
    wrong, late = [], []
    for line in lines:
        where = f"[{line.start}, {line.end})"
        learnt = any(low <= line.start and line.end <= high for low, high in manifest.learnt)
        if learnt and line.state == "stored":
            late.append(where)
        elif learnt and line.state != "promoted":
            wrong.append(f"{where} is {line.state}, but was learnt")
        elif not learnt and (line.state == "promoted" or (line.state == "stored" and line.end <= manifest.watermark)):
            wrong.append(f"{where} is {line.state}, but was not learnt")
    found = (
        _some(wrong) if wrong else "agree" + (f"; the next run notes that {_some(late)} was promoted" if late else "")
    )
    yield Finding(not wrong, "ledger and chain", found, "the next micro-batch puts the ledger right")


def breaks(chain: Sequence[Manifest]) -> list[str]:
    """Where a link did not learn exactly what its parent had not, newest first."""
    found = []
    for child, parent in itertools.pairwise(chain):
        if child.log_id != parent.log_id:
            continue  # trained on in a log of its own, from its first record
        try:
            expected = manifests.join([*parent.learnt, Range(child.start, child.end)])
        except ValueError as error:
            found.append(f"{child.id}: {error}")
            continue
        if child.learnt != expected:
            found.append(f"{child.id} says that {child.learnt} was learnt, its parent makes it {expected}")
    return found


def _gaps(manifest: Manifest) -> list[Range]:
    edges = [0, *(edge for each in manifest.learnt for edge in each), manifest.watermark]
    return [Range(low, high) for low, high in zip(edges[::2], edges[1::2], strict=True) if low < high]


def _some(problems: Sequence[str]) -> str:
    more = f" and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
    return "; ".join(problems[:SHOWN]) + more

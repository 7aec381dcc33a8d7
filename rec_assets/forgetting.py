"""Forgetting a user everywhere: one record in the log, then their data leaves every file of the installation.

Each step can be run again, and the log keeps what was asked for until all are done: killed at any instant, the same
call finishes the job. What the record is to the live states of the service and the trainer is in features/erasure.py.
"""

import functools
import importlib.util
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import pyarrow.parquet as pq

from rec_assets import durable
from rec_assets.events import parse
from rec_assets.features import state as live
from rec_assets.features.idmap import IdMap
from rec_assets.log import Log, Record, forget_jobs
from rec_assets.log.record import FORGET
from rec_assets.registry import Manifest, Registry, replacement
from rec_assets.serving import batch as lists
from rec_assets.serving import spool
from rec_assets.settings import FileSource, Settings
from rec_assets.sources.mapping import ColumnMapping
from rec_assets.sources.rows import open_rows
from rec_assets.sources.source import BrokenFile
from rec_assets.tables import erasure, published, warehouse
from rec_assets.training import erasure as checkpoints
from rec_assets.training.checkpoint import STATE

READ_ROWS = 20_000
Say = Callable[[str], None]


class Report(NamedTuple):
    """What went where. `offset` is that of the log's record; None: nobody knows the user, and nothing was done."""

    offset: int | None
    counts: dict[str, dict[str, int]]  # place -> what -> how many
    checkpoints: dict[str, str]  # replaced ones: old id -> new id
    still_hold: list[str]  # places that were left, and what to do about each


def forget(settings: Settings, user_id: str, say: Say = lambda _what: None) -> Report:
    """Do it, or finish it. Raises NoLog where there is no log; duckdb.IOException where others hold the tables."""
    with (
        Log.open(settings.log_dir, create=False) as log,
        durable.locked(settings.log_dir / "forget.lock"),
    ):
        registry, job = Registry(settings.checkpoints_dir), forget_jobs.read(log, user_id)
        say("looking for the user in the log")
        if not job.is_open:
            key = key_of(log, registry, settings, user_id, log.head())
            if key < 0 and not log.start() and not log.find(user_id):
                return Report(None, {}, {}, [])
            forget_jobs.ask(log, user_id, key)
            job = forget_jobs.read(log, user_id)
        offset = forget_jobs.offset_of(log, user_id, job.number)
        records = log.find(user_id, offset)
        if job.left is None:
            key = msgspec.json.decode(log.read(offset, offset + 1)[0].payload, type=forget_jobs.Asked).key
            if key < 0:  # who asked did not know it
                key = key_of(log, registry, settings, user_id, offset)
            job = forget_jobs.begin(log, user_id, key, what_is_left(log, registry, records, settings))
        assert job.left is not None
        counts = {"log": _count(records)}
        say("rewriting the log")
        rewritten = log.erase(records, {at: text.encode() for at, text in job.left.items()}, offset)
        still_hold = [] if rewritten.wal_truncated else ["log/tail.sqlite-wal: others are reading; run this again"]
        counts["segments"] = {"rewritten": rewritten.segments}
        counts["spool"] = {"lists": spool.forget(settings.spool_path, user_id)}
        say("replacing checkpoints")
        redact = functools.partial(
            checkpoints.redact, user_id=user_id, key=job.key, log_id=log.log_id, kinds=settings.kinds
        )
        replaced = replacement.replace(registry, redact)
        counts["checkpoints"] = {"replaced": len(replaced.gone), **replaced.counts}
        still_hold += [f"checkpoints/{each}: cannot be read; remove it" for each in replaced.unreadable]
        say("tables")
        counts["tables"] = _forget_in_tables(settings, user_id, offset, log.erased_offsets(), replaced.ids)
        counts["lists"] = {"rows": lists.forget(settings.lists_dir, user_id)}
        counts["files"], files_left = _forget_files(settings, user_id)
        counts["spool"]["lists"] += spool.forget(settings.spool_path, user_id)  # served meanwhile
        if forget_jobs.end(log, user_id).is_open:
            still_hold.append("what has come of them since: it was asked for again meanwhile, so run this again")
        log.erase([], {}, offset)  # the job's notes are overwritten too
        renamed = {old: replaced.ids[old] for old in replaced.gone}
        return Report(offset, counts, renamed, still_hold + files_left)


def _count(records: Sequence[Record]) -> dict[str, int]:
    kinds = [record.kind for record in records]
    return {kind: kinds.count(kind) for kind in sorted(set(kinds))}


def key_of(log: Log, registry: Registry, settings: Settings, user_id: str, end: int) -> int:
    """The user's key in the live state at an offset, -1 for none: from the newest kept ids before it, read on.

    -1 too where the log no longer has what would tell: whatever state is left has forgotten them itself.
    """
    state, carriers = live.init(settings.train, settings.kinds), registry.carriers(log.log_id)
    before = [each for each in carriers if log.start() <= each.end <= end]
    if not carriers or (log.start() and not before):
        return -1  # nothing to find by it
    if before:
        state.users, state.offset = IdMap(_ids(registry, before[-1], "users")), before[-1].end
    if (key := state.users.key(user_id)) >= 0:
        ahead = any(record.kind == FORGET for records in log.batches(state.offset, end) for record in records)
        if not ahead:
            return key
    for records in log.batches(state.offset, end, READ_ROWS):
        live.to_arrays(state, parse(records, settings.kinds), records[-1].offset + 1)
    return state.users.key(user_id)


def _ids(registry: Registry, carrier: Manifest, of: str) -> list[str]:
    ids: list[str] = pq.read_table(registry.directory / carrier.id / STATE / f"{of}.parquet").column("id").to_pylist()
    return ids


def what_is_left(log: Log, registry: Registry, records: Sequence[Record], settings: Settings) -> dict[int, str]:
    """Payloads of the erased records by which a key was given, so that all others keep theirs: the user's first event,
    and events that are the first to name an item.

    Where the log's first records were dropped, what they named is what the oldest kept live state knows: nobody reads
    on from an earlier one.
    """
    events = parse(sorted(records), settings.kinds).events
    if not len(events):
        return {}
    users, items = set[str](), set[str]()
    carriers = [each for each in registry.carriers(log.log_id) if each.end >= log.start() > 0]
    if carriers:
        oldest = min(carriers, key=lambda each: each.end)
        users, items = (set(_ids(registry, oldest, of)) for of in ("users", "items"))
    is_new = events.user_id[0] not in users
    left: dict[int, dict[str, object]] = {int(events.offset[0]): {"new_user": True}} if is_new else {}
    first: dict[str, int] = {}
    for offset, item_id in zip(events.offset.tolist(), events.item_id, strict=True):
        if item_id is not None and item_id not in items:
            first.setdefault(item_id, offset)
    for batch in log.batches(log.start(), max(first.values(), default=0)):
        parsed = parse(batch, settings.kinds)
        for named in (parsed.events, parsed.items, parsed.erasures):
            for offset, item_id in zip(named.offset.tolist(), named.item_id, strict=True):
                if item_id in first and offset < first[item_id]:
                    del first[item_id]
        if not first or batch[-1].offset >= max(first.values()):
            break
    for item_id, offset in first.items():
        left.setdefault(offset, {})["item_id"] = item_id
    return {offset: msgspec.json.encode(payload).decode() for offset, payload in left.items()}


def _forget_in_tables(
    settings: Settings, user_id: str, before: int, erased: Sequence[int], renamed: dict[str, str]
) -> dict[str, int]:
    if not settings.warehouse_path.exists():
        return {}
    counts = erasure.forget(settings.warehouse_path, user_id, before, erased, renamed)
    if (settings.published_dir / published.NAME).exists():
        with warehouse.connect(settings.warehouse_path) as con:
            published.everything(con, settings.published_dir, warehouse.microseconds())
        if (now := published.read(settings.published_dir)) is not None:
            for path in settings.published_dir.iterdir():
                if path.is_dir() and path.name != now.snapshot:
                    shutil.rmtree(path, ignore_errors=True)
    return counts


def _forget_files(settings: Settings, user_id: str) -> tuple[dict[str, int], list[str]]:
    """Copies of files that the log took in whole go where they name the user; others are for their owner to change."""
    origin = settings.sources.get("landing")
    origin = origin if isinstance(origin, FileSource) else FileSource(type="files")
    removed, left = 0, []
    for folder, path in _landed(settings.landing_dir):
        if not _names(path, user_id, origin):
            continue
        if folder == "done":
            path.unlink()
            removed += 1
        else:
            left.append(f"{path.relative_to(settings.data)}: was not taken in, so it is yours to change or remove")
    return {"removed from landing/done": removed}, left


def _landed(landing: Path) -> list[tuple[str, Path]]:
    folders = {"done": landing / "done", "failed": landing / "failed", "": landing}
    return [
        (name, path)
        for name, folder in folders.items()
        if folder.is_dir()
        for path in sorted(folder.iterdir())
        if path.is_file() and not path.name.endswith(".error.txt")
    ]


def _names(path: Path, user_id: str, origin: FileSource) -> bool:
    """Whether a row is the user's; a file that cannot be read, whether its bytes have the id."""
    try:
        columns, rows = open_rows(path, origin.csv)
        mapping = ColumnMapping.like(origin.columns).of(columns, path.name)
        return any(mapping.draft(row).user_id == user_id for row in rows)
    except (BrokenFile, UnicodeDecodeError):
        return user_id.encode() in path.read_bytes()


def bentos_of(settings: Settings, user_id: str) -> list[str]:
    """What in BentoML's local stores still holds the user, and what to do about each; nothing where there is none."""
    if importlib.util.find_spec("bentoml") is None:
        return []
    from rec_assets.serving.holding import holding, stores

    return holding(user_id, stores(settings.data))

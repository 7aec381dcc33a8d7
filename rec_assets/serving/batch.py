"""Lists for many users as one Parquet file, made by the service's own engine: each is what a request would get.

A file appears whole or not at all. Who was forgotten while it was being written is not in it.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from rec_assets import durable
from rec_assets.log import Log, forget_jobs
from rec_assets.serving.engine import Engine
from rec_assets.serving.making import TOGETHER, Asked, Ranked
from rec_assets.serving.messages import Control

# Grain: one row per place of a list. `propensity`: the probability with which the place shows the item.
SCHEMA = pa.schema(
    [
        ("user_id", pa.string()),
        ("position", pa.int16()),  # from 1
        ("item_id", pa.string()),
        ("score", pa.float32()),
        ("source", pa.string()),
        ("propensity", pa.float32()),
        ("checkpoint", pa.string()),
        ("log_offset", pa.int64()),  # all of the log before it was known to the ranking
        ("rules", pa.string()),  # version of the business rules
        ("made_at", pa.timestamp("us")),  # UTC
    ]
)
TOLD_USERS = 1_000  # users from one word of progress to the next, and in a row group
Tell = Callable[[int, int], None]  # lists made, of how many


class Made(NamedTuple):
    """What was written. `empty`: users for whom nothing may be listed."""

    path: Path
    users: int
    rows: int
    empty: int
    forgotten: int  # meanwhile
    seconds: float


def wish_for(user_id: str, control: dict[str, Any]) -> Control:
    """The wish of one user; msgspec.ValidationError names a field of `control` that is wrong."""
    return msgspec.convert({**control, "user_id": user_id}, Control)


def write(
    engine: Engine, log: Log, users: Sequence[str], k: int, control: dict[str, Any], path: Path, tell: Tell
) -> Made:
    """Write the k best items for each of these users, in their order, to `path`.

    `control` has fields of messages.Control but for whom it is. Raises bodies.Refused for a filter that cannot be
    understood and BlockingIOError while another process writes the same file.
    """
    wish_for("u", control)  # wrong fields before anything is begun
    started, rows, empty = time.monotonic(), 0, 0
    path.parent.mkdir(parents=True, exist_ok=True)
    with durable.locked(_lock(path), wait=False):
        with pq.ParquetWriter(_beside(path), SCHEMA, compression="zstd") as file:
            for at in range(0, len(users), TOLD_USERS):
                part = list(_lists(engine, users[at : at + TOLD_USERS], k, control))
                table = _table(part, time.time_ns() // 1_000)
                file.write_table(table)
                rows, empty = rows + len(table), empty + sum(not ranked.items for _, ranked in part)
                tell(min(at + TOLD_USERS, len(users)), len(users))
        engine.catch_up()
        gone = [user_id for user_id in users if engine.key_in_log(user_id) < 0 and _was_forgotten(log, user_id)]
        for user_id in gone:
            rows -= _without(_beside(path), user_id)
        durable.put(_beside(path), path)
    return Made(path, len(users), rows, empty, len(gone), time.monotonic() - started)


def _lists(engine: Engine, users: Sequence[str], k: int, control: dict[str, Any]) -> Iterator[tuple[str, Ranked]]:
    for at in range(0, len(users), TOGETHER):
        part = users[at : at + TOGETHER]
        asked = [Asked(wish_for(user_id, control), k) for user_id in part]
        for user_id, ranked in zip(part, engine.recommend(asked), strict=True):
            if isinstance(ranked, Exception):
                raise ranked
            yield user_id, ranked


def forget(folder: Path, user_id: str) -> int:
    """Take a user's rows out of every file of lists; returns how many. One that is being written sees to it itself."""
    taken = 0
    for path in sorted(folder.glob("[!.]*.parquet")):
        try:
            with durable.locked(_lock(path), wait=False):
                taken += _without(path, user_id)
        except BlockingIOError:
            continue
    return taken


def _was_forgotten(log: Log, user_id: str) -> bool:
    return forget_jobs.read(log, user_id).number > 0


def _without(path: Path, user_id: str) -> int:
    """Write the file anew without a user's rows, where it has any."""
    table = pq.read_table(path)
    kept = table.filter(pc.not_equal(table["user_id"], user_id))
    if len(kept) == len(table):
        return 0
    beside = path.with_name(f".without.{path.name}")
    pq.write_table(kept, beside, compression="zstd", row_group_size=len(kept) or None)
    durable.put(beside, path)
    return len(table) - len(kept)


def _table(lists: Iterable[tuple[str, Ranked]], made_at: int) -> pa.Table:
    rows = [
        (
            user_id, place + 1, item_id, told.score, told.source, told.propensity, ranked.checkpoint, ranked.offset,
            ranked.rules, made_at,
        )
        for user_id, ranked in lists
        for place, (item_id, told) in enumerate(zip(ranked.items, ranked.places, strict=True))
    ]  # fmt: skip
    columns = list(zip(*rows, strict=True)) or [()] * len(SCHEMA)
    return pa.table([pa.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)], SCHEMA)


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}")


def _lock(path: Path) -> Path:
    return path.with_name(f".{path.stem}.lock")

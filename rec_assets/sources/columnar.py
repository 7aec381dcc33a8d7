"""Events of a Parquet file, whole columns at once.

A row that is plain (no empty texts, numbers finite, times of one unit) is stored as typed columns. Any other goes as
rows of all files go, one by one, and is stored as its payload: so what a row means is said once, in mapping.py.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from rec_assets.log import position_ids, segments
from rec_assets.log.bulk import rows as rows_of
from rec_assets.sources.mapping import IDS, USUAL, FileMapping
from rec_assets.sources.rows import Row, plain
from rec_assets.sources.source import BrokenFile
from rec_assets.sources.times import PER_SECOND
from rec_assets.validation import DAY_US, EARLIEST_US, ID_LENGTH

TABLE_ROWS = 100_000
LATEST_US = 1 << 53  # 2255: up to there a float of seconds has every µs
FIELDS = (*IDS, "event", "value", "occurred_at")


def fits(parquet: pq.ParquetFile, mapping: FileMapping) -> bool:
    """Whether the columns have types of which rows can be plain."""
    types = {field.name: field.type for field in parquet.schema_arrow}
    known = {field: types[name] for name, field in mapping.fields.items() if name in types}
    times = mapping.times
    return (
        mapping.kind == "event"
        and times.form is None
        and times.zone is None
        and "context" not in types
        and len(types) == len(parquet.schema_arrow)
        and known.keys() <= set(FIELDS)
        and all(_fits(field, kind) for field, kind in known.items())
    )


def _fits(field: str, kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    text = bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
    whole = bool(pa.types.is_integer(kind))
    if field == "event":
        return text
    if field in IDS:
        return text or whole
    if field == "value":
        return whole or bool(pa.types.is_floating(kind))
    return bool(pa.types.is_timestamp(kind) or pa.types.is_date(kind)) or (whole and kind != pa.uint64())


def tables(
    file: str, parquet: pq.ParquetFile, mapping: FileMapping, source: str, received_at: int
) -> Iterator[pa.Table]:
    """The file's rows as tables of segments.SCHEMA; raises BrokenFile. `received_at` in µs, UTC."""
    number = 0
    with parquet:
        try:
            for batch in parquet.iter_batches(TABLE_ROWS):
                yield _table(pa.table(batch), mapping, source, received_at, number + 1)
                number += batch.num_rows
        except (pa.ArrowInvalid, OSError) as error:
            raise BrokenFile(file, f"the Parquet file cannot be read ({error})", number + 1) from None


def _table(batch: pa.Table, mapping: FileMapping, source: str, received_at: int, first: int) -> pa.Table:
    batch.validate(full=True)  # texts are UTF-8
    n = batch.num_rows
    good = np.ones(n, np.bool_)
    columns: dict[str, Any] = {
        "kind": pa.repeat("event", n),
        "source": pa.repeat(source, n),
        "source_position": pa.array(np.arange(first, first + n)).cast(pa.string()),
        "received_at": pa.repeat(pa.scalar(received_at, pa.int64()), n),
        "more": _more(batch, mapping.fields),
    }
    for name, field in mapping.fields.items():
        column = batch.column(name).combine_chunks()
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        if field == "occurred_at":
            columns[field], fine = _times(column, mapping)
        elif field == "value":
            columns[field], fine = _values(column)
        else:
            columns[field] = column.cast(pa.string())
            fine = _all(pc.not_equal(columns[field], ""))
        good &= fine
    if "occurred_at" in columns:  # what will be rejected stays as it was written
        good &= _all(pc.less_equal(columns["occurred_at"], received_at + DAY_US))
    good &= np.asarray(columns["user_id"].is_valid())
    columns["event"] = pc.fill_null(columns.get("event", pa.nulls(n, pa.string())), mapping.default_event)
    ids = position_ids(source, first, n)
    if "event_id" in columns:
        good &= _all(pc.less_equal(pc.utf8_length(columns["event_id"]), ID_LENGTH))
        ids = pc.coalesce(columns["event_id"], ids)
    table = segments.table_of({**columns, "event_id": ids}, n)
    if good.all():
        return table
    odd = np.flatnonzero(~good)
    values = pa.table({name: plain(batch.column(name).combine_chunks()) for name in batch.column_names}).take(odd)
    drafts = (
        mapping.draft(Row(first + place, row))._replace(received_at=received_at)
        for place, row in zip(odd.tolist(), values.to_pylist(), strict=True)
    )
    joined = pa.concat_tables([table.filter(pa.array(good)), *segments.tables(rows_of(drafts, source))])
    return joined.take(np.argsort(np.concatenate([np.flatnonzero(good), odd]), kind="stable"))


def _values(column: pa.Array) -> tuple[pa.Array, npt.NDArray[np.bool_]]:
    numbers = column.cast(pa.float64(), safe=False)
    numbers = pc.if_else(pc.is_nan(numbers), None, numbers)
    return numbers, _all(pc.is_finite(numbers))


def _times(column: pa.Array, mapping: FileMapping) -> tuple[pa.Array, npt.NDArray[np.bool_]]:
    """µs since 1970, and which of them are sure to be what the mapping would read."""
    if not pa.types.is_integer(column.type):
        micros = column.cast(pa.timestamp("us", getattr(column.type, "tz", None)), safe=False).cast(pa.int64())
        return micros, _all(pc.and_(pc.greater_equal(micros, EARLIEST_US), pc.less(micros, LATEST_US)))
    numbers = column.cast(pa.int64())
    told = numbers.filter(pc.not_equal(numbers, 0))
    if len(told):
        try:
            mapping.times.read(told[0].as_py())
        except ValueError:  # said again, and of the right row, by the mapping
            return pa.nulls(len(column), pa.int64()), np.zeros(len(column), np.bool_)
    least, past = mapping.times.range
    fine = _all(pc.or_(pc.equal(numbers, 0), pc.and_(pc.greater_equal(numbers, least), pc.less(numbers, past))))
    per_second = PER_SECOND[mapping.times.unit or "s"]
    numbers = pc.if_else(pa.array(fine), numbers, 0)  # so that nothing overflows
    fine &= _all(pc.less(numbers, LATEST_US // (1_000_000 // per_second)))
    return pc.multiply(pc.if_else(pa.array(fine), numbers, 0), 1_000_000 // per_second), fine


def _more(batch: pa.Table, fields: Mapping[str, str]) -> pa.Array | None:
    """What the other columns say, as JSON objects."""
    names = [name for name in batch.column_names if name and name not in fields and name not in USUAL]
    if not names:
        return None
    rows = pa.table({name: plain(batch.column(name).combine_chunks()) for name in names}).to_pylist()
    said = ({name: value for name, value in row.items() if value is not None and value != ""} for row in rows)
    return pa.array([msgspec.json.encode(row).decode() if row else None for row in said], pa.string())


def _all(condition: pa.Array) -> npt.NDArray[np.bool_]:
    """Nulls are fine."""
    return np.array(pc.fill_null(condition, True))

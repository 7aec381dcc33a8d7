"""The log: one append-only sequence of records, in an SQLite tail and immutable Parquet segments."""

from rec_assets.durable import NewerFormat
from rec_assets.log.log import Log
from rec_assets.log.record import ITEM, LIST, Draft, Record, identify, position_id, position_ids
from rec_assets.log.tail import FORMAT_VERSION, DamagedLog, NoLog, RecordsDropped

__all__ = [
    "FORMAT_VERSION",
    "ITEM",
    "LIST",
    "DamagedLog",
    "Draft",
    "Log",
    "NewerFormat",
    "NoLog",
    "Record",
    "RecordsDropped",
    "identify",
    "position_id",
    "position_ids",
]

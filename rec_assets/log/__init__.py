"""The log: one append-only sequence of records, in an SQLite tail and immutable Parquet segments."""

from rec_assets.durable import NewerFormat
from rec_assets.log.log import Log
from rec_assets.log.record import LIST, Draft, Record, identify, position_id, position_ids
from rec_assets.log.tail import FORMAT_VERSION, DamagedLog, NoLog

__all__ = [
    "FORMAT_VERSION",
    "LIST",
    "DamagedLog",
    "Draft",
    "Log",
    "NewerFormat",
    "NoLog",
    "Record",
    "identify",
    "position_id",
    "position_ids",
]

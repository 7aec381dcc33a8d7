"""Tables of SQL databases: all rows first, then what has changed, in the order of (updated_at, id).

A row gets its updated_at before its transaction commits, so it may appear behind rows that were read already. The last
minute is therefore read again until it has been read once more after that minute; what the log has is not stored twice.
"""

import contextlib
import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from datetime import time as time_of_day
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from rec_assets.log import Draft
from rec_assets.settings import Kind, SqlSource
from rec_assets.sources.accepted import rejection
from rec_assets.sources.environment import filled
from rec_assets.sources.mapping import ColumnMapping
from rec_assets.sources.place import Place, earlier
from rec_assets.sources.rows import Row
from rec_assets.sources.source import Batch, BrokenFile, SourceError

PAGE_ROWS = 5_000
LATE_SECONDS = 60  # from a row's updated_at to its commit
LEG_SECONDS = 20  # a longer read begins again behind itself, as rows may have appeared there meanwhile
DRIVERS = {
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mariadb+pymysql",
}
NO_IDS = (sa.Float, sa.DateTime, sa.Date, sa.Time, sa.Boolean, sa.LargeBinary, sa.JSON, sa.Interval)


class Table:
    """One table or view as a source. Its rows are events, each taken once, or versions of items or users."""

    def __init__(
        self,
        connection: sa.Connection,
        name: str,
        origin: SqlSource,
        kinds: Mapping[str, Kind],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Raises SourceError where table, columns or their types are not what the settings say."""
        self.connection, self.origin, self.kinds, self.clock = connection, origin, kinds, clock
        self.name = f"sql:{name}/{origin.table}"
        types = _column_types(connection, origin)
        for setting, column in (("id", origin.id), ("updated_at", origin.updated_at)):
            if column not in types:
                there = ", ".join(types)
                raise SourceError(
                    f"table {origin.table} has no column {column!r}, which {setting} names; there are {there}"
                )
        self.mapping = ColumnMapping.like(origin.columns).of(types, f"table {origin.table}")
        if self.mapping.kind == "event" and "occurred_at" not in self.mapping.fields.values():
            raise SourceError(f"no column of table {origin.table} says when it happened: set columns.occurred_at")
        schema, _, table = origin.table.rpartition(".")
        self.columns: dict[str, sa.ColumnClause[Any]] = {column: sa.column(column) for column in types}
        self.table = sa.table(table, *self.columns.values(), schema=schema or None)
        self.updated_at, self.id = self.columns[origin.updated_at], self.columns[origin.id]

    def read(self, position: str | None) -> Iterator[Batch]:
        """Pages of rows, the last minute's once more at first; ends where there is nothing new. Raises SourceError."""
        self._refuse_nulls()
        place = before = None if position is None else Place.decode(position)
        began_at, leg_at = self.clock(), self.clock()
        since = self._since(place)
        cursor = place if place is not None and place.settled else None
        while rows := self._page(since, cursor):
            cursor = Place(rows[-1][self.origin.updated_at], rows[-1][self.origin.id], self.clock())
            drafts = [self._draft(row) for row in rows]
            if position is None and place is None:
                self._refuse_all(drafts)
            if place is None or cursor.updated_at > place.updated_at:
                place = cursor
            elif cursor.updated_at == place.updated_at:
                place = place._replace(id=cursor.id)
            yield Batch(drafts, place.encode())
            if len(rows) < PAGE_ROWS:
                break
            again = self._since(cursor)
            if self.clock() >= leg_at + LEG_SECONDS and (since is None or again > since):
                since, cursor, leg_at = again, None, self.clock()
        unchanged = place is not None and before is not None and place.updated_at == before.updated_at
        if place is not None and unchanged and not place.settled and began_at >= place.seen_at + LATE_SECONDS:
            yield Batch([], place._replace(settled=True).encode())

    def _since(self, place: Place | None) -> Any:
        return None if place is None else earlier(place.updated_at, LATE_SECONDS + LEG_SECONDS, self.origin.updated_at)

    def _page(self, since: Any, cursor: Place | None) -> list[dict[str, Any]]:
        query = sa.select(*self.columns.values()).select_from(self.table).limit(PAGE_ROWS)
        if cursor is not None:
            tie = sa.and_(self.updated_at == cursor.updated_at, self.id > cursor.id)
            query = query.where(self.updated_at >= cursor.updated_at, sa.or_(self.updated_at > cursor.updated_at, tie))
        elif since is not None:
            query = query.where(self.updated_at >= since)
        with self.connection.begin():
            return [dict(row) for row in self.connection.execute(query.order_by(self.updated_at, self.id)).mappings()]

    def _draft(self, row: Mapping[str, Any]) -> Draft:
        origin, mapped = self.origin, self.mapping.fields
        key = _plain(row[origin.id])
        if not isinstance(key, int | str) or isinstance(key, bool):
            raise SourceError(f"column {origin.id!r} of table {origin.table} is {type(key).__name__}, no id: {key!r}")
        values = {
            name: _plain(value)
            for name, value in row.items()
            if name in mapped or name not in (origin.id, origin.updated_at)
        }
        draft = self.mapping.draft(Row(0, values))
        if self.mapping.kind == "event":
            return draft._replace(source_position=str(key))
        version = hashlib.blake2b(f"{row[origin.updated_at]}\n".encode() + draft.payload, digest_size=8).hexdigest()
        return draft._replace(source_position=f"{key}@{version}")

    def _refuse_nulls(self) -> None:
        """A row without updated_at or id has no place in the order, so it would never be read."""
        for column in (self.updated_at, self.id):
            query = sa.select(sa.literal(1)).select_from(self.table).where(column.is_(None)).limit(1)
            with self.connection.begin():
                if self.connection.execute(query).first() is not None:
                    raise SourceError(f"column {column.name!r} of table {self.origin.table} is null in some rows")

    def _refuse_all(self, drafts: Sequence[Draft]) -> None:
        now = time.time_ns() // 1_000
        problems = []
        for draft in drafts:
            problem = rejection(draft, self.kinds, now)
            if problem is None:
                return
            problems.append(problem)
        raise BrokenFile(
            f"table {self.origin.table}",
            f"none of its first {len(drafts):,} rows would be accepted; check columns and kinds in the settings; "
            f"row {drafts[0].source_position}: {problems[0]}",
        )


@contextlib.contextmanager
def open_table(name: str, origin: SqlSource, kinds: Mapping[str, Kind]) -> Iterator[Table]:
    """A table with a connection of its own. Raises SourceError with one line, which never has the password."""
    try:
        url = sa.make_url(filled(origin.url))
        url = url.set(drivername=DRIVERS.get(url.drivername, url.drivername))
        missing = url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file()
        if missing:
            raise SourceError(f"there is no SQLite database {url.database}")
        arguments = {} if url.get_backend_name() == "sqlite" else {"connect_timeout": 10}
        engine = sa.create_engine(url, poolclass=sa.NullPool, connect_args=arguments)
    except (sa.exc.ArgumentError, ValueError, ModuleNotFoundError) as error:
        if isinstance(error, SourceError):
            raise
        raise SourceError(f"sources.{name}.url is no address of a database that can be opened ({error})") from None
    with _named(url), engine.connect() as connection:
        with connection.begin():
            table = Table(connection, name, origin, kinds)
        yield table


def _column_types(connection: sa.Connection, origin: SqlSource) -> dict[str, str]:
    """Column -> "", or the name of its type where that cannot hold ids."""
    schema, _, name = origin.table.rpartition(".")
    inspector = sa.inspect(connection)
    try:
        columns = inspector.get_columns(name, schema or None)
    except sa.exc.NoSuchTableError:
        there = sorted([*inspector.get_table_names(schema or None), *inspector.get_view_names(schema or None)])
        listed = ", ".join(there) or "none that this user may see"
        raise SourceError(f"there is no table {origin.table}; there are {listed}") from None
    return {column["name"]: str(column["type"]) if _no_id(column["type"]) else "" for column in columns}


def _no_id(kind: Any) -> bool:
    return isinstance(kind, NO_IDS) or (isinstance(kind, sa.Numeric) and bool(kind.scale))


@contextlib.contextmanager
def _named(url: sa.URL) -> Iterator[None]:
    """A database's error as one line that says which database."""
    try:
        yield
    except sa.exc.DBAPIError as error:
        lines = [line.strip() for line in str(error.orig).splitlines() if line.strip()] or [type(error.orig).__name__]
        raise SourceError(f"{url.render_as_string()}: {lines[0]}") from error


def _plain(value: Any) -> Any:
    """A column's value as JSON has it; bytes are left out."""
    if isinstance(value, datetime | date | time_of_day):
        return value.isoformat()
    if isinstance(value, Decimal):
        whole = value.is_finite() and int(str(value.as_tuple().exponent)) >= 0
        return int(value) if whole else float(value)
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, timedelta):
        return value.total_seconds()
    return None if isinstance(value, bytes | bytearray | memoryview) else value

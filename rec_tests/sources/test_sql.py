"""Tables of SQLite, a real PostgreSQL and a real MariaDB become records, once; what was committed late is found."""

import itertools
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
import sqlalchemy as sa

from rec_assets.events import parse
from rec_assets.settings import KINDS, Settings, SqlSource
from rec_assets.sources import SourceError, collect, configured, sql
from rec_assets.sources.place import Place, earlier

SCHEMAS = {
    "sqlite": """create table orders (id integer primary key, customer text, product, price real, at text,
                 updated_at text not null)""",
    "postgresql": """create table orders (id bigserial primary key, customer text, product bigint, price numeric(9, 2),
                     at timestamptz, updated_at timestamptz not null)""",
    "mariadb": """create table orders (id bigint auto_increment primary key, customer text, product bigint,
                  price numeric(9, 2), at datetime(6), updated_at datetime(6) not null)""",
}
DRIVERS = {"postgresql:": "postgresql+psycopg:", "mysql:": "mysql+pymysql:"}
COLUMNS = {"user_id": "customer", "item_id": "product", "occurred_at": "at", "value": "price"}
ORDERS = {"columns": {**COLUMNS, "default_event": "purchase"}}
START = datetime(2026, 1, 31, 12, tzinfo=UTC)
numbers = itertools.count()


def driven(url):
    """The URL with the driver that is installed."""
    for scheme, driver in DRIVERS.items():
        url = url.replace(scheme, driver)
    return url


@pytest.fixture(params=["sqlite", "postgresql", pytest.param("mariadb", marks=pytest.mark.slow)])
def database(request, tmp_path):
    """An engine of a database of its own, which has a table `orders`."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'shop.db'}"
    else:
        server = request.getfixturevalue("mariadb" if request.param == "mariadb" else "postgres")
        name = f"shop{next(numbers)}"
        admin = sa.create_engine(driven(server), isolation_level="AUTOCOMMIT")
        with admin.connect() as connection:
            connection.exec_driver_sql(f"create database {name}")
        admin.dispose()
        url = f"{server.rpartition('/')[0]}/{name}"
    engine = sa.create_engine(driven(url), poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.exec_driver_sql(SCHEMAS[request.param])
    engine.rec_url = url
    return engine


def source(database, **settings):
    return SqlSource(type="sql", url=database.rec_url, **{"table": "orders", **ORDERS, **settings})


def run(database, statement, **values):
    """With values as the driver takes them; SQLite keeps times as text."""
    if database.name == "sqlite":
        values = {
            name: value.isoformat(" ") if isinstance(value, datetime) else value for name, value in values.items()
        }
    with database.begin() as connection:
        connection.execute(sa.text(statement), values)


def order(database, number, seconds=0.0, **values):
    at = START + timedelta(seconds=seconds)
    row = {"id": number, "customer": f"00{number}", "product": number, "price": 1.5, "at": START, "updated_at": at}
    row |= values
    run(database, f"insert into orders values ({', '.join(':' + name for name in row)})", **row)


def take(database, log, clock=lambda: 0.0, **settings):
    with sql.open_table("shop", source(database, **settings), KINDS) as table:
        table.clock = clock
        return collect(table, log).records


def payloads(log):
    return [msgspec.json.decode(record.payload) for record in log.read(0, log.head())]


def test_rows_become_events_and_only_new_ones_follow(database, log):
    for number in range(1, 6):
        order(database, number, seconds=number)
    assert take(database, log) == 5
    order(database, 6, seconds=6)
    assert [take(database, log), take(database, log)] == [1, 0]
    events = parse(log.read(0, 9), KINDS).events
    assert events.user_id == [f"00{number}" for number in range(1, 7)]
    assert events.item_id == [str(number) for number in range(1, 7)]
    assert (set(events.event), set(events.value.tolist())) == ({"purchase"}, {1.5})
    assert set(events.occurred_at.tolist()) == {round(START.timestamp() * 1e6)}
    assert log.read(0, 1)[0].source_position == "1"


def test_ties_are_cut_anywhere(database, log, monkeypatch):
    monkeypatch.setattr(sql, "PAGE_ROWS", 3)
    for number in range(1, 15):
        order(database, number, seconds=100 * (number // 6))
    assert take(database, log) == 14
    assert [record.source_position for record in log.read(0, 99)] == [str(number) for number in range(1, 15)]
    order(database, 15, seconds=200)
    order(database, 16, seconds=200)
    assert take(database, log) == 2


def test_what_was_committed_late_is_found_for_a_minute(database, log):
    order(database, 1, seconds=1_000)
    assert take(database, log, clock=lambda: 0.0) == 1
    order(database, 2, seconds=941)
    order(database, 3, seconds=0)
    assert take(database, log, clock=lambda: 30.0) == 1
    assert not Place.decode(log.position("sql:shop/orders")).settled
    assert take(database, log, clock=lambda: 61.0) == 0
    settled = Place.decode(log.position("sql:shop/orders"))
    assert (settled.settled, settled.seen_at) == (True, 0.0)
    order(database, 4, seconds=941)  # after all that could be late has had its time
    assert take(database, log, clock=lambda: 90.0) == 0
    order(database, 5, seconds=1_010)
    assert take(database, log, clock=lambda: 99.0) == 1


def test_a_long_read_begins_again_behind_itself(database, log, monkeypatch):
    monkeypatch.setattr(sql, "PAGE_ROWS", 2)
    for number in range(1, 9):
        order(database, number, seconds=1_000 + number * 10)
    clock = itertools.count(0, 7)
    with sql.open_table("shop", source(database), KINDS) as table:
        table.clock = lambda: float(next(clock))
        pages = table.read(None)
        seen = [draft.source_position for draft in next(pages).drafts]
        order(database, 10, seconds=1_005)  # behind what has been read
        seen += [draft.source_position for page in pages for draft in page.drafts]
    assert set(seen) == {str(number) for number in (*range(1, 9), 10)}


def test_a_read_that_is_cut_short_goes_on_from_its_last_page(database, log, monkeypatch):
    monkeypatch.setattr(sql, "PAGE_ROWS", 2)
    for number in range(1, 9):
        order(database, number, seconds=1_000 * number)
    with sql.open_table("shop", source(database), KINDS) as table:
        pages = table.read(None)
        page = next(pages)
        log.append(page.drafts, table.name, page.position)
        assert [draft.source_position for draft in next(table.read(log.position(table.name))).drafts] == ["2", "3"]
    assert take(database, log) == 6


def test_rows_of_items_and_users_are_versions(database, log):
    run(database, "create table products (sku varchar(20) primary key, title text, size integer, changed integer)")
    for sku in ("007", "8"):
        run(database, "insert into products values (:sku, 'T', 1, 1000000)", sku=sku)
    table = {"table": "products", "id": "sku", "updated_at": "changed", "columns": {"item_id": "sku"}}
    assert take(database, log, **table) == 2
    run(database, "update products set size = 2 where sku = '8'")  # within the same second
    assert [take(database, log, **table), take(database, log, **table)] == [1, 0]
    run(database, "update products set size = 1, changed = 1000001 where sku = '8'")
    assert take(database, log, **table) == 1
    items = parse(log.read(0, 9), KINDS).items
    assert items.item_id == ["007", "8", "8", "8"]
    assert items.attributes == ['{"size":1}', '{"size":1}', '{"size":2}', '{"size":1}']
    run(database, "create view people as select id as user_id, customer as name, updated_at from orders")
    order(database, 1)
    users = {"table": "people", "id": "user_id", "columns": {"kind": "user"}}
    assert take(database, log, **users) == 1
    assert (log.read(4, 5)[0].kind, payloads(log)[4]) == ("user", {"user_id": "1", "name": "001"})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"table": "ordrs"}, "there is no table ordrs; there are orders"),
        ({"id": "nr"}, "table orders has no column 'nr', which id names; there are id, customer, product"),
        ({"updated_at": "x"}, "table orders has no column 'x', which updated_at names"),
        (
            {"columns": {**COLUMNS, "user_id": "who"}},
            "there is no column 'who' for user_id; there are",
        ),
        ({"columns": {**COLUMNS, "user_id": "price", "value": None}}, "table orders: column 'price' is "),
        ({"columns": {"user_id": "customer", "kind": "event"}}, "no column of table orders says when it happened"),
        ({"updated_at": "customer"}, "column 'customer' is no time but '001' (str)"),
        (
            {"columns": {**COLUMNS, "default_event": "order"}},
            "table orders: none of its first 1 rows would be accepted",
        ),
        ({"columns": {**COLUMNS, "timezone": "Mars"}}, "columns.timezone: 'Mars' is no time zone"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(database, log, settings, message):
    order(database, 1)
    with pytest.raises(SourceError) as error:
        take(database, log, **settings)
        take(database, log, **settings)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_null_times_are_refused(database, log):
    run(database, "create table t (id integer primary key, user_id text, item_id text, at integer, changed integer)")
    run(database, "insert into t values (1, 'u', 'i', 1700000000, null)")
    with pytest.raises(SourceError, match="column 'changed' of table t is null in some rows"):
        take(database, log, table="t", updated_at="changed", columns={"occurred_at": "at"})


def test_wrong_hosts_and_credentials_are_named_without_the_password(postgres, tmp_path, log, monkeypatch):
    monkeypatch.setenv("SHOP_PASSWORD", "wr0ng")
    host = postgres.rpartition("@")[2]
    cases = {
        f"postgresql://rec:${{SHOP_PASSWORD}}@{host}": "password authentication failed",
        "postgresql://rec:${SHOP_PASSWORD}@127.0.0.1:9/postgres": "refused",
        f"{postgres}x": "does not exist",
        "postgresql://rec:${NOWHERE}@host/db": "the environment variable NOWHERE",
        f"sqlite:///{tmp_path}/none.db": "there is no SQLite database",
        "oracle://host/db": "no address of a database that can be opened",
        "nonsense": "no address of a database that can be opened",
    }
    refused(cases, tmp_path, log)


@pytest.mark.slow
def test_a_mariadb_that_cannot_be_opened_is_named_without_the_password(mariadb, tmp_path, log):
    host = mariadb.rpartition("@")[2]
    cases = {
        f"mariadb://rec:wr0ng@{host}": "Access denied for user 'rec'",
        f"mysql://nobody:wr0ng@{host}": "Access denied for user 'nobody'",
        "mysql://rec:wr0ng@127.0.0.1:9/mysql": "refused",
        f"{mariadb}x": "Unknown database 'mysqlx'",
    }
    refused(cases, tmp_path, log)


def refused(cases, tmp_path, log):
    """Each address gives an error of one line with this in it, and never the password."""
    for url, message in cases.items():
        settings = Settings(data=tmp_path, sources={"shop": {"type": "sql", "url": url, "table": "t"}})
        with pytest.raises(SourceError) as error:
            configured.collect_once("shop", settings, log)
        assert message in str(error.value)
        assert "wr0ng" not in str(error.value)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("value", "before"),
    [
        (START, START - timedelta(seconds=60)),
        (START.date(), START.date() - timedelta(days=1)),
        (1_700_000_060, 1_700_000_000),
        (1_700_000_060_000, 1_700_000_000_000),
        ("2026-01-01 00:00:59", "2025-12-31 23:59:59"),
        ("2026-01-01T00:01:00.123Z", "2026-01-01T00:00:00.123Z"),
    ],
)
def test_a_minute_earlier(value, before):
    assert earlier(value, 60, "updated_at") == before
    place = Place(value, "1", 5.0, True)
    assert Place.decode(place.encode()) == place

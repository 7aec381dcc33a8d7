import itertools
import json

import pytest

from rec_assets.log import Log
from rec_assets.log.record import Draft
from rec_assets.settings import KINDS
from rec_assets.tables import warehouse
from rec_assets.tables.write import write as write_range

RECEIVED_AT = 1_700_000_000_000_000  # 2023-11-14 22:13:20 UTC


@pytest.fixture
def con():
    with warehouse.connect(":memory:") as con:
        yield con


@pytest.fixture
def log(tmp_path):
    log = Log.open(tmp_path / "log")
    yield log
    log.close()


@pytest.fixture
def add(log):
    """Append records a second apart; a dict is an event, bytes an event as they are, (kind, dict) anything else."""
    seconds = itertools.count()

    def add(*payloads):
        drafts = []
        for payload in payloads:
            kind, body = payload if isinstance(payload, tuple) else ("event", payload)
            event_id = body.get("event_id") if isinstance(body, dict) and kind == "event" else None
            raw = body if isinstance(body, bytes) else json.dumps(body).encode()
            drafts.append(Draft(kind, raw, event_id, received_at=RECEIVED_AT + next(seconds) * 1_000_000))
        return log.append(drafts, "test")

    return add


@pytest.fixture
def write(con, log):
    """Write a range at a fixed time."""

    def write(start, end, kinds=KINDS, con=con):
        return write_range(con, log, start, end, kinds, "run", lambda: RECEIVED_AT + 60_000_000)

    return write


def event(number, at=0, **more):
    """An event of user u and item i<number>, `at` seconds after the first was received."""
    row = {"event_id": f"e{number}", "user_id": "u", "item_id": f"i{number}", "event": "click"}
    return row | {"occurred_at": (RECEIVED_AT + at * 1_000_000) / 1e6} | more


def rows(con, table, columns="*"):
    return con.execute(f"select {columns} from {table} order by all").fetchall()

"""Events that carry an event_id give the same tables in whatever order, pieces and repetitions they come."""

import itertools
import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rec_assets.log import Log
from rec_assets.log.record import Draft
from rec_assets.settings import KINDS, Denoising
from rec_assets.tables import rebuild, warehouse
from rec_assets.tables import write as writing
from rec_tests.tables.conftest import RECEIVED_AT, rows

POLICY = Denoising(burst_events=3, crawler_events=6, crawler_seconds=60, contradiction_seconds=20)
WITHOUT = {
    "interactions": "* exclude (log_offset, received_at)",
    "users": "user_id, first_at, attributes",
    "items": "item_id, first_at, title, categories, attributes",
}
SECONDS = st.integers(0, 90) | st.integers(0, 10**6)


@st.composite
def streams(draw):
    """Events, and how they are told: in which order, how often, under which ids, in which pieces, with crashes."""
    events = [
        {
            "event_id": f"e{number}",
            "user_id": draw(st.sampled_from("uvw")),
            "item_id": draw(st.sampled_from(["a", "b", "c", None])),
            "event": draw(st.sampled_from(["click", "like", "hide", "read", "purchase", "unheard"])),
            "occurred_at": 1_600_000_000 + draw(SECONDS),
            "value": draw(st.none() | st.sampled_from([1, 2.5, 30, -1])),
            "context": draw(st.none() | st.just({"user_agent": "spider"})),
        }
        for number in range(draw(st.integers(1, 14)))
    ]
    told = draw(st.permutations(events + draw(st.lists(st.sampled_from(events), max_size=6))))
    return {
        "events": events,
        "told": [(event, draw(st.booleans())) for event in told],
        "pieces": sorted(draw(st.sets(st.integers(1, len(told)), max_size=4)) | {len(told)}),
        "bulk": draw(st.booleans()),
        "cuts": draw(st.sets(st.integers(1, len(told)), max_size=4)),
        "chunk": draw(st.sampled_from([1, 2, 5, 1_000])),
        "crashes": draw(st.sets(st.integers(0, 4))),
    }


def drafts(told):
    """Some records have an id of their own, so that only the tables can see that an event is there twice."""
    for number, (event, same_id) in enumerate(told):
        at = RECEIVED_AT + number * 1_000_000
        yield Draft("event", json.dumps(event).encode(), event["event_id"] if same_id else None, received_at=at)


def crash():
    raise KeyboardInterrupt


def take_in(con, log, cuts, crashes=()):
    """Write every range between the cuts; before some of them a write that dies just before its commit."""
    bounds = [0, *sorted(cut for cut in cuts if cut < log.head()), log.head()]
    for number, (start, end) in enumerate(itertools.pairwise(bounds)):
        if number in crashes:
            with pytest.raises(KeyboardInterrupt):
                writing.write(con, log, start, end, KINDS, "run", crash, POLICY)
        writing.write(con, log, start, end, KINDS, "run", lambda: RECEIVED_AT, POLICY)


def tables(con):
    return {table: rows(con, table, columns) for table, columns in WITHOUT.items()}


def check(stream):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        with Log.open(path / "one") as log, warehouse.connect(":memory:") as con:
            log.append(list(drafts((event, True) for event in stream["events"])), "test")
            take_in(con, log, ())
            expected = tables(con)
        with Log.open(path / "other") as log:
            told, start = list(drafts(stream["told"])), 0
            for end in stream["pieces"]:
                (log.append_bulk if stream["bulk"] else log.append)(told[start:end], "test")
                start = end
            chunk, writing.CHUNK_ROWS = writing.CHUNK_ROWS, stream["chunk"]
            try:
                with warehouse.connect(path / "w.duckdb") as con:
                    take_in(con, log, stream["cuts"], stream["crashes"])
                    assert tables(con) == expected
                    before = {table: rows(con, table) for table in (*WITHOUT, "rejected_events", "micro_batches")}
                rebuild.rebuild(path / "w.duckdb", log, KINDS, "run", 3, clock=lambda: RECEIVED_AT, policy=POLICY)
                with warehouse.connect(path / "w.duckdb") as con:
                    assert {table: rows(con, table) for table in before} == before
            finally:
                writing.CHUNK_ROWS = chunk


@settings(deadline=None, max_examples=2, suppress_health_check=[HealthCheck.too_slow])
@given(streams())
def test_any_order_gives_the_same_tables(stream):
    check(stream)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(streams())
def test_any_order_gives_the_same_tables_in_300_cases(stream):
    check(stream)

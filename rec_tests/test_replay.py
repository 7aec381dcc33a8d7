"""A replay against a small server: in order, at its pace, each event once, whatever the server does at first."""

import http.server
import json
import threading
import time

import httpx
import pytest

from rec_assets.log import Draft, Log
from rec_assets.replay import ReplayError, read_events, replay
from rec_assets.settings import Settings
from rec_assets.sources import ColumnMapping
from rec_assets.sources.files import LandedFiles
from rec_assets.sources.rows import BrokenFile


class Service(http.server.ThreadingHTTPServer):
    """Answers /feedback from a real log. `plan`: what it does instead with the first requests."""

    def __init__(self, directory, plan=()):
        self.directory, self.plan, self.requests, self.times = directory, list(plan), [], []
        super().__init__(("127.0.0.1", 0), Handler)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        events = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        do = self.server.plan.pop(0) if self.server.plan else 200
        if do in (429, 503, 400):
            return self.answer(do, {"error": {"message": "not now"}})
        wrong = [place for place, event in enumerate(events) if "user_id" not in event]
        if wrong:
            return self.answer(
                422, {"error": {"message": "user_id: is missing", "field": "user_id", "index": wrong[0]}}
            )
        self.server.requests.append(events)
        self.server.times.append(time.perf_counter())
        with Log.open(self.server.directory) as log:
            offsets = log.append([Draft("event", json.dumps(e).encode(), e["event_id"]) for e in events], "http")
        if do == "hang up":  # stored, but the client never hears of it
            self.close_connection = True
            return None
        return self.answer(200, {"accepted": len(events), "offsets": offsets})

    def answer(self, status, body):
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


@pytest.fixture
def serve(tmp_path):
    servers = []

    def start(*plan):
        server = Service(tmp_path / "log", plan)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        client = httpx.Client(base_url=f"http://127.0.0.1:{server.server_port}", timeout=5)
        return server, client

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def events(count, seconds=0.0):
    return [
        {"event_id": f"e{n}", "user_id": "u", "item_id": "i", "event": "click", "occurred_at": 1000 + n * seconds}
        for n in range(count)
    ]


def stored(tmp_path):
    with Log.open(tmp_path / "log") as log:
        return [record.event_id for record in log.read(0, log.head())]


def test_events_arrive_in_order_once_whatever_happens_first(serve, tmp_path):
    _, client = serve(503, 429, "hang up", 503)
    told = []
    result = replay(
        events(30), client, rate=1e6, on_sent=lambda batch, at, offsets: told.extend(zip(batch, offsets, strict=True))
    )
    assert result == (30, 0)
    assert stored(tmp_path) == [f"e{n}" for n in range(30)]
    assert [(event["event_id"], offset) for event, offset in told] == [(f"e{n}", n) for n in range(30)]


def test_a_rate_is_kept(serve):
    server, client = serve()
    started = time.perf_counter()
    replay(events(40), client, rate=100)
    assert 0.35 < time.perf_counter() - started < 10
    assert 1 < len(server.requests) <= 40


def test_a_speed_is_kept(serve):
    server, client = serve()
    started = time.perf_counter()
    replay(events(4, seconds=10), client, speed=100)
    arrived = [at - started for batch, at in zip(server.requests, server.times, strict=True) for _ in batch]
    assert all(at >= 0.1 * place for place, at in enumerate(arrived))  # a slow machine may send late ones together
    assert arrived[-1] < 10
    assert len(server.requests) > 1


def test_what_is_due_together_goes_together(serve):
    server, client = serve()
    replay(events(1200), client, speed=1)
    assert [len(batch) for batch in server.requests] == [500, 500, 200]


def test_events_that_are_refused_are_counted_and_the_rest_goes_on(serve, tmp_path):
    _, client = serve()
    mixed = events(10)
    for place in (0, 4, 9):
        del mixed[place]["user_id"]
    assert replay(mixed, client, rate=1e6) == (7, 3)
    assert stored(tmp_path) == ["e1", "e2", "e3", "e5", "e6", "e7", "e8"]


def test_it_gives_up_in_the_end(serve):
    _, client = serve(400)
    with pytest.raises(ReplayError, match=r"answered 400: .*not now"):
        replay(events(1), client, rate=1)
    with pytest.raises(ReplayError, match=r"cannot be reached .* for 0 seconds"):
        replay(events(1), httpx.Client(base_url="http://127.0.0.1:9"), rate=1, patience=0.3)


def test_a_file_has_the_same_event_ids_when_it_is_replayed_again_or_landed(serve, tmp_path):
    server, client = serve()
    path = tmp_path / "events.csv"
    path.write_text("who,item,ts,rating\n007,a,881250949,4\nNA,b,1997-12-04T15:55:49Z,5\nx\n")
    mapping = ColumnMapping(user_id="who")
    for _ in range(2):
        assert replay(read_events(path, mapping), client, rate=1e6) == (2, 1)
    assert server.requests[0][0] | {"event_id": ""} == {
        "event_id": "", "user_id": "007", "item_id": "a", "event": "rating", "value": 4, "occurred_at": 881250949
    }  # fmt: skip
    assert len(stored(tmp_path)) == 2
    settings = Settings(data=tmp_path)
    settings.landing_dir.mkdir()
    path.rename(settings.landing_dir / "events.csv")
    with Log.open(settings.log_dir) as log:
        assert LandedFiles(settings.landing_dir, mapping).collect(log)[0].records == 1  # the row that was refused


def test_a_file_of_items_is_no_stream(tmp_path):
    path = tmp_path / "items.csv"
    path.write_text("item,title\n1,T\n")
    with pytest.raises(BrokenFile, match="items, not events"):
        next(read_events(path, ColumnMapping()))

"""Alerts reach a real HTTP server as JSON; one that is away, slow or wrong holds nothing up."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import msgspec
import pytest

from rec_assets import alerts
from rec_assets.alerts import raise_alert
from rec_assets.settings import Alerts, Settings
from rec_assets.tables import promise, status, warehouse


@pytest.fixture
def webhook():
    """(URL, bodies that came, statuses to answer with first)."""
    bodies, statuses = [], []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(statuses.pop(0) if statuses else 204)
            self.end_headers()

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/", bodies, statuses
        server.shutdown()


def settings(url):
    return Settings(alerts=Alerts(webhook=url))


def test_an_alert_is_json_with_kind_text_time_and_figures(webhook):
    url, bodies, _ = webhook
    raise_alert(settings(url), "rolled back", "worse", n=128).join(10)
    [body] = bodies
    assert (body["kind"], body["text"], body["figures"]) == ("rolled back", "worse", {"n": 128})
    assert abs(body["at"] / 1e6 - time.time()) < 60


@pytest.mark.parametrize(("answers", "tries"), [([503, 503], 3), ([503] * 9, alerts.TRIES), ([404], 1)])
def test_it_is_sent_again_a_few_times_where_that_may_help(webhook, monkeypatch, answers, tries):
    monkeypatch.setattr(alerts, "FIRST_WAIT_SECONDS", 0.01)
    url, bodies, statuses = webhook
    statuses.extend(answers)
    raise_alert(settings(url), "drift", "loss").join(10)
    assert len(bodies) == tries


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/", "no url at all"])
def test_nobody_waits_for_a_webhook_that_is_not_there(monkeypatch, url):
    monkeypatch.setattr(alerts, "FIRST_WAIT_SECONDS", 0.01)
    threads = [raise_alert(settings(url), "drift", "loss") for _ in range(3)]
    for thread in threads:
        thread.join(20)
    assert alerts._slots._value == alerts.IN_FLIGHT
    assert raise_alert(settings(""), "drift", "loss") is None


def test_a_slow_webhook_gets_no_more_than_so_many_at_once(monkeypatch):
    monkeypatch.setattr(alerts, "TIMEOUT_SECONDS", 0.3)
    monkeypatch.setattr(alerts, "FIRST_WAIT_SECONDS", 0.01)
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as deaf:  # accepts and never answers
        url = f"http://127.0.0.1:{deaf.server_port}/"
        threads = [raise_alert(settings(url), "drift", "loss") for _ in range(alerts.IN_FLIGHT + 2)]
        assert threads[alerts.IN_FLIGHT :] == [None, None]
        for thread in threads[: alerts.IN_FLIGHT]:
            thread.join(20)


def test_only_a_change_of_the_promise_is_told(webhook):
    url, bodies, _ = webhook
    with warehouse.connect(":memory:") as con:
        fine = status.build(con, None, None, 0)
    late = msgspec.structs.replace(fine, promise_broken=["p50 5.0 s, promised 4 s"])
    for before, now in ((None, fine), (fine, late), (late, late), (late, fine), (fine, fine)):
        promise.tell(settings(url), before, now)
        for thread in threading.enumerate():
            if thread.name == "alert":
                thread.join(10)
    assert [body["kind"] for body in bodies] == ["freshness broken", "freshness kept again"]
    assert bodies[0]["text"] == "p50 5.0 s, promised 4 s"

import json
import time

import httpx
import pytest
from in_process import InProcess
from live_service import fill, settings_in

from rec_assets.serving import pages
from rec_assets.tables import recent, status

NOW = 1_000_000_000_000_000  # µs
TOLD = {"ready": True, "behind": 0, "behind_since": None, "checkpoint": "c1", "rules_error": None}
TIMES = {"p50_s": 2.0, "p95_s": 3.0, "p99_s": 4.0, "n": 500}


def loop_status(**changes):
    """What the pipeline writes when it has run for a while."""
    batches = [
        recent.Batch(i * 100, i * 100 + 100, "promoted", None, f"c{i}", 90, 10, NOW, NOW, 2.0 + i / 10)
        for i in range(8)
    ]
    batches += [recent.Batch(800, 900, "refused", "the loss rose", "c8", 100, 0, NOW, None, None)]
    batches += [recent.Batch(900, 1000, "skipped", "rolled back: worse than c3", "c9", 100, 0, NOW, NOW, None)]
    curve = recent.Curve([100, 200, 300], {"online": [0.2, 0.25, 0.3], "frozen": [0.2, None, 0.15]})
    rejections = [recent.Rejection("kind", "event", 42, "no such kind", "poke")]
    sources = [recent.Source("landing", 900, NOW, 3_600.0), recent.Source("http", 90, NOW, 0.2)]
    drawn = recent.Recent(curve=curve, batches=batches, rejections=rejections, sources=sources)
    figures = {
        "log_id": "a", "format_version": 1, "end": 1_000, "open": [], "skipped": [], "checkpoint": "c9",
        "watermark": 1_000, "events": 990, "rejected": 80, "micro_batches": 10,
        "metrics": {"online": {"n": 500, "hit20": 0.28}, "frozen": {"n": 500, "hit20": 0.17}},
        "drift": [status.Alarm(300, 400, "kind click (ADWIN): 0.4 to 0.9")], "recent": drawn,
        "freshness": {"weights": TIMES, "own": None}, "updated_at": time.time_ns() // 1_000,
    }  # fmt: skip
    return status.Status(**figures | changes)


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    settings = settings_in(tmp_path_factory.mktemp("operators"))
    fill(settings, 50).close()
    service = InProcess(settings)
    yield service
    service.stop()


@pytest.fixture
def visit(service, chromium):
    def visit(found=None, **size):
        path = service.worker.settings.status_path
        path.unlink(missing_ok=True)
        if found is not None:
            status.write(path, found)
        chromium.size(**{"width": 1280, "height": 900, **size})
        chromium.open(f"http://127.0.0.1:{service.port}/operators")
        chromium.wait(
            "document.querySelectorAll('.tile').length > 3 && document.querySelector('#requests table') !== null"
        )
        return chromium

    return visit


def read(browser, id_):
    return browser.run(f"document.getElementById({id_!r}).textContent")


def test_before_the_first_run_every_part_says_that_there_is_no_data(visit):
    browser = visit()
    assert read(browser, "verdict-title") == "No data yet"
    for id_ in ("proof", "freshness", "batches", "promotions", "rejections", "sources", "drift"):
        assert read(browser, id_).startswith("No data yet"), id_
    assert browser.run("document.querySelectorAll('#workers tbody tr').length") == 1
    assert browser.problems == []
    assert browser.violations() == []


def test_what_happened_is_told_and_drawn(visit, tmp_path):
    browser = visit(loop_status())
    browser.wait("document.querySelector('#verdict').className === 'kept'")
    assert browser.run("document.querySelectorAll('#proof .line').length") == 2
    assert browser.run("document.querySelectorAll('#batches .bar-of').length") == 10
    assert browser.run("document.querySelectorAll('#freshness .meter').length") == 3
    assert "rolled back: worse than c3" in read(browser, "promotions")
    assert "the loss rose" in read(browser, "promotions")
    assert "poke: no such kind" in read(browser, "rejections")
    assert "42" in read(browser, "rejections")
    assert "landing" in read(browser, "sources")
    assert "kind click (ADWIN): 0.4 to 0.9" in read(browser, "drift")
    browser.wait("/^\\d/.test(document.querySelectorAll('.tile b')[1].textContent)")  # requests a second
    assert browser.violations() == []
    assert browser.problems == []


def test_a_broken_promise_is_the_first_thing_one_sees(visit):
    browser = visit(loop_status(promise_broken=["p95 9.0 s, promised 8 s"]), dark=True)
    browser.wait("document.querySelector('#verdict').className === 'broken'")
    assert "p95 9.0 s, promised 8 s" in read(browser, "verdict-words")
    assert browser.violations() == []


def test_it_fits_a_phone(visit):
    browser = visit(loop_status(), width=390, height=844, phone=True)
    browser.wait("document.querySelector('#verdict').className === 'kept'")
    assert browser.run("document.documentElement.scrollWidth") <= 390
    assert browser.problems == []


@pytest.mark.parametrize(
    ("told", "live", "kind", "title"),
    [
        (None, None, "unknown", "Asking the service"),
        (None, False, "down", "The service does not answer"),
        ({"ready": False}, True, "warn", "The service is getting warm"),
        ({}, True, "unknown", "No data yet"),
        (
            {"pipeline": {"updated_at": NOW, "promise_broken": [], "freshness": {"weights": None}}},
            True,
            "unknown",
            "No",
        ),
        (
            {"behind": 7, "behind_since": NOW - 300e6, "pipeline": {"updated_at": NOW - 400e6}},
            True,
            "down",
            "The loop is",
        ),
        # A run has just ended, and the gate let nothing pass: that is no loop that stands still.
        (
            {
                "behind": 7,
                "behind_since": NOW - 300e6,
                "pipeline": {"updated_at": NOW, "promise_broken": [], "freshness": {"weights": TIMES}},
            },
            True,
            "kept",
            "The promise is kept",
        ),
        ({"rules_error": "line 3", "pipeline": {"updated_at": NOW}}, True, "warn", "The business rules"),
    ],
)
def test_the_verdict(visit, chromium, told, live, kind, title):
    browser = chromium if chromium.run("location.pathname") == "/operators" else visit()
    given = json.dumps(None if told is None else TOLD | told)
    asked = f"import('/page/verdict.js').then((m) => m.verdict({given}, {json.dumps(live)}, {NOW / 1e3}))"
    found = browser.run(asked)
    assert found["kind"] == kind
    assert found["title"].startswith(title)


def test_the_files_hold_nothing_that_the_policy_forbids():
    policy = pages.HEADERS["Content-Security-Policy"]
    assert "unsafe" not in policy and "https:" not in policy
    for name in pages.PAGES.values():
        text = (pages.FOLDER / name).read_text()
        assert "<style" not in text and " style=" not in text and " on" + "click=" not in text
        assert text.count("<script") == text.count('<script type="module" src="page/')
    for path in pages.FOLDER.iterdir():
        assert not path.read_text().count("http://") - path.read_text().count("http://www.w3.org/")


def test_a_file_that_is_the_same_is_not_sent_again(service):
    with httpx.Client(base_url=f"http://127.0.0.1:{service.port}") as http:
        first = http.get("/page/base.css")
        assert first.headers["content-type"].startswith("text/css")
        assert first.headers["content-security-policy"] == pages.HEADERS["Content-Security-Policy"]
        again = http.get("/page/base.css", headers={"If-None-Match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        assert http.get("/page/../pages.py").status_code == 404

"""The guide's own source, run from the page's text, and what any source gets from `collect`."""

import http.server
import json
import re
import sys
import threading
import tomllib
from pathlib import Path

import pytest

from rec_assets.events import parse
from rec_assets.log import Draft, Log
from rec_assets.settings import KINDS, Settings
from rec_assets.sources import Batch, SourceError, collect, configured

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "own-source.md"
PLAYS = [{"number": n, "who": f"u{n % 3}", "what": f"00{n}", "at": 1_700_000_000 + n} for n in range(1, 8)]


@pytest.fixture
def log(tmp_path):
    with Log.open(tmp_path / "log") as log:
        yield log


@pytest.fixture
def api():
    """The guide's API: pages of three plays."""
    plays = PLAYS[:5]

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            after = int(self.path.rpartition("=")[2])
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps([play for play in plays if play["number"] > after][:3]).encode())

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/plays", plays
        server.shutdown()


def test_the_guides_source_runs_as_it_stands_there(tmp_path, monkeypatch, log, api):
    url, plays = api
    code, toml = (re.search(rf"```{kind}\n(.*?)```", GUIDE.read_text(), re.DOTALL)[1] for kind in ("python", "toml"))
    (tmp_path / "shop_plays.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    settings = Settings(data=tmp_path, **tomllib.loads(toml))
    settings.sources["plays"].options["url"] = url
    (collected,) = configured.collect_once("plays", settings, log)
    assert collected == (f"plays:{url}", 5, 0, 5, None)
    plays += PLAYS[5:]
    assert configured.collect_once("plays", settings, log)[0].records == 2
    assert configured.collect_once("plays", settings, log)[0].records == 0
    found = parse(log.read(0, 99), KINDS)
    assert (found.events.item_id, len(found.rejected)) == ([f"00{n}" for n in range(1, 8)], 0)
    assert log.position(f"plays:{url}") == "7"
    assert len([line for line in code.splitlines() if line.strip()]) <= 30
    with pytest.raises(SourceError, match="plays: <urlopen error"):
        settings.sources["plays"].options["url"] = "http://127.0.0.1:9/plays"
        configured.collect_once("plays", settings, log)


class Counting:
    """Numbers up to `upto`, three at a time; each batch begins with the last one of the batch before."""

    name = "counting"

    def __init__(self, upto):
        self.upto = upto

    def read(self, position):
        at = int(position or 0)
        while at < self.upto:
            end = min(at + 3, self.upto)
            yield Batch([Draft("event", b"{}", source_position=str(n)) for n in range(max(at - 1, 0), end)], str(end))
            at = end


def test_what_is_read_twice_is_stored_once(log):
    seen = []
    assert collect(Counting(7), log, lambda name, rows: seen.append((name, rows))) == ("counting", 7, 0, 7, None)
    assert seen == [("counting", 3), ("counting", 7), ("counting", 9)]
    assert collect(Counting(7), log).records == 0
    assert collect(Counting(9), log) == ("counting", 2, 7, 9, None)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("nowhere:Plays", "No module named 'nowhere'"),
        ("json:Plays", "no attribute 'Plays'"),
        ("json:loads", "missing 1 required positional argument"),
    ],
)
def test_a_class_that_cannot_be_opened_is_named(tmp_path, log, call, message):
    settings = Settings(data=tmp_path, sources={"mine": {"type": "python", "call": call}})
    with pytest.raises(SourceError, match=f"{call}.*{message}"):
        configured.collect_once("mine", settings, log)
    with pytest.raises(SourceError, match=r"no source is named 'yours' in rec\.toml; there are mine"):
        configured.collect_once("yours", settings, log)

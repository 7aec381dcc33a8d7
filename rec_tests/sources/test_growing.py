"""Files that grow are read on from where they ended, row by whole row."""

import msgspec
import pytest

from rec_assets.events import parse
from rec_assets.settings import KINDS, FileSource, Settings
from rec_assets.sources import configured, growing


@pytest.fixture
def follow(tmp_path, log):
    """Appends to a file, collects, and returns (new user_ids, error)."""

    def follow(content, name="a.csv", mode="ab", **source):
        with (tmp_path / name).open(mode) as file:
            file.write(content if isinstance(content, bytes) else content.encode())
        origin = FileSource(type="files", url=str(tmp_path / name), follow=True, **source)
        settings, head = Settings(data=tmp_path, sources={"clicks": origin}), log.head()
        (collected,) = configured.collect_once("clicks", settings, log)
        assert collected.error or collected.records == log.head() - head
        events = parse(log.read(head, log.head()), KINDS).events
        return events.user_id, collected.error

    return follow


def test_csv_is_read_on_from_the_last_whole_row(follow, log):
    assert follow("user,i") == ([], None)
    assert follow("tem\nu1,i\nu2,") == (["u1"], None)
    assert follow("i\n") == (["u2"], None)
    assert follow('"u\n3","i') == ([], None)
    assert follow("\n") == ([], None)
    assert follow('j"\n\n\nu4,i\n')[0] == ["u4"]  # an id with a line end in it is rejected later
    assert follow("") == ([], None)
    assert follow("\nu5,i\n") == (["u5"], None)
    assert log.head() == 5
    assert log.read(0, 1)[0].source_position == "0:10"


def test_json_lines_are_read_on(follow, log, monkeypatch):
    monkeypatch.setattr(growing, "BATCH_ROWS", 2)
    lines = [msgspec.json.encode({"user": f"u{n}", "item": "i"}) + b"\n" for n in range(7)]
    assert follow(b"".join(lines[:3]) + lines[3][:9], "a.jsonl") == (["u0", "u1", "u2"], None)
    assert follow(lines[3][9:] + b"\nbroken\n" + b"".join(lines[4:]), "a.jsonl") == (["u3", "u4", "u5", "u6"], None)
    assert (log.head(), log.read(4, 5)[0].payload) == (8, b"broken")
    assert msgspec.json.decode(log.position(log.read(0, 1)[0].source))["line"] == 9


def test_another_file_under_the_same_name_begins_anew(follow, tmp_path):
    assert follow("user,item\nu1,i\nu2,i\n")[0] == ["u1", "u2"]
    assert follow("user,item\nu3,i\n", mode="wb")[0] == ["u3"]
    assert follow("item,user\nj,u4\ni,u5\n", mode="wb")[0] == ["u4", "u5"]
    (tmp_path / "a.csv").replace(tmp_path / "a.csv.1")
    assert follow("item,user\n")[0] == []
    assert follow("j,u4\n")[0] == ["u4"]


def test_what_cannot_be_read_stops_there_and_goes_on_when_it_is_mended(follow):
    users, error = follow("user,item,ts\nu1,i,1700000000\nu2,i,1700000000000\n")
    assert users == ["u1"]
    assert error.startswith("a.csv, line 3, column 'ts': by its size it is in ms")
    assert follow("", columns={"time_format": "ms"}) == (["u2"], None)
    users, error = follow("u,i\n", "b.csv")
    assert error.startswith("b.csv: no column names the user")
    assert follow(b"", "c.csv.gz")[1].startswith("c.csv.gz: only plain CSV and JSON lines can be followed")


def test_the_unit_of_times_holds_from_one_read_to_the_next(follow):
    assert follow("user,item,ts\nu1,i,1700000000\n")[0] == ["u1"]
    assert "those before it are in s" in follow("u2,i,1700000000000\n")[1]


def test_a_file_of_which_nothing_is_accepted_says_so_and_its_rows_are_kept(follow, log):
    odd = "u,i,dance\n"
    users, error = follow("user,item,event\n" + odd * 3)
    assert users == []
    assert "none of its 3 rows would be accepted; check columns" in error
    assert "event: is not one of" in error
    assert log.head() == 3
    assert follow(odd) == ([], None)  # one wrong row among others is none of the file's
    assert "none of its 100 rows" in follow(odd * 100)[1]
    assert follow("u,i,view\n" + odd * 200) == (["u"], None)
    assert log.head() == 305

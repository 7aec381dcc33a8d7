"""CSV as people's tools write it: read right, or an error that names file, line, column, value and setting."""

import gzip

import msgspec
import pyarrow as pa
import pytest

from rec_assets.settings import Csv, FileSource, Settings
from rec_assets.sources import collect_landed
from rec_assets.sources.rows import BrokenFile, open_rows


def write(tmp_path, content, name="a.csv"):
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return tmp_path / name


def read(tmp_path, content, **form):
    _, rows = open_rows(write(tmp_path, content), Csv(**form))
    return [row.values for row in rows]


@pytest.mark.parametrize(
    ("content", "form"),
    [
        ("user,item\n007,a b\n", {}),
        ("\ufeffuser,item\n007,a b\n", {}),
        ("user;item\r\n007;a b\r\n", {}),
        ("user\titem\n007\ta b", {}),
        ('"user"|"item"\n"007"|"a b"\n', {}),
        ("sep=;\nuser;item\n007;a b\n", {}),
        ("user,item,\n007,a b,\n", {}),
        ("user,item,,\n007,a b,,\n,,,\n", {}),
        ("user,item\n007,a b,,\n\n\n", {}),
        (" user , item \n007,a b\n", {}),
        ('"user","item;id;x"\n007,a b\n'.replace("item;id;x", "item"), {}),
        ("user;item\n007;a b\n".encode("utf-16"), {}),
        ("user;item\n007;a b\n".encode("utf-16-le"), {"encoding": "utf-16-le"}),
        ("user~item\n'007'~'a b'\n", {"delimiter": "~", "quote": "'"}),
    ],
)
def test_dialects_are_understood(tmp_path, content, form):
    assert read(tmp_path, content, **form) == [{"user": "007", "item": "a b"}]


def test_cells_keep_what_stands_in_them(tmp_path):
    content = 'user,item\n"a\nb","c,""d"" e"\n' + '24" screen,x\n' + "é😀, NA \n"
    values = [("a\nb", 'c,"d" e'), ('24" screen', "x"), ("é😀", " NA ")]
    assert read(tmp_path, content) == [{"user": user, "item": item} for user, item in values]
    assert read(tmp_path, "user,item\nä,ß\n".encode("cp1252"), encoding="cp1252") == [{"user": "ä", "item": "ß"}]
    escaped = b'user,item\na\\,b,"c\\"d"\n'
    assert read(tmp_path, escaped, escape="\\") == [{"user": "a,b", "item": 'c"d'}]
    assert read(tmp_path, 'user,item\n"a,b"\n', quote="") == [{"user": '"a', "item": 'b"'}]


def test_a_quote_that_first_appears_in_row_100_000(tmp_path):
    rows = "".join(f"u{n},i\n" for n in range(100_000))
    assert read(tmp_path, f'user,item\n{rows}"u,v","a\nb"\nx,24" y\n')[-2:] == [
        {"user": "u,v", "item": "a\nb"},
        {"user": "x", "item": '24" y'},
    ]
    with pytest.raises(BrokenFile, match=r"^a.csv, line 100002, column 'item': .*set csv.quote to \"\""):
        read(tmp_path, f'user,item\n{rows}u,"24 inch" screen\n')


@pytest.mark.parametrize(
    ("content", "form", "message"),
    [
        (
            "user,item\nu,i\na\\,b,i\n",
            {},
            r"a.csv, line 3, column 'user': does the backslash escape the delimiter? Set",
        ),
        ('user,item\nu,"a\\"b"\n', {}, r'a.csv, line 2, column \'item\': .*set csv.escape to "\\\\"'),
        ('user,item\nx,y\nu,"a" b,c\n', {}, r"a.csv, line 3, column 'item': .*set csv.quote to \"\" .*: \"a\" b"),
        ('user,item\nx,"y\nu,i\nu,i\n', {}, r"a.csv, line 2, column 'item': .*\(unexpected end of data\)"),
        ("user,item\nä,i\n".encode("cp1252"), {}, r"a.csv, line 2: the text is not UTF-8; set csv.encoding"),
        ("user,item\nu,i\n", {"encoding": "utf-99"}, r"a.csv: csv.encoding: 'utf-99' is no known encoding"),
        ("user,item\nu,i\n", {"encoding": "utf-16"}, r"a.csv: the text is not UTF-16"),
        ("", {}, "a.csv: the file is empty"),
        ("\n\n", {}, "a.csv, line 1: the first line names no columns"),
        (f"user,item\nu,i\nu,{'x' * 2_000_000}\n", {}, r"a.csv, line 3, column 'item': .*field larger than"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, content, form, message):
    with pytest.raises(BrokenFile, match=message.replace("?", r"\?")) as error:
        read(tmp_path, content, **form)
    assert len(str(error.value)) < 500


@pytest.fixture
def land(tmp_path, log):
    """Lands a file; returns (payloads stored, error)."""

    def land(content, name="a.csv", **source):
        settings = Settings(data=tmp_path, sources={"landing": FileSource(type="files", **source)})
        settings.landing_dir.mkdir(exist_ok=True)
        write(settings.landing_dir, content, name)
        (collected,) = collect_landed(settings, log)
        records = log.read(collected.start, collected.end)
        return [msgspec.json.decode(record.payload) for record in records], collected.error

    return land


def test_decimal_commas_are_set_or_an_error(land):
    content = "user;item;value\nu;i;1\nu;i;4,5\n"
    assert land(content)[1] == (
        'a.csv, line 3, column \'value\': is the comma its decimal sign? Set columns.decimal to "," or ".": 4,5'
    )
    values = "user;item;value\nu;i;4,5\nu;i;1.234,5\nu;i;1.234\nu;i;-7\nu;i;0.5\n"
    assert [row["value"] for row in land(values, columns={"decimal": ","})[0]] == [4.5, 1234.5, 1234, -7, "0.5"]
    values = "user;item;value\nu;i;1,234\nu;i;1,234.5\nu;i;4,5\n"
    assert [row["value"] for row in land(values, columns={"decimal": "."})[0]] == [1234, 1234.5, "4,5"]


def test_columns_and_dialect_come_from_the_settings(land):
    content = "who~what~x\n007~i~1\n"
    columns = {"user_id": "who", "item_id": "what", "default_event": "view"}
    stored, error = land(content, columns=columns, csv={"delimiter": "~"})
    assert (stored, error) == ([{"user_id": "007", "item_id": "i", "x": "1", "event": "view"}], None)
    _, error = land(content, columns={**columns, "value": "y"}, csv={"delimiter": "~"}, name="b.csv")
    assert error is None  # the same content was taken already
    _, error = land(content + "\n", columns={**columns, "value": "y"}, csv={"delimiter": "~"}, name="b.csv")
    assert error == "b.csv: there is no column 'y' for value; there are who, what, x: set columns.value"


def test_a_file_of_which_no_row_is_accepted_is_refused(land):
    stored, error = land("user,item,event\nu,i,add\nu,i,drop\n")
    assert stored == []
    assert error.startswith(
        "a.csv: none of its 2 rows would be accepted; check columns, csv and kinds in the settings;"
    )
    assert "row 2: event: is not one of" in error
    _, error = land("user,item,value\nu,i,4,5\nu,i,3,5\n")
    assert 'row 2: the payload is not a JSON object: ["u","i","4","5"]' in error


def test_a_header_alone_is_a_file_without_rows(land):
    assert land("user,item\n") == ([], None)


def test_compressed_with_zstd(land, tmp_path):
    content = b"user,item\n" + b"u,i\n" * 9_000
    packed = pa.Codec("zstd").compress(content, asbytes=True)
    assert len(land(packed, "a.csv.zst")[0]) == 9_000
    assert len(land(pa.Codec("zstd").compress(b'{"user":"u","item":"i"}', asbytes=True), "b.jsonl.zst")[0]) == 1
    for broken in (packed[: len(packed) // 2], b"user,item\nu,i\n"):
        assert land(broken, "c.csv.zst")[1].startswith("c.csv.zst: the compressed file is damaged")
    assert land(gzip.compress(b""), "d.csv.gz")[1] == "d.csv.gz, line 1: the first line names no columns"

"""Times of a column: numbers of one unit, ISO text with and without a zone, and forms that are set."""

import pytest

from rec_assets.settings import Columns
from rec_assets.sources import ColumnMapping, SourceError
from rec_assets.sources.rows import BrokenFile, Row
from rec_assets.sources.times import Times
from rec_assets.validation import read_micros

NOON = 1_769_860_800  # 2026-01-31 12:00 UTC


@pytest.mark.parametrize(
    ("value", "settings"),
    [
        (NOON, {}),
        (str(NOON), {}),
        (f"{NOON}.0", {}),
        (NOON * 1_000, {}),
        (str(NOON * 1_000_000), {}),
        ("2026-01-31T12:00:00Z", {}),
        ("2026-01-31 13:00:00+01:00", {}),
        ("2026-01-31 12:00:00", {}),
        ("2026-01-31 13:00:00", {"timezone": "Europe/Berlin"}),
        ("2026-01-31 12:00:00Z", {"timezone": "Europe/Berlin"}),
        ("31.01.2026 12:00", {"time_format": "%d.%m.%Y %H:%M"}),
        ("31.01.2026 13:00", {"time_format": "%d.%m.%Y %H:%M", "timezone": "Europe/Berlin"}),
        ("31.01.2026 13:00 +0100", {"time_format": "%d.%m.%Y %H:%M %z", "timezone": "Asia/Tokyo"}),
        ("2026013112", {"time_format": "%Y%m%d%H"}),
        (2026013112, {"time_format": "%Y%m%d%H"}),
        (str(NOON), {"time_format": "s"}),
    ],
)
def test_one_moment_in_many_forms(value, settings):
    assert read_micros(Times(Columns(**settings)).read(value)) == NOON * 1_000_000


def test_a_unit_that_is_set_holds_for_small_numbers_too():
    assert read_micros(Times(Columns(time_format="ms")).read("1000")) == 1_000_000
    assert read_micros(Times(Columns(time_format="us")).read(1_000)) == 1_000
    assert read_micros(Times(Columns(time_format="s")).read("20260131")) == 20_260_131_000_000


@pytest.mark.parametrize("value", ["yesterday", "31.01.2026", "", True, None, [1], "1e999"])
def test_what_is_no_time_stays_as_it_is_for_the_validation(value):
    for settings in ({}, {"timezone": "Europe/Berlin"}, {"time_format": "%H:%M"}):
        with pytest.raises((ValueError, OverflowError)):
            read_micros(Times(Columns(**settings)).read(value))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([NOON, NOON * 1_000], "a.csv, line 2, column 'ts': by its size it is in ms, those before it are in s; set"),
        (["0", str(NOON * 1_000), str(NOON)], "a.csv, line 3, column 'ts': by its size it is in s, those before"),
        (["20260131"], "a.csv, line 1, column 'ts': a date, or seconds since 1970? set columns.time_format"),
    ],
)
def test_what_can_be_understood_in_two_ways_is_an_error(values, message):
    mapping = ColumnMapping().of({"user": "", "item": "", "ts": ""}, "a.csv")
    with pytest.raises(BrokenFile) as error:
        for number, value in enumerate(values, 1):
            mapping.draft(Row(number, {"user": "u", "item": "i", "ts": value}))
    assert str(error.value).startswith(message)
    assert str(error.value).endswith(str(values[-1]))


def test_a_time_zone_has_to_exist():
    with pytest.raises(SourceError, match="'Mars' is no time zone"):
        Times(Columns(timezone="Mars"))

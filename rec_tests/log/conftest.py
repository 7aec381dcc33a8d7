"""A log whose groups of rows and segments are small, so that few records fill several."""

import pytest

from rec_assets.log import Log, compaction, segments


@pytest.fixture
def log(tmp_path, monkeypatch):
    monkeypatch.setattr(segments, "GROUP_ROWS", 7)
    monkeypatch.setattr(compaction, "SEGMENT_ROWS", 20)
    with Log.open(tmp_path / "log") as log:
        yield log

"""Settings come from the environment, then rec.toml, then the defaults; what is not known is refused."""

import pytest
from pydantic import ValidationError

from rec_assets.settings import Settings


def test_the_environment_goes_before_the_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rec.toml").write_text("service_port = 4000\n[train]\nwindow = 20\n")
    assert (Settings().service_port, Settings().train.window) == (4000, 20)
    monkeypatch.setenv("REC_SERVICE_PORT", "5000")
    monkeypatch.setenv("REC_TRAIN__REPEATS", "true")
    assert (Settings().service_port, Settings().train.repeats) == (5000, True)


def test_a_misspelt_setting_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rec.toml").write_text("servce_port = 4000\n")
    with pytest.raises(ValidationError, match="servce_port"):
        Settings()


def test_everything_lies_below_data():
    settings = Settings()
    for path in (settings.log_dir, settings.landing_dir, settings.warehouse_path, settings.checkpoints_dir):
        assert settings.data in path.parents

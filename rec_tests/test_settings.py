"""Settings come from the environment, then rec.toml, then the defaults; what is not known is refused."""

import pytest
from pydantic import ValidationError

from rec_assets.settings import DOMAINS, Kind, Settings


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


def test_a_domain_gives_the_kinds_of_events_unless_they_are_given(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Settings().kinds == DOMAINS["any"]
    monkeypatch.setenv("REC_DOMAIN", "news")
    assert set(Settings().kinds) == {"impression", "read", "like", "skip"}
    (tmp_path / "rec.toml").write_text("[kinds.listen]\nweight = 0.5\nvalue = 'seconds'\nleast = 0\n")
    assert Settings().kinds == {"listen": Kind(0.5, value="seconds", least=0.0)}
    monkeypatch.setenv("REC_DOMAIN", "nwes")
    with pytest.raises(ValidationError, match="nwes"):
        Settings()


@pytest.mark.parametrize("domain", list(DOMAINS))
def test_every_domain_has_a_target_and_only_counts_against_what_is_none(domain):
    kinds = Settings(domain=domain).kinds
    assert any(kind.target for kind in kinds.values())
    assert not any(kind.target for kind in kinds.values() if kind.weight <= 0)

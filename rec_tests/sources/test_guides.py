"""The settings that the guides show are settings."""

import re
import tomllib
from pathlib import Path

import pytest

from rec_assets.settings import Settings

GUIDES = Path(__file__).parents[2] / "docs" / "guides"
BLOCKS = [
    (path.name, block)
    for path in GUIDES.glob("*.md")
    for block in re.findall(r"```toml\n(.*?)```", path.read_text(), re.DOTALL)
]


@pytest.mark.parametrize(("page", "toml"), BLOCKS)
def test_every_example_in_the_guides_is_valid(page, toml):
    found = tomllib.loads(toml)
    if set(found) == {"sources"}:
        assert Settings(**found).sources.keys() == found["sources"].keys()


def test_each_kind_of_source_has_an_example():
    kinds = re.findall(r'^type = "(\w+)"', "".join(toml for _, toml in BLOCKS), re.MULTILINE)
    assert set(kinds) == {"files", "sql", "kafka", "python"}


def test_what_is_misspelt_is_named():
    with pytest.raises(ValueError, match=r"sources.clicks.kafka.topik\n"):
        Settings(sources={"clicks": {"type": "kafka", "servers": "x", "topik": "x"}})

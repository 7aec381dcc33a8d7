import pytest
from chain_stream import KINDS, SMALL

from rec_assets.features import state as live


@pytest.fixture
def config():
    return SMALL


@pytest.fixture
def state(config):
    return live.init(config, KINDS)

import shutil

import pytest
from browser import Browser
from live_service import Server, fill, learn, settings_in


@pytest.fixture
def settings(tmp_path):
    return settings_in(tmp_path)


@pytest.fixture(scope="session")
def once_trained(tmp_path_factory):
    """A small log whose first 600 events are learnt and promoted; to be copied, not changed."""
    settings = settings_in(tmp_path_factory.mktemp("once-trained"))
    with fill(settings) as log:
        learn(settings, 0, log.head())
    return settings


@pytest.fixture
def trained(once_trained, tmp_path):
    """An installation with a promoted checkpoint."""
    shutil.copytree(once_trained.data, tmp_path / "data", symlinks=True)
    return once_trained.model_copy(update={"data": tmp_path / "data"})


@pytest.fixture
def serve():
    """Starts services and stops them when the test is over."""
    started = []

    def start(settings, **options):
        started.append(Server(settings, **options))
        return started[-1]

    yield start
    for server in started:
        server.stop()


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """One service over a small log, nothing promoted, shared by the tests of a module."""
    settings = settings_in(tmp_path_factory.mktemp("service"))
    fill(settings).close()
    server = Server(settings).wait()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def one_chromium(tmp_path_factory):
    browser = Browser(tmp_path_factory.mktemp("chromium"))
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def chromium(one_chromium):
    """The headless browser of all tests, which skips them where there is none. It leaves the page of a module's tests
    before their service goes, provided that the service was there first."""
    yield one_chromium
    one_chromium.call("Page.navigate", url="about:blank")

import pytest

from live_service import Server, fill, settings_in


@pytest.fixture
def settings(tmp_path):
    return settings_in(tmp_path)


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



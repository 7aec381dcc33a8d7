"""Ports that are taken are found and named."""

import socket

from rec_assets.ports import find_free, is_free


def test_a_taken_port_is_named_and_the_next_one_used():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        taken = server.getsockname()[1]
        assert not is_free("127.0.0.1", taken)
        port, note = find_free("127.0.0.1", taken)
        assert port > taken
        assert note is not None
        assert str(taken) in note
        assert "pid" in note


def test_a_free_port_is_used_in_silence():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        free = server.getsockname()[1]
    assert find_free("127.0.0.1", free) == (free, None)
